"""The check `edge_values`."""

from __future__ import annotations

import re

import torch

from ..cases import Tensor
from ..numerics.trees import Leaf, tensors
from ..trials import (
    Arguments,
    Subject,
    Trial,
    floating_inputs,
    is_floating,
    substitute,
)
from .outcome import Outcome, failed, not_applicable, passed
from .support.derivatives import is_unbounded
from .support.exact import Exact
from .support.inputs import cotangents, is_random
from .support.results import results_of
from .support.tracing import Trace, graph_nodes

#: The largest of the large values: beyond exp in float32 (and bfloat16), which ends at 88.
LARGE = 120.0
#: In float16, where exp ends at 11 and squares at 255.
LARGE_IN_HALF = 24.0
#: Below the smallest normal number by this factor.
DENORMAL = 1 / 16
#: Derivatives of eigenvectors do not exist where eigenvalues are equal, which torch documents.
_DEGENERATE = re.compile(r"Linalg(Eigh?|Svd)|Eigh|Svd", re.IGNORECASE)
#: Operators by which an author selects values, and may select a NaN away. What torch's own fused kernels make of one
#: (attention, grid_sample, margin losses) is torch's.
_SELECTING = ("aten.where", "nan_to_num", "masked_fill", "masked_scatter")
#: Steps of one-sided differences: they agree where a slope exists.
STEPS = (1e-4, 1e-5)


def edge_values(trial: Trial) -> Outcome:
    """Finds NaN and infinities at zeros, large and denormal inputs, and a NaN that is swallowed.

    Large and denormal inputs are judged by float64: what is finite there and fits the dtype must be finite here,
    forward and backward. At zero a gradient must be finite where one-sided slopes are. Only inputs that take both
    signs are replaced: others have a domain.
    """
    if not trial.torch_dtype.is_floating_point:
        return not_applicable(f"{trial.dtype} is no real floating-point dtype")
    subject = trial.subject()
    ran = False
    for inputs in trial.samples():
        if not _domain(trial, inputs):
            continue
        if is_random(subject, inputs):
            return not_applicable("its result is random in evaluation mode")
        outcome = _zeros(trial, subject, inputs) or _scaled(trial, subject, inputs) or _nan(trial, subject, inputs)
        if outcome is not None:
            return outcome
        ran = True
    return passed() if ran else not_applicable("no input takes both signs: the others have a domain")


def _domain(trial: Trial, inputs: Arguments) -> set[str]:
    """The inputs that may take any value: not those with declared bounds or values."""
    bounded = {
        f"input[{position}]"
        for position, item in enumerate(trial.case.inputs)
        if isinstance(item, Tensor) and (item.low, item.high, item.fill) != (None, None, None)
    }
    real = {name: value for name, value in floating_inputs(inputs).items() if not value.is_complex()}
    return {name for name, value in real.items() if is_unbounded(value)} - bounded


def _replaced(trial: Trial, inputs: Arguments, factor: float) -> Arguments:
    names, values = _domain(trial, inputs), floating_inputs(inputs)
    scaled = {name: (values[name].detach() * factor).requires_grad_(values[name].requires_grad) for name in names}
    return substitute(inputs, scaled)[0]


def _zeros(trial: Trial, subject: Subject, inputs: Arguments) -> Outcome | None:
    if trial.dtype == "float16":
        return None  # the usual epsilons, 1e-8 to 1e-5, are zero there or overflow in the backward
    zeros = _replaced(trial, inputs, 0.0)
    found = results_of(trial, subject, zeros)
    if bad := _not_finite(found.outputs):
        return failed(
            f"{bad} is NaN or infinite for inputs of zero", "a division by zero or log(0): add or clamp by an epsilon"
        )
    wrong = [name for name, value in found.gradients.items() if value is not None and not _finite(value)]
    if wrong and not _is_degenerate(subject, zeros) and _has_slopes(trial, subject, zeros):
        return failed(
            f"the gradient by {wrong[0]} is NaN or infinite for inputs of zero, where the function has a slope",
            "sqrt, norm or a division at 0: put the epsilon inside of the root; torch.where does not stop a NaN "
            "gradient of the branch that is not taken",
        )
    return None


def _has_slopes(trial: Trial, subject: Subject, inputs: Arguments) -> bool:
    """True if one-sided difference quotients along a random direction stay the same when the step shrinks."""
    exact = Exact(trial, training=False, own=False)
    inputs = exact.inputs(inputs)
    values = exact.values(inputs)
    source = torch.Generator().manual_seed(trial.seed)
    start = [leaf.value.detach() for leaf in exact.outputs(inputs, {}) if is_floating(leaf.value.dtype)]
    direction = {
        name: torch.randn(v.shape, generator=source, dtype=torch.float64)
        if name.startswith("input")
        else torch.zeros(v.shape)
        for name, v in values.items()
    }
    slopes = []
    for step in STEPS:
        moved = {name: value.detach() + step * direction[name] for name, value in values.items()}
        ends = [leaf.value.detach() for leaf in exact.outputs(inputs, moved) if is_floating(leaf.value.dtype)]
        slopes.append([(end - begin) / step for end, begin in zip(ends, start, strict=True)])
    return all(bool(((a - b).abs() <= 0.02 * (a.abs() + b.abs()) + 1e-3).all()) for a, b in zip(*slopes, strict=True))


