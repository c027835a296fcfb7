"""torchvision.transforms.v2: every transform that takes an image as a plain tensor."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.transforms import v2

from pytest_torchbasics import Declared, Tensor, layer

IMAGE = Tensor("N", 3, 5, 6, low=0.0, high=1.0)
SQUARE = Tensor("N", 3, 5, 5, low=0.0, high=1.0)
BYTES = Tensor("N", 3, 5, 6, dtype="uint8", high=256)
SAME = ("N", 3, 5, 6)
#: For transforms that change what they computed in place, and so have no gradient.
PLAIN = Tensor("N", 3, 5, 6, low=0.0, high=1.0, requires_grad=False)

DRAWS = "it draws in evaluation mode too: a transform has no modes"
#: Those that draw, even if their result does not depend on it.
RANDOM = {"known_failure": {"determinism": DRAWS}}
LISTED = {"movement": "its transforms are in a plain list, where .to() does not reach them"}
RANDOM_AND_LISTED = {"known_failure": {"determinism": DRAWS, **LISTED}}
#: Rotations and affine maps.
RANDOM_ON_GRID = {
    "known_failure": {
        "determinism": DRAWS,
        "autocast": "its grid is bfloat16 then, so it takes the image for whole numbers and rounds it to 0 and 1",
    }
}
#: It raises for an image that requires a gradient, as `vmap` gives it.
NO_GRADIENT = {
    "skip": {"vmap": "it writes in place into parts of its image, so it takes none that requires a gradient"}
}
#: A result of another dtype, from bytes: the dtype under test does not matter.
FROM_BYTES = {"dtypes": ("float32",), "batch": (0,)}
TO_BYTES = {**FROM_BYTES, "output_dtype": "uint8"}


def gray(x):
    """The brightness of each pixel by ITU-R 601."""
    return (x * x.new_tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(-3, keepdim=True)


def blended(x, other, factor):
    return (factor * x + (1 - factor) * other).clamp(0, 1)


def crops(x, height=3, width=4):
    """The four corners and the centre of an image."""
    down, across = x.shape[-2] - height, x.shape[-1] - width
    starts = [(0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)]
    return [x[..., i : i + height, j : j + width] for i, j in starts]


def smoothed(x):
    """Sharpening takes a weighted mean of 3 x 3 pixels away, but for the border."""
    windows = x.unfold(-2, 3, 1).unfold(-2, 3, 1)
    inner = (windows.sum((-1, -2)) + 4 * x[..., 1:-1, 1:-1]) / 13
    return torch.cat(
        [x[..., :1, :], torch.cat([x[..., 1:-1, :1], inner, x[..., 1:-1, -1:]], -1), x[..., -1:, :]],
        -2,
    )


def blurred(x, size=3, sigma=0.75):
    """A convolution of rows and of columns of the image, reflected at its border."""
    at = torch.arange(size).to(x) - size // 2
    kernel = (-0.5 * (at / sigma) ** 2).exp()
    kernel = kernel / kernel.sum()
    padded = nn.functional.pad(x, [size // 2] * 4, mode="reflect")
    return torch.einsum("nchwij,i,j->nchw", padded.unfold(2, size, 1).unfold(3, size, 1), kernel, kernel)


def stretched(x):
    low, high = x.amin((-1, -2), keepdim=True), x.amax((-1, -2), keepdim=True)
    return (x - low) / (high - low)


def halved(x):
    """Each pixel the mean of four, which is what halving by triangles without antialiasing gives."""
    return nn.functional.avg_pool2d(x, 2)


def always(name, reference=None, *arguments, image=IMAGE, output=SAME, **facts):
    """A case of a transform that is drawn with a probability, which is 1 here."""
    made = getattr(v2, name)
    return layer(
        dashed(name),
        lambda: made(*arguments, p=1.0),
        image,
        output=output,
        reference=None if reference is None else lambda m, x: reference(x),
        **{**RANDOM, **facts},
    )


def dashed(name):
    """`GaussianBlur` as `gaussian-blur`."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def jittered(name, reference, image=IMAGE, facts=RANDOM, **factors):
    """A case of ColorJitter by one factor that is not drawn; each is the same in float32 and float64."""
    return layer(
        f"color-jitter/{name}",
        lambda: v2.ColorJitter(**factors),
        image,
        output=SAME,
        reference=None if reference is None else lambda m, x: reference(x),
        **facts,
    )


