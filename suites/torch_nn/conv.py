"""Convolutions and transposed convolutions, fixed and lazy."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from pytest_torchbasics import Tensor, layer

LINE = Tensor("N", 3, 7)
IMAGE = Tensor("N", 3, 6, 5)
VOLUME = Tensor("N", 2, 4, 3, 4)


def by_windows(m, x):
    """A 2-D convolution as a matrix product of unfolded windows."""
    columns = F.unfold(x, m.kernel_size, m.dilation, m.padding, m.stride)
    result = m.weight.flatten(1) @ columns + m.bias[:, None]
    sizes = [
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, p, d, k, s in zip(x.shape[2:], m.padding, m.dilation, m.kernel_size, m.stride, strict=True)
    ]
    return result.reshape(len(x), -1, *sizes)


def by_shifts(m, x):
    """A 1-D convolution without padding as a sum over shifted inputs."""
    length = x.shape[-1] - m.kernel_size[0] + 1
    taps = [torch.einsum("oi,nil->nol", m.weight[..., k], x[..., k : k + length]) for k in range(m.kernel_size[0])]
    return sum(taps) + m.bias[:, None]


def spread(m, x):
    """A 1-D transposed convolution, one input position after the other."""
    columns = torch.einsum("nil,iok->nolk", x, m.weight)
    out = x.new_zeros(len(x), m.out_channels, (x.shape[-1] - 1) * m.stride[0] + m.kernel_size[0])
    for position in range(x.shape[-1]):
        start = position * m.stride[0]
        out = out + F.pad(columns[:, :, position], (start, out.shape[-1] - start - m.kernel_size[0]))
    return out + m.bias[:, None]


CASES = [
    layer("conv1d", lambda: nn.Conv1d(3, 4, 3), LINE, output=("N", 4, 5), reference=by_shifts),
    layer("conv1d/reflect", lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="reflect"), LINE, output=("N", 4, 7)),
    layer("conv1d/circular", lambda: nn.Conv1d(3, 4, 3, padding=1, padding_mode="circular"), LINE, output=("N", 4, 7)),
    layer("conv1d/same", lambda: nn.Conv1d(3, 4, 4, padding="same", dilation=2), LINE, output=("N", 4, 7)),
    layer("conv2d", lambda: nn.Conv2d(3, 4, 3), IMAGE, output=("N", 4, 4, 3), reference=by_windows),
    layer(
        "conv2d/strided",
        lambda: nn.Conv2d(3, 4, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2)),
        IMAGE,
        output=("N", 4, 3, 2),
        reference=by_windows,
    ),
    layer("conv2d/grouped", lambda: nn.Conv2d(4, 6, 2, groups=2), Tensor("N", 4, 5, 4), output=("N", 6, 4, 3)),
    layer("conv2d/depthwise", lambda: nn.Conv2d(3, 3, 3, padding=1, groups=3), IMAGE, output=("N", 3, 6, 5)),
    layer("conv3d", lambda: nn.Conv3d(2, 3, 2), VOLUME, output=("N", 3, 3, 2, 3)),
    layer(
        "conv-transpose1d", lambda: nn.ConvTranspose1d(3, 2, 4, stride=2), LINE, output=("N", 2, 16), reference=spread
    ),
    layer(
        "conv-transpose2d",
        lambda: nn.ConvTranspose2d(3, 2, 3, stride=2, padding=1, output_padding=1),
        Tensor("N", 3, 3, 2),
        output=("N", 2, 6, 4),
    ),
    layer("conv-transpose3d", lambda: nn.ConvTranspose3d(2, 2, 2), Tensor("N", 2, 2, 2, 3), output=("N", 2, 3, 3, 4)),
    layer("lazy-conv1d", lambda: nn.LazyConv1d(4, 3), LINE, output=("N", 4, 5), reference=by_shifts),
    layer("lazy-conv2d", lambda: nn.LazyConv2d(4, 3), IMAGE, output=("N", 4, 4, 3), reference=by_windows),
    layer("lazy-conv3d", lambda: nn.LazyConv3d(3, 2), VOLUME, output=("N", 3, 3, 2, 3)),
    layer("lazy-conv-transpose1d", lambda: nn.LazyConvTranspose1d(2, 3), LINE, output=("N", 2, 9), reference=spread),
    layer("lazy-conv-transpose2d", lambda: nn.LazyConvTranspose2d(2, 2), Tensor("N", 3, 3, 2), output=("N", 2, 4, 3)),
    layer(
        "lazy-conv-transpose3d", lambda: nn.LazyConvTranspose3d(2, 2), Tensor("N", 2, 2, 2, 3), output=("N", 2, 3, 3, 4)
    ),
]
