"""torchvision.ops: boxes, regions of feature maps, deformable convolution, losses, and blocks of models."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, conv2d, grid_sample
from torchvision import ops

from pytest_torchbasics import Declared, Tensor, layer, op

#: Boxes as corner, width and height, so that every value is a valid box; they overlap.
BOXES, OTHERS = Tensor("N", 4, low=0.1, high=1.0), Tensor("M", 4, low=0.1, high=1.0)
SAME = Tensor("N", 4, low=0.1, high=1.0)
IMAGE = Tensor("N", 4, 3, 5)
VOLUME = Tensor("N", 4, 2, 3, 2)


def corners(boxes):
    """Boxes as their first and last corner, from corner, width and height."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], -1)


def on_corners(function, *arguments):
    """The function of boxes, each given by corner, width and height."""
    return lambda *boxes: function(*map(corners, boxes), *arguments)


# Boxes: overlap of two, from their corners, widths and heights.


def overlap(a, b):
    """How far two spans (start, length) overlap, and how far they reach together."""
    ends = a[0] + a[1], b[0] + b[1]
    inner = (torch.minimum(*ends) - torch.maximum(a[0], b[0])).clamp_min(0)
    return inner, torch.maximum(*ends) - torch.minimum(a[0], b[0])


#: What torchvision adds to its denominators, the losses to all of them.
EPS = 1e-7


def union_and_overlap(a, b):
    w, h = overlap(a[::2], b[::2])[0], overlap(a[1::2], b[1::2])[0]
    return a[2] * a[3] + b[2] * b[3] - w * h, w * h


def iou(a, b, eps=0.0):
    union, both = union_and_overlap(a, b)
    return both / (union + eps)


def giou(a, b, eps=0.0):
    around = overlap(a[::2], b[::2])[1] * overlap(a[1::2], b[1::2])[1]
    return iou(a, b, eps) - (around - union_and_overlap(a, b)[0]) / (around + eps)


def diou(a, b, eps=0.0):
    wide, high = overlap(a[::2], b[::2])[1], overlap(a[1::2], b[1::2])[1]
    dx, dy = (a[i] + a[i + 2] / 2 - b[i] - b[i + 2] / 2 for i in (0, 1))
    return iou(a, b, eps) - (dx**2 + dy**2) / (wide**2 + high**2 + EPS)


def ciou(a, b, eps=0.0):
    shape = 4 / math.pi**2 * (torch.atan(a[2] / a[3]) - torch.atan(b[2] / b[3])) ** 2
    weight = shape / (1 - iou(a, b, eps) + shape + EPS)
    return diou(a, b, eps) - weight.detach() * shape


def pairwise(formula):
    """The formula of two boxes for every box of the first list with every one of the second."""
    return lambda a, b: formula(a.T[:, :, None], b.T[:, None])


def loss(formula):
    """One minus the formula of two boxes, for every pair."""
    return lambda a, b: 1 - formula(a.T, b.T, EPS)


def suppressed(boxes, scores, groups, threshold):
    """Boxes from the best score on, without those that overlap a better one of their group."""
    kept = []
    for index in scores.argsort(descending=True).tolist():
        rivals = [other for other in kept if groups[other] == groups[index]]
        if all(iou(boxes[index], boxes[other]) <= threshold for other in rivals):
            kept.append(index)
    return torch.tensor(kept)


def surrounded(masks):
    """The first and last column and row of each mask."""
    found = [mask.nonzero() for mask in masks]
    return torch.stack([torch.cat([at.amin(0).flip(0), at.amax(0).flip(0)]) for at in found]).to(torch.float64)


def rotated(boxes):
    """Corners of boxes (centre, size, degrees), counter-clockwise on an image whose rows go down."""
    x, y, w, h, degrees = boxes.T[..., None]
    cos, sin = torch.deg2rad(degrees).cos(), torch.deg2rad(degrees).sin()
    across = boxes.new_tensor([-1, 1, 1, -1]) * w / 2
    down = boxes.new_tensor([-1, -1, 1, 1]) * h / 2
    return torch.stack([x + across * cos + down * sin, y - across * sin + down * cos], -1).flatten(1)


# Regions: a feature map, the image of each region, and its box.

MAP = Tensor(2, 3, 8, 9)
GROUPED = Tensor(2, 12, 8, 9)
WHERE = Tensor("N", dtype="int64", high=2)
REGIONS = Tensor("N", 4, low=0.6, high=3.4, requires_grad=False)
BINS = 2


