"""Pooling: maximum, average, power, adaptive, fractional, and the way back."""

from __future__ import annotations

from torch import nn

from pytest_torchbasics import Tensor, layer

from . import NO_LOW_PRECISION

LINE = Tensor("N", 3, 8)
IMAGE = Tensor("N", 3, 6, 4)
VOLUME = Tensor("N", 2, 4, 4, 2)
POSITIVE = {"low": 0.1, "high": 2.0}


class PoolAndBack(nn.Module):
    """Maximum pooling, and unpooling to where the maxima were."""

    def __init__(self, pool, unpool):
        super().__init__()
        self.pool, self.unpool = pool(2, return_indices=True), unpool(2)

    def forward(self, x):
        return self.unpool(*self.pool(x))


def windows(x, dims, size=2, step=2):
    """The windows of the last dimensions, flattened into one."""
    for dim in range(x.dim() - dims, x.dim()):
        x = x.unfold(dim, size, step)
    return x.flatten(-dims)


RANDOM = {
    "known_failure": {
        "determinism": "it draws its regions in evaluation mode too",
    }
}

CASES = [
    layer(
        "max-pool1d", lambda: nn.MaxPool1d(2), LINE, output=("N", 3, 4), reference=lambda m, x: windows(x, 1).amax(-1)
    ),
    layer(
        "max-pool2d",
        lambda: nn.MaxPool2d(2),
        IMAGE,
        output=("N", 3, 3, 2),
        reference=lambda m, x: windows(x, 2).amax(-1),
    ),
    layer("max-pool2d/strided", lambda: nn.MaxPool2d(3, 2, padding=1, dilation=1), IMAGE, output=("N", 3, 3, 2)),
    layer(
        "max-pool2d/indices",
        lambda: nn.MaxPool2d(2, return_indices=True),
        IMAGE,
        output=[("N", 3, 3, 2), ("N", 3, 3, 2)],
        output_dtype=(None, "int64"),
    ),
    layer(
        "max-pool3d",
        lambda: nn.MaxPool3d(2),
        VOLUME,
        output=("N", 2, 2, 2, 1),
        reference=lambda m, x: windows(x, 3).amax(-1),
    ),
    layer(
        "avg-pool1d", lambda: nn.AvgPool1d(2), LINE, output=("N", 3, 4), reference=lambda m, x: windows(x, 1).mean(-1)
    ),
    layer(
        "avg-pool2d",
        lambda: nn.AvgPool2d(2),
        IMAGE,
        output=("N", 3, 3, 2),
        reference=lambda m, x: windows(x, 2).mean(-1),
    ),
    layer(
        "avg-pool2d/ceil",
        lambda: nn.AvgPool2d(3, 2, padding=1, ceil_mode=True, count_include_pad=False),
        IMAGE,
        output=("N", 3, 4, 3),
    ),
    layer(
        "avg-pool3d",
        lambda: nn.AvgPool3d(2),
        VOLUME,
        output=("N", 2, 2, 2, 1),
        reference=lambda m, x: windows(x, 3).mean(-1),
        unsupported=NO_LOW_PRECISION,
    ),
    layer(
        "lp-pool1d",
        lambda: nn.LPPool1d(3, 2),
        Tensor("N", 3, 8, **POSITIVE),
        output=("N", 3, 4),
        reference=lambda m, x: windows(x, 1).pow(3).sum(-1).pow(1 / 3),
    ),
    layer(
        "lp-pool2d",
        lambda: nn.LPPool2d(2, 2),
        Tensor("N", 3, 6, 4, **POSITIVE),
        output=("N", 3, 3, 2),
        reference=lambda m, x: windows(x, 2).square().sum(-1).sqrt(),
    ),
    layer(
        "lp-pool3d",
        lambda: nn.LPPool3d(2, 2),
        Tensor("N", 2, 4, 4, 2, **POSITIVE),
        output=("N", 2, 2, 2, 1),
        reference=lambda m, x: windows(x, 3).square().sum(-1).sqrt(),
        unsupported=NO_LOW_PRECISION,
    ),
    layer("adaptive-avg-pool1d", lambda: nn.AdaptiveAvgPool1d(3), LINE, output=("N", 3, 3)),
    layer("adaptive-avg-pool2d", lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGE, output=("N", 3, 4, 3)),
    layer(
        "adaptive-avg-pool2d/one",
        lambda: nn.AdaptiveAvgPool2d(1),
        IMAGE,
        output=("N", 3, 1, 1),
        reference=lambda m, x: x.flatten(2).mean(-1)[..., None, None],
    ),
    layer("adaptive-avg-pool3d", lambda: nn.AdaptiveAvgPool3d((3, 2, 1)), VOLUME, output=("N", 2, 3, 2, 1)),
    layer("adaptive-max-pool1d", lambda: nn.AdaptiveMaxPool1d(3), LINE, output=("N", 3, 3)),
    layer("adaptive-max-pool2d", lambda: nn.AdaptiveMaxPool2d((4, 3)), IMAGE, output=("N", 3, 4, 3)),
    layer("adaptive-max-pool3d", lambda: nn.AdaptiveMaxPool3d((3, 2, 1)), VOLUME, output=("N", 2, 3, 2, 1)),
    layer("fractional-max-pool2d", lambda: nn.FractionalMaxPool2d(2, (3, 2)), IMAGE, output=("N", 3, 3, 2), **RANDOM),
    layer(
        "fractional-max-pool3d",
        lambda: nn.FractionalMaxPool3d(2, 2),
        Tensor("N", 2, 4, 4, 4),
        output=("N", 2, 2, 2, 2),
        **RANDOM,
    ),
    layer("max-unpool1d", lambda: PoolAndBack(nn.MaxPool1d, nn.MaxUnpool1d), LINE, output=("N", 3, 8)),
    layer("max-unpool2d", lambda: PoolAndBack(nn.MaxPool2d, nn.MaxUnpool2d), IMAGE, output=("N", 3, 6, 4)),
    layer("max-unpool3d", lambda: PoolAndBack(nn.MaxPool3d, nn.MaxUnpool3d), VOLUME, output=("N", 2, 4, 4, 2)),
]
