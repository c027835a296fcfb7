"""What the checks of derivatives share: the function in float64, and differences along a direction."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from unittest import mock

import torch
import torch.utils.checkpoint

from ...backends import backend_for
from ...cases import Tensor
from ...numerics.dtypes import dtype_name, wide
from ...numerics.trees import identical, map_tensors, tensors
from ...trials import Arguments, Subject, Trial, differentiable_outputs, gradients, substitute, variables
from ..outcome import Outcome, not_applicable
from .inputs import cotangents, feeds_back, mode_name, modes_that_differ, settled, uninformative, why_not_floating

#: Step of the central differences and the errors allowed to them (gradcheck's own eps, rtol and atol).
STEP = 1e-6
RELATIVE = 1e-3
ABSOLUTE = 1e-5
#: Inputs are also tried at this multiple of the declared ones.
FARTHER = 4


class Steps(NamedTuple):
    """Step sizes of the central differences of a probe, and the errors allowed to them."""

    sizes: tuple[float, float]
    relative: float
    absolute: float


FINE = Steps((STEP, STEP / 10), RELATIVE, ABSOLUTE)
#: For functions that round to float32 inside: near the cube root of its epsilon, 5e-3, rounding and curvature balance.
COARSE = Steps((4e-3, 1e-3), 3e-2, 1e-3)

Values = Mapping[str, torch.Tensor]
Function = Callable[[Values], list[torch.Tensor]]


@dataclass(frozen=True)
class Derivatives:
    """One float64 function to differentiate: the case with one sample in one mode.

    Attributes:
        trial: the case in float64 (complex128).
        where: the mode, for messages.
        values: what it is differentiated by, by name.
        function: from such values to the differentiable outputs.
        exactly: True for the sample with the fewest elements, which an exact check can afford.
    """

    trial: Trial
    where: str
    values: Values
    function: Function
    exactly: bool


def in_float64(trial: Trial, judge: Callable[[list[Derivatives]], Outcome]) -> Outcome:
    """What `judge` says of the case in float64 on the trial's device, whatever the trial's dtype.

    In low precision a difference quotient says nothing. The answer is the same for every dtype, so it is kept.
    """
    if reason := why_not_floating(trial):
        return not_applicable(reason)
    exact = dtype_name(wide(trial.torch_dtype))
    if exact not in trial.case.dtypes and exact == "float64":
        return not_applicable("the case does not run in float64")
    trial = Trial(trial.case, trial.device, exact, trial.mode)
    if reason := backend_for(trial.device).supports(trial.torch_dtype):
        return not_applicable(reason)
    return _judged(trial, judge)


@functools.lru_cache(maxsize=16)
def _judged(trial: Trial, judge: Callable[[list[Derivatives]], Outcome]) -> Outcome:
    found = _derivatives(trial)
    return found if isinstance(found, Outcome) else judge(found)


def _derivatives(trial: Trial) -> list[Derivatives] | Outcome:
    samples: list[Arguments] = [map_tensors(_widened, inputs) for inputs in trial.samples()]
    smallest = min(samples, key=lambda inputs: sum(leaf.value.numel() for leaf in tensors(inputs)))
    if outcome := uninformative(trial, smallest):
        return outcome
    found = []
    for training in modes_that_differ(trial, smallest):
        subject = settled(trial, training, smallest)
        if feeds_back(subject, smallest):
            continue
        if _checkpoints(subject, smallest):
            return not_applicable("it recomputes its forward in backward (checkpoint), where moved parameters are lost")
        for inputs in samples:
            if values := variables(subject, inputs):
                function = _function(subject, inputs, values)
                found.append(Derivatives(trial, mode_name(training), values, function, inputs is smallest))
    found += [wider for one in found if one.exactly and (wider := _farther_out(one)) is not None]
    return found or not_applicable("no input and no parameter requires a gradient")


def _checkpoints(subject: Subject, inputs: Arguments) -> bool:
    """True if activation checkpointing is used: its second forward pass sees the module's own parameters."""
    frame = getattr(torch.utils.checkpoint, "_CheckpointFrame", None)  # private, there in torch 2.1 to 2.14
    if frame is None:
        return False
    made = []
    # What it raises without its frame does not matter.
    spy = mock.patch.object(frame, "__init__", autospec=True, side_effect=lambda *_: made.append(1))
    with contextlib.suppress(Exception), spy:
        subject.pure(inputs)
    return bool(made)


def _farther_out(one: Derivatives) -> Derivatives | None:
    """The same at larger inputs, where standard normal ones seldom come; None where that leaves the domain.

    Only inputs of both signs and beyond 1 are scaled: those of one sign may be probabilities or lengths.
    """
    if any(isinstance(i, Tensor) and (i.low is not None or i.high is not None) for i in one.trial.case.inputs):
        return None
    inputs = [value for name, value in one.values.items() if name.startswith("input")]
    if not inputs or not all(is_unbounded(value) for value in inputs):
        return None
    values = {
        name: (value.detach() * FARTHER).requires_grad_() if name.startswith("input") else value
        for name, value in one.values.items()
    }
    try:
        outputs = one.function(values)
    except Exception:
        return None  # the declared inputs are judged; what raises here may be out of the domain
    if not outputs or not all(bool(output.isfinite().all()) for output in outputs):
        return None
    return replace(one, where=f"{one.where} at {FARTHER} times the declared inputs", values=values, exactly=False)


def is_unbounded(value: torch.Tensor) -> bool:
    """True for values of both signs and beyond 1: others may be probabilities, lengths or positions."""
    real = torch.view_as_real(value) if value.is_complex() else value
    return value.numel() > 0 and bool(real.min() < 0) and bool(real.max() > 0) and bool(real.abs().max() > 1)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """An input of a fixed, narrower dtype in float64 (complex128) as well."""
    return tensor.detach().to(wide(tensor.dtype)).requires_grad_(tensor.requires_grad)


def _function(subject: Subject, inputs: Arguments, values: Mapping[str, torch.Tensor]) -> Function:
    """From values of the variables to the differentiable outputs."""

    def function(given: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        replaced, parameters = substitute(inputs, {**values, **given})
        return differentiable_outputs(subject.pure(replaced, parameters))

    return function


def steps_for(trial: Trial, function: Function, values: Values) -> Steps:
    """Coarse steps where the function computes in float32 inside, as many normalisations and softmaxes do on purpose.

    A change of 1e-11 of an input is then rounded away, so a difference quotient of a fine step is 0.
    """
    outputs = function(values)
    for name, value in values.items():
        if not value.numel():
            continue
        moved = function({**values, name: (value.detach() * (1 + 1e-11)).requires_grad_()})
        still = all(identical(a, b) for a, b in zip(outputs, moved, strict=True))
        (gradient,) = gradients(outputs, [value], cotangents(trial, outputs), retain_graph=True)
        if still and gradient is not None and bool((gradient * value).detach().abs().max() > 1e-6):
            return COARSE
    return FINE


def difference_quotient(
    function: Function,
    values: Values,
    name: str,
    direction: torch.Tensor,
    weights: Sequence[torch.Tensor],
    step: float,
) -> float:
    """The central difference of the weighted sum of the outputs along a direction of one variable."""
    base = values[name].detach()
    high, low = (function({**values, name: (base + h * direction).requires_grad_()}) for h in (step, -step))
    terms = [((a - b).conj() * weight).sum().real for a, b, weight in zip(high, low, weights, strict=True)]
    return float(torch.stack(terms).sum().detach()) / (2 * step)