def regions(function, *arguments):
    """The function of a feature map and regions, whose boxes are given by corner, width and height."""

    def call(x, where, boxes):
        return function(x, torch.cat([where.to(boxes)[:, None], corners(boxes)], 1), *arguments)

    return call


def with_regions(channels, device, dtype, generator):
    """A feature map, and five regions with the image of each."""
    draw = {"device": device, "dtype": torch.float64, "generator": generator}
    x = torch.randn((2, channels, 8, 9), **draw).to(dtype).requires_grad_()
    boxes = corners(1 + 7 * torch.rand((5, 4), **draw))
    return [(x, torch.cat([torch.arange(5, device=device)[:, None] % 2, boxes], 1).to(dtype))]


def aligned(x, where, boxes, shift=0.5):
    """Means of bilinear samples, 2 x 2 in each of 2 x 2 bins of a region."""
    steps = (torch.arange(2 * BINS) + 0.5) / (2 * BINS)
    across, down = (boxes[:, i, None] + steps.to(boxes) * boxes[:, i + 2, None] - shift for i in (0, 1))
    points = torch.stack(torch.broadcast_tensors(across[:, None], down[:, :, None]), -1)
    sizes = points.new_tensor([x.shape[3] - 1, x.shape[2] - 1])
    samples = grid_sample(x[where], points * 2 / sizes - 1, padding_mode="border", align_corners=True)
    return avg_pool2d(samples, 2)


def patches(x, where, boxes, end):
    """The feature map under each region, by whole pixels; the pixel of its last corner belongs to it or not."""
    edges = (corners(boxes) + 0.5).floor().long().tolist()
    return [x[i, :, y : Y + end, x0 : X + end] for i, (x0, y, X, Y) in zip(where, edges, strict=True)]


def pooled(x, where, boxes):
    return torch.stack([adaptive_max_pool2d(patch, BINS) for patch in patches(x, where, boxes, 1)])


def averaged(x, where, boxes):
    return torch.stack([adaptive_avg_pool2d(patch, BINS) for patch in patches(x, where, boxes, 0)])


def by_position(values):
    """Of the channels of each bin those that belong to it."""
    return torch.einsum("kcpqpq->kcpq", values.unflatten(1, (-1, BINS, BINS)))


class Pyramid(nn.Module):
    """Pools regions of an image of 32 x 32 from two of its feature maps."""

    def __init__(self, *names):
        super().__init__()
        self.pool = ops.MultiScaleRoIAlign(list(names), BINS, 2, canonical_scale=4, canonical_level=2)

    def forward(self, fine, coarse, boxes):
        return self.pool({"fine": fine, "coarse": coarse}, [corners(boxes)], [(32, 32)])


def by_level(m, fine, coarse, boxes):
    """Regions of a larger side than 8 come from the coarse map, by the square root of their areas."""
    places, sizes = boxes.chunk(2, 1)
    first, second = (
        aligned(x, [0] * len(boxes), torch.cat([places * scale, (sizes * scale).clamp_min(1)], 1), 0)
        for x, scale in ((fine, 1 / 4), (coarse, 1 / 8))
    )
    is_large = (boxes[:, 2] * boxes[:, 3]).sqrt() >= 8
    return torch.where(is_large[:, None, None, None], second, first)


def maps(device, dtype, generator):
    """Feature maps of three sizes."""
    sizes = {"a": (2, 3, 8, 6), "b": (2, 4, 4, 3), "c": (2, 5, 2, 2)}
    draw = {"device": device, "dtype": torch.float64, "generator": generator}
    return [({name: torch.randn(size, **draw).to(dtype) for name, size in sizes.items()},)]


# Deformable convolution by a 2 x 2 kernel.

X, OFFSET, MASK = Tensor("N", 4, 4, 5), Tensor("N", 8, 3, 4), Tensor("N", 4, 3, 4)