def _scaled(trial: Trial, subject: Subject, inputs: Arguments) -> Outcome | None:
    if trial.dtype == "float64" or "float64" not in trial.case.dtypes:
        return None
    tiny = torch.finfo(trial.torch_dtype).tiny * DENORMAL
    size = max(float(floating_inputs(inputs)[name].detach().abs().max()) for name in _domain(trial, inputs))
    large = (LARGE_IN_HALF if trial.dtype == "float16" else LARGE) / size
    for name, factor in (("large", large), ("denormal", tiny)):
        if name == "denormal" and trial.dtype == "float16":
            continue  # squares and epsilons vanish there
        given = _replaced(trial, inputs, factor)
        try:
            found = results_of(trial, subject, given)
            exact = Exact(trial, training=False, own=False)
            wanted = exact.outputs(exact.inputs(given), {})
        except (ValueError, RuntimeError, IndexError):
            continue  # it refuses such values
        for got, expected in zip(found.outputs, wanted, strict=False):
            if _lost(got.value, expected.value, trial.torch_dtype):
                return failed(
                    f"output{got.path} is NaN or infinite for {name} inputs ({factor:.3g} times the declared ones), "
                    f"where float64 is finite",
                    f"an intermediate value leaves the range of {trial.dtype}: use log1p, logsumexp, softplus or "
                    "logits, subtract the maximum first, or compute wider inside",
                )
        if trial.dtype == "float16":
            continue  # its backward needs the loss scaled
        known_gradients = exact.gradients(exact.inputs(given), {}, lambda results: cotangents(trial, results)) or {}
        for variable, actual in found.gradients.items():
            known = known_gradients.get(variable)
            if actual is not None and known is not None and _lost(actual, known, trial.torch_dtype):
                return failed(
                    f"the gradient by {variable} is NaN or infinite for {name} inputs ({factor:.3g} times the declared "
                    f"ones), where float64 is finite",
                    f"an intermediate value of the backward leaves the range of {trial.dtype}",
                )
    return None


def _lost(actual: torch.Tensor, exact: torch.Tensor, dtype: torch.dtype) -> bool:
    """True if something is not finite that is finite in float64 and fits the dtype."""
    if not is_floating(actual.dtype) or actual.shape != exact.shape:
        return False
    fits = exact.detach().to_dense().abs() < torch.finfo(dtype).max / 4
    return bool((~actual.detach().to_dense().cpu().isfinite() & fits).any())


def _nan(trial: Trial, subject: Subject, inputs: Arguments) -> Outcome | None:
    """A NaN where the result depends on an input must come out again."""
    with Trace() as trace:
        found = results_of(trial, subject, inputs)
    names = {operation.name for operation in trace.operations}
    own = all(name.startswith(("aten.", "prims.")) for name in names)  # other kernels may take a NaN for an index
    if not own or not any(selecting in name for name in names for selecting in _SELECTING):
        return None
    for name in sorted(_domain(trial, inputs)):
        gradient = found.gradients.get(name)
        if gradient is None or not bool((gradient != 0).any()):
            continue
        index = tuple(int(i) for i in torch.unravel_index(gradient.abs().argmax(), gradient.shape))
        spoiled, _ = substitute(inputs, {name: _with_nan(floating_inputs(inputs)[name], index)})
        try:
            outputs = tensors(subject.pure(spoiled))
        except (ValueError, RuntimeError, IndexError):
            continue  # it refuses a NaN, which is as good
        if not any(is_floating(leaf.value.dtype) and bool(leaf.value.isnan().any()) for leaf in outputs):
            return failed(
                f"a NaN in {name} at index {index} does not show in the result, which depends on that element",
                "a comparison sends NaN into the other branch (torch.where, clamp by hand), or nan_to_num hides it; "
                "faults upstream go unseen",
            )
    return None


def _with_nan(tensor: torch.Tensor, index: tuple[int, ...]) -> torch.Tensor:
    spoiled = tensor.detach().clone()
    spoiled[index] = torch.nan
    return spoiled.requires_grad_(tensor.requires_grad)


def _is_degenerate(subject: Subject, inputs: Arguments) -> bool:
    """True if an eigen- or singular value decomposition lies on the way."""
    return any(_DEGENERATE.search(node.name()) for node in graph_nodes(subject.pure(inputs)))


def _finite(value: torch.Tensor) -> bool:
    return bool(value.detach().to_dense().isfinite().all())


def _not_finite(outputs: list[Leaf]) -> str:
    return next(
        (f"output{leaf.path}" for leaf in outputs if is_floating(leaf.value.dtype) and not _finite(leaf.value)), ""
    )
