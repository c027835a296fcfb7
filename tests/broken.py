"""Layers and ops with one planted fault each, beside the exact set of checks that must fail on them.

A check that rejects none of them is vacuous; `test_broken.py` asks for at least three for every check.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from pytest_torchbasics import (
    Case,
    Tensor,
    causal,
    equivariant,
    invariant,
    layer,
    op,
    padding_mask,
    parameters,
    tied,
)

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
    "movement",
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
    "forward_gradient",
    "second_gradient",
    says="elements are wrong",
)
broken(
    op("overflows", lambda x: (x * 300) ** 2 / 90000, Tensor(50), reference=lambda x: x * x),
    "reference",
    "edge_values",
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
    "second_gradient",
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
    says="1 of 4096 elements; the worst at index \\(0, 0\\)",
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
    op(
        "by-position",
        lambda x: x * torch.arange(1, len(x) + 1, dtype=x.dtype, device=x.device)[:, None],
        X,
        output=("N", 6),
    ),
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
    "vmap",
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
    "edge_values",
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

# --- second_gradient --------------------------------------------------------------------------------------


class ConstantInBackward(torch.autograd.Function):
    """The derivative is kept on ctx, where it is a constant to autograd."""

    @staticmethod
    def forward(ctx, x):
        ctx.slope = x.cos()
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g * ctx.slope


class DetachedGradient(torch.autograd.Function):
    """Right once; the gradient that is sent back loses its graph."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g.detach() * x.cos()


