"""Layers, one at a time, and the first block of the network."""

from __future__ import annotations

import torch
from torch import nn

from pytest_torchbasics import Tensor, layer

WEIGHT = [[0.0776, 0.1701, 0.1028, -0.3622], [-0.4695, 0.0630, 0.2066, 0.3651]]
BIAS = [-0.3205, -0.0004]
IMAGE = Tensor("N", 5, 4, 2)
ONE_AND_THREE = {"N": {"check": (3, 1), "timing": 3}}


def to_four_decimals(actual, documented):
    """Equal to the printed digits; low precision has fewer than four decimals."""
    expected = torch.tensor(documented, dtype=torch.float64, device=actual.device)
    allowed = 5e-5 + 2 * torch.finfo(actual.dtype).eps
    error = (actual.detach().double() - expected).abs().max()
    assert error <= allowed, f"{actual.tolist()} instead of {documented}"


def set_documented_weights(linear):
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(WEIGHT))
        linear.bias.copy_(torch.tensor(BIAS))


def linear_parameters(linear, x):
    assert {name: tuple(p.shape) for name, p in linear.named_parameters()} == {"weight": (2, 4), "bias": (2,)}


def documented_rows(linear, x):
    to_four_decimals(linear(x), [-0.3322, 0.1648])


def documented_sigmoids(sigmoid, x):
    to_four_decimals(sigmoid(x), [0.5030, 0.5107, 0.4158, 0.6411])


def between_zero_and_one(module, x):
    y = module(x)
    assert bool(((y > 0) & (y < 1)).all())


def all_rows_equal(module, x):
    rows = module(x).reshape(-1, 2)
    assert torch.equal(rows, rows[:1].expand_as(rows))


def off_in_evaluation(dropout, x):
    assert torch.equal(dropout(x), x)


def linear_and_sigmoid():
    return nn.Sequential(nn.Linear(4, 2), nn.Sigmoid())


def conv_relu_pool(channels_in=5, channels_out=6):
    """The block of the network: a 2x2 convolution, ReLU in place, and 2x2 max pooling of stride 1."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel_size=2, stride=1, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=2, stride=1),
    )


def convolved(conv, x):
    """The convolution as a matrix product of unfolded windows."""
    columns = nn.functional.unfold(x, conv.kernel_size, padding=conv.padding, stride=conv.stride)
    rows = conv.weight.flatten(1) @ columns + conv.bias[:, None]
    return rows.reshape(x.shape[0], -1, x.shape[2] + 1, x.shape[3] + 1)


CASES = [
    layer(
        "layer/linear",
        lambda: nn.Linear(4, 2),
        Tensor("N", 3, 4),
        output=("N", 3, 2),
        sizes={"N": {"check": (2, 5), "timing": 2}},
        reference=lambda linear, x: (x[..., None, :] * linear.weight).sum(-1) + linear.bias,
        properties=(linear_parameters,),
    ),
    layer("layer/linear-ones", lambda: nn.Linear(4, 2), Tensor(2, 3, 4, fill=1), output=(2, 3, 2)),
    layer(
        "layer/linear-documented",
        lambda: nn.Linear(4, 2),
        Tensor(2, 3, 4, fill=1),
        output=(2, 3, 2),
        prepare=set_documented_weights,
        properties=(documented_rows,),
    ),
    layer(
        "layer/sigmoid",
        nn.Sigmoid,
        Tensor(4, fill=[0.012, 0.043, -0.34, 0.58]),
        output=(4,),
        reference=lambda sigmoid, x: 1 / (1 + (-x).exp()),
        properties=(documented_sigmoids,),
    ),
    layer(
        "layer/sequential",
        linear_and_sigmoid,
        Tensor("N", 3, 4),
        output=("N", 3, 2),
        sizes={"N": {"check": (2, 5), "timing": 2}},
        reference=lambda module, x: 1 / (1 + (-(x @ module[0].weight.T + module[0].bias)).exp()),
        properties=(between_zero_and_one,),
    ),
    layer(
        "layer/sequential-ones",
        linear_and_sigmoid,
        Tensor(2, 3, 4, fill=1),
        output=(2, 3, 2),
        properties=(between_zero_and_one, all_rows_equal),
    ),
    layer(
        "layer/conv2d",
        lambda: nn.Conv2d(5, 6, kernel_size=2, stride=1, padding=1),
        IMAGE,
        output=("N", 6, 5, 3),
        sizes=ONE_AND_THREE,
        reference=convolved,
    ),
    layer(
        "layer/conv2d-zeros",
        lambda: nn.Conv2d(5, 6, kernel_size=2, stride=1, padding=1),
        Tensor(3, 5, 4, 2, fill=0),
        output=(3, 6, 5, 3),
    ),
    layer(
        "layer/relu",
        lambda: nn.ReLU(inplace=True),
        Tensor("N", 6, 5, 3),
        output=("N", 6, 5, 3),
        sizes=ONE_AND_THREE,
        reference=lambda relu, x: (x + x.abs()) / 2,
        known_failure={"mutation": "the ReLU works in place, so it changes its input"},
    ),
    layer(
        "layer/max-pool",
        lambda: nn.MaxPool2d(kernel_size=2, stride=1),
        Tensor("N", 6, 5, 3),
        output=("N", 6, 4, 2),
        sizes=ONE_AND_THREE,
        reference=lambda pool, x: x.unfold(2, 2, 1).unfold(3, 2, 1).flatten(-2).max(-1).values,
    ),
    layer(
        "layer/dropout",
        nn.Dropout,
        Tensor("N", 8),
        output=("N", 8),
        random_in_training=True,
        reference=lambda dropout, x: 1 * x,
        properties=(off_in_evaluation,),
    ),
    layer(
        "layer/mse-loss",
        nn.MSELoss,
        Tensor("N", 3),
        Tensor("N", 3),
        output=(),
        batch=(),
        reference=lambda loss, x, y: ((x - y) ** 2).sum() / x.numel(),
    ),
    layer("layer/conv-relu-pool", conv_relu_pool, IMAGE, output=("N", 6, 4, 2), sizes=ONE_AND_THREE),
]
