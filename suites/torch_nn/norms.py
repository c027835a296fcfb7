"""Normalisation: over the batch, an instance, a group, a layer, or neighbouring channels."""

from __future__ import annotations

import torch
from torch import nn

from pytest_torchbasics import Declared, Tensor, layer

from . import NO_LOW_PRECISION

ROWS = Tensor("N", 4)
LINE = Tensor("N", 4, 5)
IMAGE = Tensor("N", 4, 3, 5)
VOLUME = Tensor("N", 4, 2, 3, 2)


def standardized(x, dims, eps=1e-5):
    variance = (x - x.mean(dims, keepdim=True)).square().mean(dims, keepdim=True)
    return (x - x.mean(dims, keepdim=True)) / (variance + eps).sqrt()


def by_instance(m, x):
    return standardized(x, tuple(range(2, x.dim())))


def by_group(m, x):
    grouped = x.unflatten(1, (m.num_groups, -1))
    normal = standardized(grouped, tuple(range(2, grouped.dim()))).reshape(x.shape)
    shape = (-1, *[1] * (x.dim() - 2))
    return normal * m.weight.reshape(shape) + m.bias.reshape(shape)


def by_running(m, x):
    """In evaluation mode a batch norm is an affine map of its running statistics."""
    shape = (-1, *[1] * (x.dim() - 2))
    scale = m.weight / (m.running_var + m.eps).sqrt()
    return (x - m.running_mean.reshape(shape)) * scale.reshape(shape) + m.bias.reshape(shape)


def across_channels(m, x):
    """Each channel divided by a power of the squares of its neighbours."""
    channels = x.shape[1]
    sums = [
        x[:, max(0, c - m.size // 2) : c + (m.size - 1) // 2 + 1].square().sum(1, keepdim=True) for c in range(channels)
    ]
    return x / (m.k + m.alpha * torch.cat(sums, 1) / m.size) ** m.beta


LUA = "it takes indices over from Lua, which counts from 1, and so shifts its windows by a channel"
EMPTY = {"batch": "torch's instance norm refuses an empty batch"}

CASES = [
    layer("batch-norm1d", lambda: nn.BatchNorm1d(4), ROWS, output=("N", 4), reference=by_running),
    layer("batch-norm1d/line", lambda: nn.BatchNorm1d(4), LINE, output=("N", 4, 5), reference=by_running),
    layer(
        "batch-norm1d/no-statistics",
        lambda: nn.BatchNorm1d(4, track_running_stats=False),
        ROWS,
        output=("N", 4),
        known_failure={"batch": "without running statistics it uses those of the batch in evaluation mode too"},
    ),
    layer(
        "batch-norm1d/cumulative",
        lambda: nn.BatchNorm1d(4, momentum=None),
        ROWS,
        output=("N", 4),
        known_failure={"synchronization": "momentum=None reads num_batches_tracked on the host"},
    ),
    layer("batch-norm2d", lambda: nn.BatchNorm2d(4), IMAGE, output=("N", 4, 3, 5), reference=by_running),
    layer("batch-norm3d", lambda: nn.BatchNorm3d(4), VOLUME, output=("N", 4, 2, 3, 2), reference=by_running),
    layer("lazy-batch-norm1d", nn.LazyBatchNorm1d, ROWS, output=("N", 4), reference=by_running),
    layer("lazy-batch-norm2d", nn.LazyBatchNorm2d, IMAGE, output=("N", 4, 3, 5), reference=by_running),
    layer("lazy-batch-norm3d", nn.LazyBatchNorm3d, VOLUME, output=("N", 4, 2, 3, 2), reference=by_running),
    layer("sync-batch-norm", lambda: nn.SyncBatchNorm(4), IMAGE, output=("N", 4, 3, 5), reference=by_running),
    layer(
        "instance-norm1d",
        lambda: nn.InstanceNorm1d(4),
        LINE,
        output=("N", 4, 5),
        reference=by_instance,
    ),
    layer(
        "instance-norm2d",
        lambda: nn.InstanceNorm2d(4),
        IMAGE,
        output=("N", 4, 3, 5),
        reference=by_instance,
    ),
    layer(
        "instance-norm2d/affine",
        lambda: nn.InstanceNorm2d(4, affine=True),
        IMAGE,
        output=("N", 4, 3, 5),
        known_failure=EMPTY,
    ),
    layer("instance-norm1d/running", lambda: nn.InstanceNorm1d(4, track_running_stats=True), LINE, output=("N", 4, 5)),
    layer(
        "instance-norm3d",
        lambda: nn.InstanceNorm3d(4),
        VOLUME,
        output=("N", 4, 2, 3, 2),
        reference=by_instance,
    ),
    layer(
        "lazy-instance-norm1d",
        nn.LazyInstanceNorm1d,
        LINE,
        output=("N", 4, 5),
        reference=by_running,
        known_failure=EMPTY,
    ),
    layer(
        "lazy-instance-norm2d",
        nn.LazyInstanceNorm2d,
        IMAGE,
        output=("N", 4, 3, 5),
        reference=by_running,
        known_failure=EMPTY,
    ),
    layer(
        "lazy-instance-norm3d",
        nn.LazyInstanceNorm3d,
        VOLUME,
        output=("N", 4, 2, 3, 2),
        reference=by_running,
        known_failure=EMPTY,
    ),
    layer("group-norm", lambda: nn.GroupNorm(2, 4), IMAGE, output=("N", 4, 3, 5), reference=by_group),
    layer(
        "layer-norm",
        lambda: nn.LayerNorm(5),
        LINE,
        output=("N", 4, 5),
        reference=lambda m, x: standardized(x, -1) * m.weight + m.bias,
    ),
    layer("layer-norm/two-dims", lambda: nn.LayerNorm((4, 5)), LINE, output=("N", 4, 5)),
    layer(
        "rms-norm",
        lambda: nn.RMSNorm(5),
        LINE,
        output=("N", 4, 5),
    ),
    layer(
        "local-response-norm",
        lambda: nn.LocalResponseNorm(3),
        IMAGE,
        output=("N", 4, 3, 5),
        reference=across_channels,
        unsupported=NO_LOW_PRECISION,
    ),
    layer(
        "cross-map-lrn2d",
        lambda: nn.CrossMapLRN2d(3),
        IMAGE,
        output=("N", 4, 3, 5),
        reference=across_channels,
        # In low precision the bound is wider than the shift, since its powers round the most.
        known_failure=[
            Declared(LUA, check="gradient"),
            *(
                Declared(LUA, check=check, dtype=dtype)
                for check in ("reference", "gradient_reference")
                for dtype in ("float32", "float64")
            ),
        ],
    ),
]
