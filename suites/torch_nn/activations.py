"""Activations, element by element and along a dimension, each beside its formula."""

from __future__ import annotations

import torch
from torch import nn

from pytest_torchbasics import Declared, Tensor, layer

SHAPE = ("N", 4, 5)
X = Tensor(*SHAPE)


def sigmoid(x):
    return 1 / (1 + (-x).exp())


def normal_cdf(x):
    return (1 + torch.erf(x / 2**0.5)) / 2


def softmax(x, dim):
    powers = (x - x.amax(dim, keepdim=True)).exp()
    return powers / powers.sum(dim, keepdim=True)


def softplus(x):
    return torch.logaddexp(x, torch.zeros_like(x))


def elu(x, alpha=1.0):
    return x.clamp_min(0) + alpha * (x.clamp_max(0).exp() - 1)


#: A class by name, how it is made, and the formula of its result.
FORMULAS = {
    "celu": (lambda: nn.CELU(1.5), lambda m, x: x.clamp_min(0) + 1.5 * ((x.clamp_max(0) / 1.5).exp() - 1)),
    "elu": (lambda: nn.ELU(0.7), lambda m, x: elu(x, 0.7)),
    "gelu": (nn.GELU, lambda m, x: x * normal_cdf(x)),
    "gelu/tanh": (
        lambda: nn.GELU("tanh"),
        lambda m, x: x * sigmoid(2 * (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)),
    ),
    "hardshrink": (nn.Hardshrink, lambda m, x: x * (x.abs() > 0.5)),
    "hardsigmoid": (nn.Hardsigmoid, lambda m, x: ((x + 3) / 6).clamp(0, 1)),
    "hardswish": (nn.Hardswish, lambda m, x: x * ((x + 3) / 6).clamp(0, 1)),
    "hardtanh": (lambda: nn.Hardtanh(-0.8, 1.2), lambda m, x: x.clamp(-0.8, 1.2)),
    "leaky-relu": (lambda: nn.LeakyReLU(0.1), lambda m, x: x.clamp_min(0) + 0.1 * x.clamp_max(0)),
    "log-sigmoid": (nn.LogSigmoid, lambda m, x: -softplus(-x)),
    "mish": (nn.Mish, lambda m, x: x * softplus(x).tanh()),
    "relu": (nn.ReLU, lambda m, x: (x + x.abs()) / 2),
    "relu6": (nn.ReLU6, lambda m, x: x.clamp(0, 6)),
    "selu": (nn.SELU, lambda m, x: 1.0507009873554805 * elu(x, 1.6732632423543772)),
    "sigmoid": (nn.Sigmoid, lambda m, x: sigmoid(x)),
    "silu": (nn.SiLU, lambda m, x: x * sigmoid(x)),
    "softplus": (lambda: nn.Softplus(2.0), lambda m, x: softplus(2 * x) / 2),
    "softshrink": (nn.Softshrink, lambda m, x: x - x.clamp(-0.5, 0.5)),
    "softsign": (nn.Softsign, lambda m, x: x / (1 + x.abs())),
    "tanh": (nn.Tanh, lambda m, x: 2 * sigmoid(2 * x) - 1),
    "tanhshrink": (nn.Tanhshrink, lambda m, x: x - x.tanh()),
    "threshold": (lambda: nn.Threshold(0.1, 20.0), lambda m, x: torch.where(x > 0.1, x, 20.0)),
    "softmax": (lambda: nn.Softmax(-1), lambda m, x: softmax(x, -1)),
    "softmax/dim-1": (lambda: nn.Softmax(1), lambda m, x: softmax(x, 1)),
    "softmin": (lambda: nn.Softmin(-1), lambda m, x: softmax(-x, -1)),
    "log-softmax": (lambda: nn.LogSoftmax(-1), lambda m, x: x - x.logsumexp(-1, keepdim=True)),
    "prelu": (lambda: nn.PReLU(4), lambda m, x: x.clamp_min(0) + m.weight[:, None] * x.clamp_max(0)),
}

#: What does not hold, by case.
FAILURES = {
    "hardsigmoid": Declared("torch's backward takes 1/6 from float32", check="gradient_reference", dtype="float64"),
}

CASES = [
    *(
        layer(name, make, X, output=SHAPE, reference=formula, known_failure=FAILURES.get(name, ()))
        for name, (make, formula) in FORMULAS.items()
    ),
    layer(
        "relu/inplace",
        lambda: nn.ReLU(inplace=True),
        X,
        output=SHAPE,
        known_failure={"mutation": "it works in place, so it changes its input"},
    ),
    layer(
        "glu", nn.GLU, Tensor("N", 4, 6), output=("N", 4, 3), reference=lambda m, x: x[..., :3] * sigmoid(x[..., 3:])
    ),
    layer(
        "softmax2d",
        nn.Softmax2d,
        Tensor("N", 3, 4, 2),
        output=("N", 3, 4, 2),
        reference=lambda m, x: softmax(x, 1),
    ),
    layer(
        "rrelu",
        nn.RReLU,
        X,
        output=SHAPE,
        random_in_training=True,
        unsupported=Declared("torch has no kernel for training", device="cpu", dtype="float16"),
        reference=lambda m, x: x.clamp_min(0) + (m.lower + m.upper) / 2 * x.clamp_max(0),
    ),
]