def deformed(x, offset, weight, bias, mask):
    """Each pixel of the kernel samples at its own offsets."""
    result = bias[:, None, None]
    rows, columns = torch.arange(3.0)[:, None].to(x), torch.arange(4.0).to(x)
    sizes = x.new_tensor([x.shape[3] - 1, x.shape[2] - 1])
    for k in range(4):
        down, across = rows + k // 2 + offset[:, 2 * k], columns + k % 2 + offset[:, 2 * k + 1]
        samples = grid_sample(x, torch.stack([across, down], -1) * 2 / sizes - 1, align_corners=True)
        result = result + torch.einsum("nchw,oc->nohw", samples * mask[:, k, None], weight[:, :, k // 2, k % 2])
    return result


def is_conv_without_offsets(m, x, offset, mask):
    plain = m(x, torch.zeros_like(offset), torch.ones_like(mask))
    rounding = 16 * torch.finfo(x.dtype).eps
    torch.testing.assert_close(plain, conv2d(x, m.weight, m.bias), rtol=rounding, atol=rounding)


def focal(x, y, alpha=0.25, gamma=2):
    p = torch.where(y == 1, x.sigmoid(), (-x).sigmoid())
    return torch.where(y == 1, alpha, 1 - alpha) * (1 - p) ** gamma * -p.log()


def with_statistics(m):
    """Other statistics, weights and biases than zeros and ones."""
    for buffer in m.buffers():
        buffer.uniform_(0.5, 2.0)


# What holds for many of the cases below.

RANDOM = "it draws whenever training=True is given; an operator has no evaluation mode"
WEIGHT = "the weight of the aspect ratio counts as a constant backwards, as its authors have it"
CIOU = (
    Declared(WEIGHT, check="gradient"),
    Declared(WEIGHT, check="second_gradient"),
    Declared(f"{WEIGHT}, which forward mode does not see", check="forward_gradient"),
)
COUNTED = {"synchronization": "the size of its result depends on values"}
MASKED = Declared("it computes the overlaps of those pairs only that overlap, by a mask", check="synchronization")
UPCAST = tuple(
    Declared("it computes in float32, against overflow, and returns that", check="shape", dtype=dtype)
    for dtype in ("bfloat16", "float16")
)
#: Kernels of torchvision, on the CPU.
ONCE = Declared("the kernel has no second derivative", check="second_gradient")
NO_BFLOAT16 = Declared("no kernel", device="cpu", dtype="bfloat16")
NO_FLOAT16 = Declared("no kernel", device="cpu", dtype="float16")


CASES = [
    op(
        "nms",
        lambda boxes, scores: ops.nms(corners(boxes), scores, 0.3),
        BOXES,
        Tensor("N"),
        output_dtype="int64",
        batch=(),
        sizes={"N": (9, 12)},
        reference=lambda boxes, scores: suppressed(boxes, scores, [0] * len(boxes), 0.3),
        known_failure=COUNTED,
        unsupported=(NO_BFLOAT16, NO_FLOAT16),
    ),
    op(
        "batched-nms",
        lambda boxes, scores, groups: ops.batched_nms(corners(boxes), scores, groups, 0.3),
        BOXES,
        Tensor("N"),
        Tensor("N", dtype="int64", high=2),
        output_dtype="int64",
        batch=(),
        sizes={"N": (9, 12)},
        reference=lambda boxes, scores, groups: suppressed(boxes, scores, groups, 0.3),
        known_failure=COUNTED,
        unsupported=(NO_BFLOAT16, NO_FLOAT16),
    ),
    op(
        "remove-small-boxes",
        lambda boxes: ops.remove_small_boxes(corners(boxes), 0.4),
        BOXES,
        output_dtype="int64",
        batch=(),
        reference=lambda boxes: (boxes[:, 2:].amin(1) >= 0.4).nonzero()[:, 0],
        known_failure=COUNTED,
    ),
    op(
        "clip-boxes-to-image",
        lambda boxes: ops.clip_boxes_to_image(boxes, (2, 1)),
        Tensor("N", 4, low=-1.0, high=3.0),
        output=("N", 4),
        reference=lambda boxes: boxes.clamp_min(0).minimum(boxes.new_tensor([1, 2, 1, 2])),
    ),
    op(
        "masks-to-boxes",
        ops.masks_to_boxes,
        Tensor("N", 5, 6, dtype="bool"),
        output=("N", 4),
        output_dtype="float32",
        dtypes=("float32",),
        differentiable=False,
        reference=surrounded,
    ),
    op(
        "box-convert/xywh-xyxy",
        lambda boxes: ops.box_convert(boxes, "xywh", "xyxy"),
        BOXES,
        output=("N", 4),
        reference=corners,
    ),
    op(
        "box-convert/xyxy-cxcywh",
        lambda boxes: ops.box_convert(boxes, "xyxy", "cxcywh"),
        BOXES,
        output=("N", 4),
        reference=lambda b: torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1),
    ),
    op(
        "box-convert/cxcywh-xywh",
        lambda boxes: ops.box_convert(boxes, "cxcywh", "xywh"),
        BOXES,
        output=("N", 4),
        reference=lambda b: torch.cat([b[:, :2] - b[:, 2:] / 2, b[:, 2:]], 1),
    ),
    op(
        "box-convert/cxcywhr-xyxyxyxy",
        lambda boxes: ops.box_convert(boxes, "cxcywhr", "xyxyxyxy"),
        Tensor("N", 5, low=0.5, high=80.0),
        output=("N", 8),
        reference=rotated,
    ),
    op(
        "box-area",
        on_corners(ops.box_area),
        BOXES,
        output=("N",),
        reference=lambda b: b[:, 2] * b[:, 3],
        known_failure=UPCAST,
    ),
    op(
        "box-iou",
        on_corners(ops.box_iou),
        BOXES,
        OTHERS,
        output=("N", "M"),
        reference=pairwise(iou),
        known_failure=UPCAST,
    ),
    op(
        "generalized-box-iou",
        on_corners(ops.generalized_box_iou),
        BOXES,
        OTHERS,
        output=("N", "M"),
        reference=pairwise(giou),
        known_failure=UPCAST,
    ),
    op(
        "distance-box-iou",
        on_corners(ops.distance_box_iou),
        BOXES,
        OTHERS,
        output=("N", "M"),
        reference=pairwise(diou),
        known_failure=UPCAST,
    ),
    op(
        "complete-box-iou",
        on_corners(ops.complete_box_iou),
        BOXES,
        OTHERS,
        output=("N", "M"),
        reference=pairwise(ciou),
        known_failure=(*CIOU, *UPCAST),
    ),
    op(
        "generalized-box-iou-loss",
        on_corners(ops.generalized_box_iou_loss),
        BOXES,
        SAME,
        output=("N",),
        reference=loss(giou),
        known_failure=(MASKED, *UPCAST),
    ),
    op(
        "distance-box-iou-loss",
        on_corners(ops.distance_box_iou_loss),
        BOXES,
        SAME,
        output=("N",),
        reference=loss(diou),
        known_failure=(MASKED, *UPCAST),
    ),
    op(
        "complete-box-iou-loss",
        on_corners(ops.complete_box_iou_loss),
        BOXES,
        SAME,
        output=("N",),
        reference=loss(ciou),
        known_failure=(*CIOU, MASKED, *UPCAST),
    ),
    op(
        "sigmoid-focal-loss",
        lambda x, y: ops.sigmoid_focal_loss(x, y.to(x)),
        Tensor("N", 4),
        Tensor("N", 4, dtype="bool"),
        output=("N", 4),
        reference=focal,
    ),
    op(
        "roi-align",
        regions(ops.roi_align, BINS, 1.0, 2, True),
        MAP,
        WHERE,
        REGIONS,
        output=("N", 3, BINS, BINS),
        batch=(1, 2),
        reference=aligned,
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "roi-align/layer",
        lambda: ops.RoIAlign(BINS, 0.5, -1),
        samples=lambda *given: with_regions(3, *given),
        batch=(1,),
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    op(
        "ps-roi-align",
        regions(ops.ps_roi_align, BINS, 1.0, 2),
        GROUPED,
        WHERE,
        REGIONS,
        output=("N", 3, BINS, BINS),
        batch=(1, 2),
        reference=lambda *given: by_position(aligned(*given)),
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "ps-roi-align/layer",
        lambda: ops.PSRoIAlign(BINS, 0.5, -1),
        samples=lambda *given: with_regions(12, *given),
        batch=(1,),
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    op(
        "roi-pool",
        regions(ops.roi_pool, BINS),
        MAP,
        WHERE,
        REGIONS,
        output=("N", 3, BINS, BINS),
        batch=(1, 2),
        reference=pooled,
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "roi-pool/layer",
        lambda: ops.RoIPool(BINS, 0.5),
        samples=lambda *given: with_regions(3, *given),
        batch=(1,),
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    op(
        "ps-roi-pool",
        regions(ops.ps_roi_pool, BINS),
        GROUPED,
        WHERE,
        REGIONS,
        output=("N", 3, BINS, BINS),
        batch=(1, 2),
        reference=lambda *given: by_position(averaged(*given)),
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "ps-roi-pool/layer",
        lambda: ops.PSRoIPool(BINS, 0.5),
        samples=lambda *given: with_regions(12, *given),
        batch=(1,),
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "multi-scale-roi-align",
        lambda: Pyramid("fine", "coarse"),
        Tensor(1, 3, 8, 8),
        Tensor(1, 3, 4, 4),
        Tensor("N", 4, low=5.0, high=14.0, requires_grad=False),
        output=("N", 3, BINS, BINS),
        batch=(2,),
        reference=by_level,
        unsupported=(ONCE, NO_BFLOAT16),
        known_failure={"synchronization": "it sorts the regions by level, on the host"},
    ),
    layer(
        "feature-pyramid-network",
        lambda: ops.FeaturePyramidNetwork([3, 4, 5], 4),
        samples=maps,
        batch=(0,),
        output=lambda a, b, c: [(2, 4, *a[2:]), (2, 4, *b[2:]), (2, 4, *c[2:])],
    ),
    op(
        "deform-conv2d",
        lambda x, offset, weight, bias, mask: ops.deform_conv2d(x, offset, weight, bias, mask=mask),
        X,
        OFFSET,
        Tensor(3, 4, 2, 2),
        Tensor(3),
        MASK,
        output=("N", 3, 3, 4),
        reference=deformed,
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "deform-conv2d/layer",
        lambda: ops.DeformConv2d(4, 3, 2),
        X,
        OFFSET,
        MASK,
        output=("N", 3, 3, 4),
        reference=lambda m, x, offset, mask: deformed(x, offset, m.weight, m.bias, mask),
        properties=[is_conv_without_offsets],
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "deform-conv2d/strided",
        lambda: ops.DeformConv2d(4, 6, 3, 2, padding=2, dilation=2, groups=2, bias=False),
        X,
        Tensor("N", 36, 2, 3),
        output=("N", 6, 2, 3),
        unsupported=(ONCE, NO_BFLOAT16),
    ),
    layer(
        "frozen-batch-norm2d",
        lambda: ops.FrozenBatchNorm2d(4),
        IMAGE,
        output=("N", 4, 3, 5),
        prepare=with_statistics,
        reference=lambda m, x: nn.functional.batch_norm(x, m.running_mean, m.running_var, m.weight, m.bias, eps=m.eps),
    ),
    layer("conv2d-norm-activation", lambda: ops.Conv2dNormActivation(4, 3), IMAGE, output=("N", 3, 3, 5)),
    layer("conv3d-norm-activation", lambda: ops.Conv3dNormActivation(4, 3), VOLUME, output=("N", 3, 2, 3, 2)),
    layer(
        "squeeze-excitation",
        lambda: ops.SqueezeExcitation(4, 3),
        IMAGE,
        output=("N", 4, 3, 5),
        reference=lambda m, x: x * m.fc2(m.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid(),
    ),
    layer("mlp", lambda: ops.MLP(4, [6, 3], norm_layer=nn.LayerNorm), Tensor("N", 4), output=("N", 3)),
    layer(
        "mlp/dropout",
        lambda: ops.MLP(4, [6, 3], inplace=False, dropout=0.3),
        Tensor("N", 4),
        output=("N", 3),
        random_in_training=True,
    ),
    layer("permute", lambda: ops.Permute([0, 2, 3, 1]), IMAGE, output=("N", 3, 5, 4)),
    layer(
        "stochastic-depth",
        lambda: ops.StochasticDepth(0.5, "row"),
        IMAGE,
        output=("N", 4, 3, 5),
        random_in_training=True,
        reference=lambda m, x: x,
    ),
    layer(
        "stochastic-depth/batch",
        lambda: ops.StochasticDepth(0.5, "batch"),
        IMAGE,
        output=("N", 4, 3, 5),
        random_in_training=True,
        reference=lambda m, x: x,
    ),
    op(
        "stochastic-depth/op",
        lambda x: ops.stochastic_depth(x, 0.5, "row"),
        IMAGE,
        output=("N", 4, 3, 5),
        known_failure={"determinism": RANDOM},
    ),
    *(
        case
        for dims, image in ((2, Tensor("N", 4, 5, 6)), (3, Tensor("N", 2, 4, 3, 4)))
        for case in (
            layer(
                f"drop-block{dims}d",
                lambda dims=dims: getattr(ops, f"DropBlock{dims}d")(0.3, 3),
                image,
                output=image.shape,
                random_in_training=True,
                reference=lambda m, x: x,
            ),
            op(
                f"drop-block{dims}d/op",
                lambda x, dims=dims: getattr(ops, f"drop_block{dims}d")(x, 0.3, 3),
                image,
                output=image.shape,
                known_failure={"determinism": RANDOM},
            ),
        )
    ),
]
