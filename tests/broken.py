"""Layers and ops with one planted fault each, beside the exact set of checks that must fail on them.

A check that rejects none of them is vacuous; `test_broken.py` asks for at least three for every check.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from pytest_torchbasics import Case, Tensor, layer, op

X = Tensor("N", 6)
IMAGE = Tensor("N", 3, 5, 4)


@dataclass(frozen=True)
class Broken:
    """A faulty case, the checks that fail on it, and a piece of the message that names the cause."""

    case: Case
    fails: frozenset[str]
    says: str
    dtype: str = "float32"


FOUND: list[Broken] = []


def broken(case: Case, *fails: str, says: str, dtype: str = "float32") -> None:
    FOUND.append(Broken(case, frozenset(fails), says, dtype))


def linear_reference(module, x):
    return (x[..., None, :] * module.weight).sum(-1) + module.bias


# --- shape ------------------------------------------------------------------------------------------------


class Squeezes(nn.Linear):
    def forward(self, x):
        return super().forward(x).squeeze()


broken(
    layer("squeeze", lambda: Squeezes(6, 1), X, output=("N", 1), batch=()),
    "shape",
    says="it returns \\(3,\\), declared is \\(3, 1\\)",
)
broken(
    op("wrong-dtype", lambda x: x.double() * 2, X, output=("N", 6)),
    "shape",
    says="has dtype float64, expected float32",
)
broken(
    op("odd-sizes", lambda x: F.max_pool1d(x[None], 2)[0], Tensor(2, "T"), output=lambda s: (2, s[1] // 2 + 1)),
    "shape",
    says="declared is \\(2, 2\\)",
)

# --- reference --------------------------------------------------------------------------------------------


broken(
    layer(
        "forgets-bias",
        lambda: nn.Linear(6, 2),
        X,
        output=("N", 2),
        reference=lambda m, x: x @ m.weight.T,
    ),
    "reference",
    "gradient_reference",
    says="elements are wrong; the worst at index",
)
broken(
    op(
        "flips-small-signs",
        lambda x: torch.where(x.abs() < 1e-3, -x, x),
        Tensor(40, low=-1e-3, high=1e-3),
        reference=lambda x: 1 * x,
    ),
    "reference",
    "gradient_reference",
    says="40 of 40 elements are wrong",
    dtype="bfloat16",
)
broken(
    op(
        "rounds-inside", lambda x: (x.to(torch.bfloat16) * 2).to(x.dtype), X, output=("N", 6), reference=lambda x: x + x
    ),
    "reference",
    "gradient",
    "gradient_reference",
    says="elements are wrong",
)
broken(
    op("overflows", lambda x: (x * 300) ** 2 / 90000, Tensor(50), reference=lambda x: x * x),
    "reference",
    says="NaN or infinite where the reference is finite",
    dtype="float16",
)
broken(
    op("one-percent", lambda x: x.sum(-1) * 1.01, X, output=("N",), reference=lambda x: x.sum(-1)),
    "reference",
    "gradient_reference",
    says="elements are wrong",
)

# --- gradient ---------------------------------------------------------------------------------------------


class MeanBiasGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, b):
        ctx.save_for_backward(x, w)
        return x @ w.T + b

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w, g.T @ x, g.mean(0)


class MeanBias(nn.Linear):
    def forward(self, x):
        return MeanBiasGradient.apply(x, self.weight, self.bias)


broken(
    layer("bias-gradient-mean", lambda: MeanBias(6, 2), X, output=("N", 2), reference=linear_reference),
    "gradient",
    "gradient_reference",
    says="the gradient by parameter bias is wrong",
)


class CornerGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        gradient = g * x.cos()
        gradient[..., -1, -1] = 0
        return gradient


broken(
    op("corner-pixel", CornerGradient.apply, IMAGE, output=("N", 3, 5, 4), reference=torch.sin),
    "gradient",
    "gradient_reference",
    says="the worst at index \\(\\d, \\d, 4, 3\\) is 0, by central differences",
)
broken(
    layer("detached-weight", lambda: Detached(6, 2), X, output=("N", 2), reference=linear_reference),
    "gradient",
    "gradient_reference",
    "parameters",
    says="gradient by parameter weight in evaluation mode is missing",
)


class Detached(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight.detach(), self.bias)


class NeedsGradient(torch.autograd.Function):
    """Returns the weight's gradient twice too large when the input needs none."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x * w

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        factor = 1 if ctx.needs_input_grad[0] else 2
        return g * w, (g * x).sum(0) * factor


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6))

    def forward(self, x):
        return NeedsGradient.apply(x, self.weight)


broken(
    layer("needs-input-grad", Scale, X, output=("N", 6)),
    "gradient",
    says="differs when the other variables require gradients too",
)