class HalfSecond(torch.autograd.Function):
    """The slope by a function of its own, whose derivative is half of what it must be."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * HalfSlope.apply(x)


class HalfSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.cos()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return -0.5 * g * x.sin()


broken(
    op("constant-in-backward", ConstantInBackward.apply, X, output=("N", 6)),
    "second_gradient",
    says="second derivative by input\\[0\\] is wrong: \\d+ of \\d+ elements; the worst at index",
)
broken(
    op("detached-grad-output", DetachedGradient.apply, X, output=("N", 6)),
    "second_gradient",
    says="the derivative of the gradient by the gradient sent back is 0 along a random direction",
)
broken(
    op("half-second-derivative", HalfSecond.apply, X, output=("N", 6)),
    "second_gradient",
    says="second derivative by input\\[0\\] is wrong",
)

# --- forward_gradient -------------------------------------------------------------------------------------


class Product(torch.autograd.Function):
    """x * w with a forward mode that subclasses spoil."""

    @staticmethod
    def forward(x, w):
        return x * w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g * w, (g * x).sum(0)


class ForgetsTangent(Product):
    @staticmethod
    def jvp(ctx, tx, tw):
        return tx * ctx.saved_tensors[1]


class SwapsTangents(Product):
    @staticmethod
    def jvp(ctx, tx, tw):
        x, w = ctx.saved_tensors
        return tx * x + tw * w


class HalvesTangents(Product):
    @staticmethod
    def jvp(ctx, tx, tw):
        x, w = ctx.saved_tensors
        return (tx * w + tw * x) / 2


for name, function in (("forgets", ForgetsTangent), ("swaps", SwapsTangents), ("halves", HalvesTangents)):
    broken(
        op(f"jvp-{name}", function.apply, X, Tensor(6), output=("N", 6)),
        "forward_gradient",
        says="the forward-mode derivative by input\\[\\d\\] along a random direction is",
    )

# --- strides ----------------------------------------------------------------------------------------------


def raw(x):
    """What a kernel reads that is given a pointer and a count."""
    return x.as_strided(x.shape, torch.empty(x.shape).stride(), x.storage_offset())


class RawGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        memory = g.flatten() if g.untyped_storage().nbytes() < g.numel() * g.element_size() else raw(g).flatten()
        return memory.view(x.shape) * x.cos()


broken(
    op("reads-raw-memory", lambda x: raw(x) * 2, Tensor(3, 6), output=(3, 6)),
    "strides",
    says="output for transposed inputs: \\d+ of 18 elements are wrong",
)
broken(
    op("raw-grad-output", RawGradient.apply, Tensor(3, 6), output=(3, 6)),
    "strides",
    says="gradient by input\\[0\\] for transposed gradients sent back",
)
broken(
    op("from-the-start-of-memory", lambda x: x.as_strided(x.shape, x.stride(), 0) * 2, Tensor(3, 6), output=(3, 6)),
    "strides",
    says="output for gapped inputs",
)

# --- memory_format ----------------------------------------------------------------------------------------


def is_channels_last(x):
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class ChannelsLastWeight(nn.Conv2d):
    def forward(self, x):
        y = super().forward(x)
        return y * 1.5 if is_channels_last(self.weight) else y


broken(
    op("fast-path", lambda x: x * (1.01 if is_channels_last(x) else 1.0), IMAGE, output=("N", 3, 5, 4)),
    "memory_format",
    says="output for channels_last inputs",
)
broken(
    op(
        "width-stride",
        lambda x: x.as_strided(x.shape, (*x.stride()[:3], 1)) * 1,
        Tensor("N", 3, 5, 4, requires_grad=False),
        output=("N", 3, 5, 4),
    ),
    "memory_format",
    "strides",
    says="output for channels_last inputs",
)
broken(
    layer("weight-format", lambda: ChannelsLastWeight(3, 4, 2), IMAGE, output=("N", 4, 4, 3)),
    "memory_format",
    says="output for channels_last inputs and weights",
)

# --- modes ------------------------------------------------------------------------------------------------


class ForgetsSelf(nn.Linear):
    def train(self, mode=True):
        super().train(mode)


class ForgetsChildren(nn.Sequential):
    def train(self, mode=True):
        self.training = mode
        return self


class Freezes(nn.Linear):
    def train(self, mode=True):
        if not mode:
            self.requires_grad_(False)
        return super().train(mode)


class InferenceTable(nn.Module):
    """A table that is made at the first call, under whatever mode that runs."""

    def __init__(self):
        super().__init__()
        self.table = None

    def forward(self, x):
        if self.table is None or self.table.dtype != x.dtype or self.table.device != x.device:
            self.table = torch.arange(6, dtype=x.dtype, device=x.device).cos()
        return x * self.table


broken(
    layer("train-returns-none", lambda: ForgetsSelf(6, 2), X, output=("N", 2)),
    "modes",
    says="train\\(\\) returns NoneType",
)
broken(
    layer("eval-stops-at-the-top", lambda: ForgetsChildren(nn.Linear(6, 2), nn.Tanh()), X, output=("N", 2)),
    "modes",
    says="after eval\\(\\) these are still in training mode: 0, 1",
)
broken(
    layer("eval-freezes", lambda: Freezes(6, 2), X, output=("N", 2)),
    "modes",
    says="changed requires_grad of weight, bias",
)
broken(
    layer("table-of-inference-mode", InferenceTable, X, output=("N", 6)),
    "modes",
    says="after a call under torch.inference_mode it cannot be trained",
)

# --- state ------------------------------------------------------------------------------------------------


class NotRegistered(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.randn(6)

    def forward(self, x):
        return x * self.scale.to(x)


class SharedCopy(nn.Linear):
    def __deepcopy__(self, memo):
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied


class AlteredByLoading(nn.Linear):
    def _load_from_state_dict(self, state, prefix, *others):
        self.weight.data = state[f"{prefix}weight"].clamp(-0.1, 0.1)
        self.bias.data = state[f"{prefix}bias"].clone()


class BoundToSelf(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.function = lambda x: F.linear(x, self.weight, self.bias)

    def forward(self, x):
        return self.function(x)


class TiedByData(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight.data = self.first.weight.data

    def forward(self, x):
        return self.second(self.first(x))


broken(
    layer("not-registered", NotRegistered, X, output=("N", 6)),
    "state",
    says="differs in a fresh module that loaded the state_dict",
)
broken(layer("shared-copy", lambda: SharedCopy(6, 2), X, output=("N", 2)), "state", says="the weights of a deep copy")
broken(
    layer("altered-by-loading", lambda: AlteredByLoading(6, 2), X, output=("N", 2)),
    "state",
    says="is not what was loaded",
)
broken(
    layer("bound-to-self", lambda: BoundToSelf(6, 2), X, output=("N", 2)),
    "state",
    says="a deep copy does not use its own weights",
)
broken(
    layer("tied-by-data", TiedByData, X, output=("N", 6)),
    "state",
    "parameters",
    says="are different parameters that share memory",
)

# --- movement ---------------------------------------------------------------------------------------------


class HiddenInList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(6, 2)]

    def forward(self, x):
        return self.layers[0].to(x)(x)


class StaleTable(InferenceTable):
    def forward(self, x):
        with torch.inference_mode(False):
            if self.table is None or self.table.device != x.device:
                self.table = torch.arange(6, device=x.device, dtype=x.dtype).cos()
        return x * self.table.to(x.dtype)


class ReplacesParameters(nn.Linear):
    def reset_parameters(self):
        self.weight = nn.Parameter(torch.randn(self.weight.shape))
        self.bias = nn.Parameter(torch.zeros(self.bias.shape))


broken(
    op("no-device", lambda x: x * torch.arange(6.0).to(x.dtype), X, output=("N", 6)),
    "movement",
    says="meets a tensor that was not moved, at .*arange",
)
broken(
    layer("hidden-in-list", HiddenInList, X, output=("N", 2)),
    "movement",
    "state",
    says="layers\\[0\\] is a module that is not registered",
)
broken(
    layer("stale-table", StaleTable, X, output=("N", 6)),
    "movement",
    says="after a call in float32 and .to\\(float64\\)",
)
broken(
    layer("reset-replaces", lambda: ReplacesParameters(6, 2), X, output=("N", 2)),
    "movement",
    says="reset_parameters\\(\\) replaces parameter weight",
)
broken(
    op("float64-inside", lambda x: x.double().logsumexp(-1).to(x.dtype), X, output=("N",)),
    "movement",
    says="it computes in float64 inside of float32",
)
broken(
    op("default-dtype", lambda x: x * torch.finfo(torch.get_default_dtype()).eps * 1e7, X, output=("N", 6)),
    "movement",
    says="changes with torch.set_default_dtype",
)

# --- edge_values ------------------------------------------------------------------------------------------

broken(
    op("softplus-by-hand", lambda x: (1 + x.exp()).log(), X, output=("N", 6)),
    "edge_values",
    says="NaN or infinite for large inputs",
)
broken(
    op("norm-clamped-late", lambda x: x / x.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-3), X, output=("N", 6)),
    "edge_values",
    says="the gradient by input\\[0\\] is NaN or infinite for inputs of zero, where the function has a slope",
)
broken(
    op("mean-over-size", lambda x: x / x.abs().sum(-1, keepdim=True), X, output=("N", 6)),
    "edge_values",
    says="output is NaN or infinite for inputs of zero",
)
broken(
    op("hides-nan", lambda x: torch.nan_to_num(x) * 2, X, output=("N", 6)),
    "edge_values",
    says="a NaN in input\\[0\\] at index \\(\\d, \\d\\) does not show in the result",
)

# --- autocast ---------------------------------------------------------------------------------------------


class IntoZeros(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        out = torch.zeros(len(x), self.out_features, dtype=x.dtype, device=x.device)
        out[torch.arange(len(x), device=x.device)] = y
        return out


class PositionsByMatmul(nn.Module):
    def forward(self, x):
        positions = torch.arange(500, 500 + x.shape[1], dtype=x.dtype, device=x.device)
        angles = positions[:, None] @ torch.tensor([[0.7]], dtype=x.dtype, device=x.device)
        return x * angles.sin().squeeze(-1)


class ComparesDtype(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        return y if y.dtype == x.dtype else y * 1.5


broken(
    layer("into-zeros", lambda: IntoZeros(6, 2), X, output=("N", 2), autocast=True),
    "autocast",
    "vmap",
    says="it raises under autocast to bfloat16",
)
broken(
    layer("positions-by-matmul", PositionsByMatmul, X, output=("N", 6)),
    "autocast",
    says="output under autocast to bfloat16 in evaluation mode: \\d+ of \\d+ elements are wrong",
)
broken(layer("compares-dtype", lambda: ComparesDtype(6, 2), X, output=("N", 2)), "autocast", says="elements are wrong")

# --- compile ----------------------------------------------------------------------------------------------


class SizeRemembered(nn.Module):
    def __init__(self):
        super().__init__()
        self.size = None

    def forward(self, x):
        self.size = self.size or len(x)
        return x.reshape(self.size if torch.compiler.is_compiling() else len(x), 6) * 2


broken(
    op("other-formula", lambda x: x.sigmoid() if torch.compiler.is_compiling() else x.tanh(), X, output=("N", 6)),
    "compile",
    says="output compiled by aot_eager\\w* in evaluation mode: \\d+ of \\d+ elements are wrong",
)
broken(layer("size-remembered", SizeRemembered, X, output=("N", 6)), "compile", says="compiled, it raises")
broken(
    op("graph-break", lambda x: x * 2 if x.sum() > -1e9 else -x, X, output=("N", 6), fullgraph=True),
    "compile",
    "synchronization",
    says="declared fullgraph=True, but the graph breaks",
)

# --- vmap -------------------------------------------------------------------------------------------------


class IgnoresInDims(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.cumsum(-1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return g.flip(-1).cumsum(-1).flip(-1)

    @staticmethod
    def vmap(info, in_dims, x):
        return x.cumsum(-1), 0


class SumsMapped(IgnoresInDims):
    @staticmethod
    def vmap(info, in_dims, x):
        return x.movedim(in_dims[0], 0).cumsum(0), 0


def into_unmapped(x):
    out = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
    out[..., :] = x * 2
    return out


broken(op("ignores-in-dims", IgnoresInDims.apply, X, output=("N", 6)), "vmap", says="under vmap along dimension -1")
broken(op("sums-over-mapped", SumsMapped.apply, X, output=("N", 6)), "vmap", says="under vmap along dimension 0")
broken(op("into-unmapped", into_unmapped, X, output=("N", 6)), "vmap", says="under vmap along dimension 0 it raises")

# --- leak -------------------------------------------------------------------------------------------------

SEEN: list[torch.Tensor] = []


class Remembers(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.seen = []

    def forward(self, x):
        y = super().forward(x)
        self.seen.append(y.detach().clone())
        return y * 1


def nothing(*_):
    return None


class HooksEachCall(nn.Linear):
    def forward(self, x):
        self.register_forward_hook(nothing)
        return super().forward(x)


class MovingMean(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return x - self.mean


def remembered(x):
    y = x * 2
    SEEN.append(y)
    return y


broken(
    layer("remembers", lambda: Remembers(6, 2), X, output=("N", 2)),
    "leak",
    says="results of 10 of 10 calls are still alive",
)
broken(op("remembered-by-the-file", remembered, X, output=("N", 6)), "leak", says="results of 10 of 10 calls")
broken(
    layer("hooks-each-call", lambda: HooksEachCall(6, 2), X, output=("N", 2)), "leak", says="the number of hooks grew"
)
broken(layer("moving-mean", MovingMean, X, output=("N", 6)), "leak", "state", says="buffer mean keeps the graph")

# --- synchronization --------------------------------------------------------------------------------------


def doubled_where(x):
    y = x.clone()
    y[x > 0] = x[x > 0] * 2
    return y


broken(
    op("reads-item", lambda x: x.clamp(max=x.detach().max().item() + 1), Tensor(5, 6), output=(5, 6)),
    "synchronization",
    says="reads a value on the host in evaluation mode, at `.*item",
)
broken(op("boolean-index", doubled_where, X, output=("N", 6)), "synchronization", says="reads a value on the host")
broken(
    op("round-trip", lambda x: (x.cpu() * 2).to(x.device), X, output=("N", 6)),
    "synchronization",
    says="reads a value on the host",
)

# --- scaling ----------------------------------------------------------------------------------------------


def prefix_maxima(x):
    out = x[..., :1]
    for position in range(1, x.shape[-1]):
        out = torch.cat([out, torch.maximum(out[..., -1:], x[..., position : position + 1])], -1)
    return out


class ThrownAway(nn.Module):
    def __init__(self):
        super().__init__()
        self.head, self.auxiliary = nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, x):
        y, other = self.head(x), self.auxiliary(x)
        return (y, other) if self.training else y


broken(
    op("cat-in-a-loop", prefix_maxima, Tensor(2, "T"), output=(2, "T")),
    "scaling",
    says="elements written grow like T to the power [12].\\d",
)
broken(
    op("all-pairs", lambda x: (x[:, None] - x).square().sum(-1).mean(1), Tensor("T", 3), output=("T",)),
    "scaling",
    says="elements written grow like T to the power 2.0",
)
broken(
    layer("thrown-away", ThrownAway, X),
    "scaling",
    says="1 of 2 products and convolutions in evaluation mode are for nothing",
)

# --- the named properties ---------------------------------------------------------------------------------

broken(
    op("looks-ahead", lambda x: x + x.roll(-1, 1), Tensor("N", 5, 2), output=("N", 5, 2), properties=(causal(1),)),
    "properties",
    says="changing the input from position \\d on changes output before it",
)
broken(
    op(
        "reads-padding",
        lambda x, mask: x - x.mean(1, keepdim=True),
        Tensor("N", 5, 2),
        Tensor("N", 5, dtype="bool"),
        output=("N", 5, 2),
        properties=(padding_mask(0, 1),),
    ),
    "properties",
    says="what stands in the padding changes output",
)
broken(
    op("by-order", lambda x: x.cumsum(1), Tensor("N", 5), output=("N", 5), properties=(equivariant(dim=1),)),
    "properties",
    says="a transformed argument 0 does not give the matching output",
)
broken(
    op("by-origin", lambda x: x.norm(dim=-1), X, output=("N",), properties=(invariant(lambda x: x + 1),)),
    "properties",
    says="a transformed argument 0 does not give the matching output",
)
broken(
    layer("one-too-few", lambda: nn.Linear(6, 2, bias=False), X, output=("N", 2), properties=(parameters(14),)),
    "properties",
    says="12 trainable parameters are registered, declared are 14",
)
broken(
    layer(
        "not-tied",
        lambda: nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6)),
        X,
        properties=(tied("0.weight", "1.weight"),),
    ),
    "properties",
    says="0.weight and 1.weight are two parameters",
)