def drawn(name, *arguments, image=IMAGE, output=SAME, case=None, **facts):
    """A case of a transform whose work is to draw."""
    made = getattr(v2, name)
    return layer(case or dashed(name), lambda: made(*arguments), image, output=output, **{**RANDOM, **facts})


CASES = [
    # Geometry.
    layer("resize", lambda: v2.Resize((4, 3)), IMAGE, output=("N", 3, 4, 3)),
    layer(
        "resize/halved",
        lambda: v2.Resize((3, 4), antialias=False),
        Tensor("N", 3, 6, 8, low=0.0, high=1.0),
        output=("N", 3, 3, 4),
        reference=lambda m, x: halved(x),
    ),
    layer(
        "resize/bicubic",
        lambda: v2.Resize(7, v2.InterpolationMode.BICUBIC),
        IMAGE,
        output=("N", 3, 7, 8),
        known_failure={"compile": "torch fails inside when it traces the gradient with symbolic sizes"},
    ),
    layer(
        "center-crop",
        lambda: v2.CenterCrop((3, 4)),
        IMAGE,
        output=("N", 3, 3, 4),
        reference=lambda m, x: x[..., 1:4, 1:5],
    ),
    layer(
        "five-crop",
        lambda: v2.FiveCrop((3, 4)),
        IMAGE,
        output=[("N", 3, 3, 4)] * 5,
        reference=lambda m, x: tuple(crops(x)),
    ),
    layer(
        "ten-crop",
        lambda: v2.TenCrop((3, 4)),
        IMAGE,
        output=[("N", 3, 3, 4)] * 10,
        reference=lambda m, x: tuple(crops(x) + crops(x.flip(-1))),
    ),
    layer(
        "pad",
        lambda: v2.Pad([1, 2, 3, 0], 0.5),
        IMAGE,
        output=("N", 3, 7, 10),
        reference=lambda m, x: nn.functional.pad(x, [1, 3, 2, 0], value=0.5),
    ),
    layer(
        "pad/symmetric",
        lambda: v2.Pad(1, padding_mode="symmetric"),
        IMAGE,
        output=("N", 3, 7, 8),
        reference=lambda m, x: x[..., [0, 0, 1, 2, 3, 4, 4], :][..., [0, 0, 1, 2, 3, 4, 5, 5]],
    ),
    always("RandomHorizontalFlip", lambda x: x.flip(-1)),
    always("RandomVerticalFlip", lambda x: x.flip(-2)),
    drawn("RandomCrop", (3, 4), image=IMAGE, output=("N", 3, 3, 4)),
    layer("random-crop/padded", lambda: v2.RandomCrop((7, 8), padding=1), IMAGE, output=("N", 3, 7, 8)),
    layer(
        "random-resized-crop",
        lambda: v2.RandomResizedCrop((4, 3), (1.0, 1.0), (1.2, 1.2)),
        IMAGE,
        output=("N", 3, 4, 3),
        reference=lambda m, x: v2.Resize((4, 3))(x),
        **RANDOM,
    ),
    layer("random-zoom-out", lambda: v2.RandomZoomOut(0.5, p=1.0), IMAGE, **RANDOM),
    layer(
        "random-rotation",
        lambda: v2.RandomRotation((30, 30), v2.InterpolationMode.BILINEAR),
        PLAIN,
        output=SAME,
        **RANDOM_ON_GRID,
    ),
    layer(
        "random-rotation/quarter",
        lambda: v2.RandomRotation((90, 90)),
        SQUARE,
        output=SQUARE.shape,
        reference=lambda m, x: x.rot90(1, (-2, -1)),
        **RANDOM,
    ),
    layer(
        "random-affine",
        lambda: v2.RandomAffine((20, 20), None, (0.75, 0.75), (5, 5), v2.InterpolationMode.BILINEAR),
        PLAIN,
        output=SAME,
        **RANDOM_ON_GRID,
    ),
    layer(
        "random-affine/half",
        lambda: v2.RandomAffine((180, 180), interpolation=v2.InterpolationMode.BILINEAR),
        PLAIN,
        output=SAME,
        reference=lambda m, x: x.flip(-1, -2),
        **RANDOM_ON_GRID,
    ),
    always("RandomPerspective", image=PLAIN),
    drawn("ElasticTransform", 5.0, 0.5, image=PLAIN),
    layer(
        "scale-jitter",
        lambda: v2.ScaleJitter((8, 5), (1.5, 1.5)),
        IMAGE,
        output=("N", 3, 7, 9),
        reference=lambda m, x: v2.Resize((7, 9))(x),
        **RANDOM,
    ),
    layer(
        "random-shortest-size",
        lambda: v2.RandomShortestSize([3]),
        IMAGE,
        output=("N", 3, 3, 3),
        reference=lambda m, x: v2.Resize((3, 3))(x),
        **RANDOM,
    ),
    layer(
        "random-resize",
        lambda: v2.RandomResize(4, 5),
        IMAGE,
        output=("N", 3, 4, 4),
        reference=lambda m, x: v2.Resize((4, 4))(x),
        **RANDOM,
    ),
    # Colour.
    layer("grayscale", v2.Grayscale, IMAGE, output=("N", 1, 5, 6), reference=lambda m, x: gray(x)),
    layer(
        "rgb",
        v2.RGB,
        Tensor("N", 1, 5, 6, low=0.0, high=1.0),
        output=SAME,
        reference=lambda m, x: torch.cat([x, x, x], 1),
    ),
    always("RandomGrayscale", lambda x: gray(x).expand_as(x)),
    jittered("brightness", lambda x: (1.25 * x).clamp(0, 1), brightness=(1.25, 1.25)),
    jittered("contrast", lambda x: blended(x, gray(x).mean((-1, -2, -3), keepdim=True), 1.5), contrast=(1.5, 1.5)),
    jittered("saturation", lambda x: blended(x, gray(x), 0.5), saturation=(0.5, 0.5)),
    jittered("hue", None, PLAIN, {**RANDOM, **NO_GRADIENT}, hue=(0.25, 0.25)),
    drawn("ColorJitter", 0.3, 0.3, 0.3, 0.1, image=PLAIN),
    drawn("RandomPhotometricDistort", image=PLAIN),
    drawn("RandomChannelPermutation"),
    always("RandomInvert", lambda x: 1 - x),
    always("RandomSolarize", lambda x: torch.where(x >= 0.4, 1 - x, x), 0.4),
    always("RandomAutocontrast", stretched, image=PLAIN),
    always("RandomAdjustSharpness", lambda x: blended(x, smoothed(x), 1.5), 1.5, image=PLAIN),
    always("RandomPosterize", lambda x: x & 0b11100000, 3, image=BYTES, **TO_BYTES),
    always("RandomEqualize", image=BYTES, **TO_BYTES),
    # Noise, norms and dtypes.
    layer(
        "gaussian-blur",
        lambda: v2.GaussianBlur(3, 0.75),
        IMAGE,
        output=SAME,
        reference=lambda m, x: blurred(x),
        **RANDOM,
    ),
    drawn("GaussianNoise"),
    drawn(
        "RandomErasing",
        1.0,
        known_failure={"determinism": DRAWS, "movement": "it draws the region in the default dtype"},
    ),
    layer(
        "normalize",
        lambda: v2.Normalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.4]),
        IMAGE,
        output=SAME,
        reference=lambda m, x: (x - x.new_tensor(m.mean)[:, None, None]) / x.new_tensor(m.std)[:, None, None],
    ),
    layer(
        "linear-transformation",
        lambda: v2.LinearTransformation(torch.randn(12, 12), torch.randn(12)),
        Tensor("N", 3, 2, 2, low=0.0, high=1.0),
        output=("N", 3, 2, 2),
        reference=lambda m, x: ((x.flatten(1) - m.mean_vector.to(x)) @ m.transformation_matrix.to(x)).unflatten(
            1, (3, 2, 2)
        ),
        known_failure=(
            Declared("its matrix and mean are plain attributes, which .to() does not reach", check="movement"),
            Declared("its matrix and mean are plain attributes, which are not in the state_dict", check="state"),
            Declared("its mean stays in float32, and so does the result", check="shape", dtype="bfloat16"),
            Declared("its mean stays in float32, and so does the result", check="shape", dtype="float16"),
        ),
    ),
    layer(
        "to-dtype",
        lambda: v2.ToDtype(torch.float32, scale=True),
        BYTES,
        output=SAME,
        output_dtype="float32",
        reference=lambda m, x: x.double() / 255,
        **FROM_BYTES,
    ),
    layer(
        "convert-image-dtype",
        lambda: v2.ConvertImageDtype(torch.float32),
        BYTES,
        output=SAME,
        output_dtype="float32",
        reference=lambda m, x: x.double() / 255,
        **FROM_BYTES,
    ),
    layer(
        "jpeg",
        lambda: v2.JPEG(50),
        BYTES,
        output=SAME,
        devices=("cpu",),
        known_failure={"determinism": DRAWS, "compile": "the encoder has no fake kernel"},
        **TO_BYTES,
    ),
    # Batches and videos.
    layer(
        "mix-up",
        lambda: v2.MixUp(num_classes=4),
        IMAGE,
        Tensor("N", dtype="int64", high=4),
        output=[SAME, ("N", 4)],
        output_dtype=(None, "float32"),
        **RANDOM,
    ),
    layer(
        "cut-mix",
        lambda: v2.CutMix(num_classes=4),
        IMAGE,
        Tensor("N", dtype="int64", high=4),
        output=[SAME, ("N", 4)],
        output_dtype=(None, "float32"),
        **RANDOM,
    ),
    layer(
        "uniform-temporal-subsample",
        lambda: v2.UniformTemporalSubsample(3),
        Tensor("N", 7, 3, 4, 2, low=0.0, high=1.0),
        output=("N", 3, 3, 4, 2),
        reference=lambda m, x: x[:, [0, 3, 6]],
    ),
    # Combinations.
    layer("identity", v2.Identity, IMAGE, output=SAME, reference=lambda m, x: x),
    layer("lambda", lambda: v2.Lambda(torch.tanh), IMAGE, output=SAME, reference=lambda m, x: x.tanh()),
    layer("to-image", v2.ToImage, IMAGE, output=SAME, reference=lambda m, x: x),
    layer("to-pure-tensor", v2.ToPureTensor, IMAGE, output=SAME, reference=lambda m, x: x),
    layer(
        "compose",
        lambda: v2.Compose([v2.CenterCrop((3, 4)), v2.Normalize([0.5] * 3, [0.25] * 3)]),
        IMAGE,
        output=("N", 3, 3, 4),
        reference=lambda m, x: 4 * x[..., 1:4, 1:5] - 2,
        known_failure=LISTED,
    ),
    layer(
        "random-apply",
        lambda: v2.RandomApply([v2.Pad(1)], p=1.0),
        IMAGE,
        output=("N", 3, 7, 8),
        reference=lambda m, x: nn.functional.pad(x, [1] * 4),
        **RANDOM_AND_LISTED,
    ),
    layer(
        "random-choice",
        lambda: v2.RandomChoice([v2.Pad(1), v2.Identity()], p=[1.0, 0.0]),
        IMAGE,
        output=("N", 3, 7, 8),
        reference=lambda m, x: nn.functional.pad(x, [1] * 4),
        **RANDOM_AND_LISTED,
    ),
    layer(
        "random-order",
        lambda: v2.RandomOrder([v2.Grayscale(), v2.Pad(1)]),
        IMAGE,
        output=("N", 1, 7, 8),
        reference=lambda m, x: nn.functional.pad(gray(x), [1] * 4),
        **RANDOM_AND_LISTED,
    ),
    # Policies, which take bytes.
    *(
        layer(dashed(name), getattr(v2, name), BYTES, output=SAME, **{**RANDOM, **TO_BYTES})
        for name in ("AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix")
    ),
]
