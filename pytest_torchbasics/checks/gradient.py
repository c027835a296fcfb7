"""The check `gradient`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch.autograd.gradcheck import GradcheckError

from ..backends import backend_for
from ..numerics.dtypes import dtype_name, wide
from ..numerics.trees import identical, map_tensors, tensors
from ..trials import Arguments, Subject, Trial, differentiable_outputs, substitute, variables
from .outcome import Outcome, failed, not_applicable, passed
from .support import cotangents, generator, mode_name, modes_that_differ, uninformative, why_not_floating

#: Above this many Jacobian entries (inputs x outputs) the exact check gives way to random probes: at 1e6 the
#: exact one takes about half a second.
EXACT_LIMIT = 1_000_000
PROBES = 4
#: Step of the central differences and the errors allowed to them (gradcheck's own eps, rtol and atol).
STEP = 1e-6
RELATIVE = 1e-3
ABSOLUTE = 1e-5


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


def gradient(trial: Trial) -> Outcome:
    """Finds a wrong derivative: float64 gradcheck of every input and parameter, alone and together.

    torch.autograd.gradcheck in its exact (slow) mode over all variables; above `EXACT_LIMIT` Jacobian entries
    signed Gaussian probes (not gradcheck's fast mode, whose fixed positive probe loses its power with size).
    Then the gradient by each variable alone must equal the one taken with all of them. It runs in float64
    (complex128) on the trial's device, whatever the trial's dtype: in low precision a difference quotient says
    nothing.
    """
    if reason := why_not_floating(trial):
        return not_applicable(reason)
    exact = dtype_name(wide(trial.torch_dtype))
    if exact not in trial.case.dtypes and exact == "float64":
        return not_applicable("the case does not run in float64")
    trial = Trial(trial.case, trial.device, exact, trial.mode)
    if reason := backend_for(trial.device).supports(trial.torch_dtype):
        return not_applicable(reason)
    samples: list[Arguments] = [map_tensors(_widened, inputs) for inputs in trial.samples()]
    smallest = min(samples, key=lambda inputs: sum(leaf.value.numel() for leaf in tensors(inputs)))
    if outcome := uninformative(trial, smallest):
        return outcome
    checked = False
    for training in modes_that_differ(trial, smallest):
        subject = trial.subject(training)
        for inputs in samples:
            values = variables(subject, inputs)
            if not values:
                continue
            # The exact check needs one forward pass an element, so it takes the smallest inputs; the others are
            # probed, since a fault may show for more than one item, or for odd sizes, only.
            exactly = inputs is smallest
            function = _function(subject, inputs, values)
            outcome = _together(trial, function, values, training, exactly) or _alone(trial, function, values, training)
            if outcome is not None:
                return outcome
            checked = True
    return passed() if checked else not_applicable("no input and no parameter requires a gradient")


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """An input of a fixed, narrower dtype in float64 (complex128) as well."""
    return tensor.detach().to(wide(tensor.dtype)).requires_grad_(tensor.requires_grad)


def _function(subject: Subject, inputs: Arguments, values: Mapping[str, torch.Tensor]) -> Function:
    """From values of the variables to the differentiable outputs."""

    def function(given: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
        replaced, parameters = substitute(inputs, {**values, **given})
        return differentiable_outputs(subject.pure(replaced, parameters))

    return function


def _together(trial: Trial, function: Function, values: Values, training: bool, exactly: bool) -> Outcome | None:
    """The derivatives by all variables at once against central differences."""
    outputs = function(values)
    if not outputs:
        return failed(
            f"no output depends on {', '.join(values)} in {mode_name(training)}",
            "a .detach(), .data, .item() or torch.no_grad() cuts the graph; if meant, declare differentiable=False",
        )
    steps = _steps(trial, function, values)
    entries = sum(value.numel() for value in values.values()) * sum(o.numel() for o in outputs)
    if exactly and entries <= EXACT_LIMIT and steps is FINE:
        first = _gradcheck(trial, function, values)
        if first is None:
            return None
        wrong = [(name, text) for name in values if (text := _worst_element(trial, function, values, name))]
        wrong = wrong or [(", ".join(values), first)]
    else:
        wrong = [(name, text) for name in values if (text := _probe(trial, function, values, name, steps))]
    if not wrong:
        return None
    return failed(
        f"in {mode_name(training)} " + "; ".join(f"the gradient by {name} is wrong: {text}" for name, text in wrong),
        "look at the backward of a hand-written autograd.Function, at in-place changes and at detached paths",
    )


def _gradcheck(trial: Trial, function: Function, values: Values) -> str | None:
    def by_position(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(function(dict(zip(values, given, strict=True))))

    # Atomic additions on an accelerator make backward vary in the last bits.
    nondeterminism = 0.0 if trial.device == "cpu" else 1e-9
    try:
        torch.autograd.gradcheck(
            by_position, tuple(values.values()), eps=STEP, rtol=RELATIVE, nondet_tol=nondeterminism
        )
    except GradcheckError as error:
        return str(error).strip().split("\n")[0]
    return None


def _worst_element(trial: Trial, function: Function, values: Values, name: str) -> str | None:
    """Where the gradient of a random combination of the outputs by one variable is most wrong."""
    variable = values[name]
    if variable.is_complex():
        return None
    outputs = function(values)
    weights = cotangents(trial, outputs)
    (analytic,) = torch.autograd.grad(outputs, [variable], weights, allow_unused=True)
    analytic = torch.zeros_like(variable) if analytic is None else analytic
    numeric = torch.empty_like(analytic)
    for position in range(variable.numel()):
        direction = torch.zeros_like(variable).detach()
        direction.view(-1)[position] = 1
        numeric.view(-1)[position] = _difference_quotient(function, values, name, direction, weights, STEP)
    error = (analytic - numeric).abs()
    bad = ~(error <= ABSOLUTE + RELATIVE * numeric.abs())
    if not bool(bad.any()):
        return None
    index = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
    return (
        f"{int(bad.sum())} of {error.numel()} elements; the worst at index {index} is {analytic[index].item():.6g}, "
        f"by central differences {numeric[index].item():.6g}"
    )


def _steps(trial: Trial, function: Function, values: Values) -> Steps:
    """Coarse steps where the function computes in float32 inside, as many normalisations and softmaxes do on purpose.

    A change of 1e-11 of an input is then rounded away, so a difference quotient of a fine step is 0.
    """
    outputs = function(values)
    for name, value in values.items():
        moved = function({**values, name: (value.detach() * (1 + 1e-11)).requires_grad_()})
        still = all(identical(a, b) for a, b in zip(outputs, moved, strict=True))
        gradients = torch.autograd.grad(outputs, [value], cotangents(trial, outputs), True, allow_unused=True)
        if still and gradients[0] is not None and bool((gradients[0] * value).detach().abs().max() > 1e-6):
            return COARSE
    return FINE


def _probe(trial: Trial, function: Function, values: Values, name: str, steps: Steps) -> str | None:
    """Compare derivatives along random signed directions; a real fault fails at every step."""
    source = generator(trial)
    variable = values[name]
    if variable.numel() == 0:
        return None
    for _ in range(PROBES):
        direction = torch.randn(variable.shape, generator=source, dtype=variable.dtype).to(variable.device)
        outputs = function(values)
        weights = [
            torch.randn(o.shape, generator=source, dtype=o.dtype).to(o.device) / max(o.numel(), 1) ** 0.5
            for o in outputs
        ]
        (found,) = torch.autograd.grad(outputs, [variable], weights, allow_unused=True)
        found = torch.zeros_like(variable) if found is None else found
        analytic = float((found.conj() * direction).sum().real)
        # The size of a random projection of the gradient: what a fault of its own size would change.
        scale = float(found.norm() * direction.norm()) / variable.numel() ** 0.5
        # Two steps, because a kink (ReLU, max) may lie within the larger one.
        numeric = [_difference_quotient(function, values, name, direction, weights, h) for h in steps.sizes]
        if all(not abs(value - analytic) <= steps.relative * scale + steps.absolute for value in numeric):
            return f"along a random direction it is {analytic:.6g}, by central differences {numeric[0]:.6g}"
    return None


def _difference_quotient(
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


def _alone(trial: Trial, function: Function, values: Values, training: bool) -> Outcome | None:
    """The gradient by each variable, the others held constant, must be the one taken with all of them."""
    outputs = function(values)
    weights = cotangents(trial, outputs)
    joint = torch.autograd.grad(outputs, list(values.values()), weights, allow_unused=True)
    constants = {key: value.detach() for key, value in values.items()}
    for name, together in zip(values, joint, strict=True):
        variable = values[name].detach().clone().requires_grad_()
        by_one = function({**constants, name: variable})
        if len(by_one) != len(outputs):
            continue  # some output does not depend on this variable, so the weights do not match
        (alone,) = torch.autograd.grad(by_one, [variable], weights, allow_unused=True)
        zero = torch.zeros_like(variable)
        first, second = (zero if gradient is None else gradient for gradient in (alone, together))
        if not bool((first - second).abs().max() <= 1e-9 * (1 + first.abs().max())):
            return failed(
                f"the gradient by {name} in {mode_name(training)} differs when the other variables require "
                "gradients too",
                "look at ctx.needs_input_grad in a hand-written backward: gradients are returned in a wrong place",
            )
    return None