class BigCorner(torch.autograd.Function):
    """A wrong gradient in one of 4096 elements: too large for an exact check, invisible to a positive probe."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        gradient = g * x.cos()
        gradient[0, 0] = gradient[0, 0] + 3 * g[0, 0]
        return gradient


broken(
    op("one-of-4096", BigCorner.apply, Tensor(64, 64), output=(64, 64), reference=torch.sin),
    "gradient",
    "gradient_reference",
    says="along a random direction",
)

# --- batch ------------------------------------------------------------------------------------------------


broken(
    op("batch-mean", lambda x: x - x.mean(0), X, output=("N", 6)),
    "batch",
    says="of a batch of 1 \\(item \\d\\): 6 of 6 elements are wrong",
)
broken(
    layer("squeeze-batch", lambda: Squeezes(6, 1), X, output=("N",)),
    "batch",
    says="of a batch of 1 \\(item \\d\\) has shape \\(\\), expected \\(1,\\)",
)
broken(
    op("no-empty-batch", lambda x: torch.stack([item * 2 for item in x]), X, output=("N", 6)),
    "batch",
    says="a batch of 0 raises RuntimeError",
)
broken(
    op("flattens-batch", lambda x: (x * 2).flatten(), X, output=lambda s: (s[0] * s[1],)),
    "batch",
    says="no batch in dimension 0",
)
broken(
    op("softmax-over-batch", lambda x: x.softmax(0), X, output=("N", 6)),
    "batch",
    says="items of a batch influence each other",
)
broken(
    op("by-position", lambda x: x * torch.arange(1, len(x) + 1, dtype=x.dtype)[:, None], X, output=("N", 6)),
    "batch",
    says="of a batch of 1",
)

broken(
    op(
        "leaks-in-float32-only",
        lambda x: x + 0.3 * x.mean(0) if x.dtype == torch.float32 else x * 1,
        X,
        output=("N", 6),
    ),
    "batch",
    "reference",
    "gradient_reference",
    says="items of a batch influence each other",
)

# --- determinism ------------------------------------------------------------------------------------------


class AlwaysDrops(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)


broken(
    layer("drops-in-eval", AlwaysDrops, Tensor("N", 50), output=("N", 50)),
    "determinism",
    says="output is random in evaluation mode",
)
broken(
    op("python-random", lambda x: x + random.random(), X, output=("N", 6)),
    "determinism",
    "mutation",
    "gradient",
    says="differs between two calls from the same seed",
)
broken(
    layer("never-drops", lambda: nn.Dropout(0.0), X, output=("N", 6), random_in_training=True),
    "determinism",
    says="another seed gives the same result",
)

# --- mutation ---------------------------------------------------------------------------------------------


broken(
    op("in-place", lambda x: x.mul_(2), X, output=("N", 6)),
    "mutation",
    says="input\\[0\\] is changed by the call",
)


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * 2


broken(
    layer("counts-in-eval", Counts, X, output=("N", 6)),
    "mutation",
    says="calls changed in evaluation mode",
)


class ReusesBuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = None

    def forward(self, x):
        y = x * 2
        if torch.is_grad_enabled():
            return y
        if self.out is None or self.out.shape != y.shape:
            self.out = torch.empty_like(y)
        return self.out.copy_(y)


broken(
    layer("reuses-output", ReusesBuffer, X, output=("N", 6)),
    "mutation",
    says="output of the first call was overwritten by the second call",
)


class ScaleInPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 0.25

    @staticmethod
    def backward(ctx, g):
        return g.mul_(0.25)


broken(
    op("spoils-grad-output", ScaleInPlace.apply, X, output=("N", 6)),
    "mutation",
    "gradient",
    says="changes the gradient of the output",
)

# --- parameters -------------------------------------------------------------------------------------------


class Unused(nn.Linear):
    def __init__(self):
        super().__init__(6, 2)
        self.extra = nn.Parameter(torch.randn(2))


broken(
    layer("unused-parameter", Unused, X, output=("N", 2)),
    "parameters",
    says="parameter extra gets no gradient on random input",
)


class ZeroStart(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(6, 6))
        self.b = nn.Parameter(torch.zeros(6, 6))

    def forward(self, x):
        return x + x @ self.a @ self.b


broken(
    layer("both-factors-zero", ZeroStart, X, output=("N", 6)),
    "parameters",
    says="parameter a has a gradient of zero",
)


class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(6))

    def forward(self, x):
        return x * (self.a * self.a).sqrt()


broken(
    layer("root-of-zero", Root, X, output=("N", 6)),
    "parameters",
    "gradient",
    "gradient_reference",
    says="the gradient of parameter a is NaN or infinite",
)

# --- properties -------------------------------------------------------------------------------------------


def sums_to_one(function, x):
    total = function(x).sum(-1)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-3), f"the rows sum to {total.tolist()}"


def is_positive(function, x):
    return bool((function(x) > 0).all())


def is_two_dimensional(function, x):
    return function(x).dim() == 3


broken(
    op("rows-do-not-sum", lambda x: x.exp() / 6, X, output=("N", 6), properties=(sums_to_one,)),
    "properties",
    says="sums_to_one does not hold: the rows sum to",
)
broken(
    op("negative", torch.sin, X, output=("N", 6), properties=(is_positive,)),
    "properties",
    says="is_positive does not hold: it returned False",
)
broken(
    op("flat", lambda x: x * 2, X, output=("N", 6), properties=(is_two_dimensional,)),
    "properties",
    says="is_two_dimensional does not hold",
)

# --- parameters, once more: a frozen one -------------------------------------------------------------------


class Dead(nn.Linear):
    """A unit that no input switches on."""

    def forward(self, x):
        return F.relu(super().forward(x) - 1e3)


broken(
    layer("dead-units", lambda: Dead(6, 2), X, output=("N", 2)),
    "parameters",
    says="parameter weight has a gradient of zero",
)
