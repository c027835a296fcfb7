"""What only moves elements: padding, folding, shuffling, resizing."""

from __future__ import annotations

from torch import nn

from pytest_torchbasics import Tensor, layer

LINE = Tensor("N", 3, 5)
IMAGE = Tensor("N", 3, 4, 5)
VOLUME = Tensor("N", 2, 3, 4, 3)


def shuffled(x, groups):
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def depth_to_space(x, factor):
    n, c, h, w = x.shape
    blocks = x.reshape(n, c // factor**2, factor, factor, h, w)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(n, c // factor**2, h * factor, w * factor)


def padded(kind, dims, width=1):
    """A case of a padding layer of the given number of dimensions."""
    x = (LINE, IMAGE, VOLUME)[dims - 1]
    sizes = x.shape[:2] + tuple(size + 2 * width for size in x.shape[2:])
    name = f"{kind}Pad{dims}d"
    arguments = (width, 3.5) if kind == "Constant" else (width,)
    return layer(f"{kind.lower()}-pad{dims}d", lambda: getattr(nn, name)(*arguments), x, output=sizes)


CASES = [
    *(
        padded(kind, dims)
        for kind in ("Zero", "Constant", "Reflection", "Replication", "Circular")
        for dims in (1, 2, 3)
    ),
    layer("constant-pad1d/negative", lambda: nn.ConstantPad1d((-1, 2), 3.5), LINE, output=("N", 3, 6)),
    layer("flatten", nn.Flatten, IMAGE, output=("N", 60), reference=lambda m, x: x.reshape(len(x), 60)),
    layer("unflatten", lambda: nn.Unflatten(1, (2, 3)), Tensor("N", 6), output=("N", 2, 3)),
    layer("unfold", lambda: nn.Unfold(2), IMAGE, output=("N", 12, 12)),
    layer("fold", lambda: nn.Fold((4, 4), 2), Tensor("N", 8, 9), output=("N", 2, 4, 4)),
    layer(
        "pixel-shuffle",
        lambda: nn.PixelShuffle(2),
        Tensor("N", 8, 3, 2),
        output=("N", 2, 6, 4),
        reference=lambda m, x: depth_to_space(x, 2),
    ),
    layer(
        "pixel-unshuffle",
        lambda: nn.PixelUnshuffle(2),
        Tensor("N", 2, 4, 6),
        output=("N", 8, 2, 3),
        known_failure={"batch": "torch returns an empty batch as it is, in the wrong shape"},
    ),
    layer(
        "channel-shuffle",
        lambda: nn.ChannelShuffle(2),
        Tensor("N", 6, 3, 2),
        output=("N", 6, 3, 2),
        reference=lambda m, x: shuffled(x, 2),
    ),
    layer(
        "upsample/nearest",
        lambda: nn.Upsample(scale_factor=2),
        IMAGE,
        output=("N", 3, 8, 10),
        reference=lambda m, x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
    ),
    layer("upsample/linear", lambda: nn.Upsample(scale_factor=2, mode="linear"), LINE, output=("N", 3, 10)),
    layer(
        "upsample/bilinear",
        lambda: nn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True),
        Tensor("N", 3, 4, 6),
        output=("N", 3, 6, 9),
    ),
    layer("upsample/bicubic", lambda: nn.Upsample(size=(5, 7), mode="bicubic"), IMAGE, output=("N", 3, 5, 7)),
    layer(
        "upsample/trilinear", lambda: nn.Upsample(size=(4, 5, 2), mode="trilinear"), VOLUME, output=("N", 2, 4, 5, 2)
    ),
    layer("upsampling-nearest2d", lambda: nn.UpsamplingNearest2d(scale_factor=2), IMAGE, output=("N", 3, 8, 10)),
    layer("upsampling-bilinear2d", lambda: nn.UpsamplingBilinear2d(size=(7, 6)), IMAGE, output=("N", 3, 7, 6)),
]
