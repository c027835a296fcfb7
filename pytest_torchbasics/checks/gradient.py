"""The check `gradient`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.autograd.gradcheck import GradcheckError

from ..trials import Trial, gradients
from .outcome import Outcome, failed, passed
from .support.derivatives import (
    ABSOLUTE,
    FINE,
    RELATIVE,
    STEP,
    Derivatives,
    Function,
    Steps,
    Values,
    difference_quotient,
    in_float64,
    steps_for,
)
from .support.inputs import cotangents, generator

#: Above this many elements of inputs and parameters the exact check gives way to random probes: it takes two forward
#: passes for each, which for the CNN of the tutorial (596 parameters) come to about a second.
EXACT_LIMIT = 160
#: Up to this many elements of a variable whose gradient is wrong are tried one by one, to tell where it is.
LOCATED_LIMIT = 5000
PROBES = 4


def gradient(trial: Trial) -> Outcome:
    """Finds a wrong derivative: float64 gradcheck of every input and parameter, alone and together.

    torch.autograd.gradcheck in its exact (slow) mode over all variables; above `EXACT_LIMIT` elements of them
    signed Gaussian probes (not gradcheck's fast mode, whose fixed positive probe loses its power with size).
    Then the gradient by each variable alone must equal the one taken with all of them. It runs in float64
    (complex128) on the trial's device, whatever the trial's dtype.
    """
    return in_float64(trial, _judge)


def _judge(found: list[Derivatives]) -> Outcome:
    for one in found:
        outcome = _together(one) or _alone(one)
        if outcome is not None:
            return outcome
    return passed()


def _together(one: Derivatives) -> Outcome | None:
    """The derivatives by all variables at once against central differences."""
    trial, function, values = one.trial, one.function, one.values
    outputs = function(values)
    if not outputs:
        return failed(
            f"no output depends on {', '.join(values)} in {one.where}",
            "a .detach(), .data, .item() or torch.no_grad() cuts the graph; if meant, declare differentiable=False",
        )
    steps = steps_for(trial, function, values)
    size = sum(value.numel() for value in values.values())
    # The exact check needs one forward pass an element, so it takes the smallest inputs; the others are probed, since
    # a fault may show for more than one item, or for odd sizes, only.
    if one.exactly and size <= EXACT_LIMIT and steps is FINE:
        first = _gradcheck(trial, function, values)
        if first is None:
            return None
        if "layout" in first:
            return _probed(one, steps)  # gradcheck takes no sparse gradients
        wrong = {name: text for name in values if (text := _worst_element(one, name))}
        return _wrong(one, wrong or {", ".join(values): first})
    return _probed(one, steps)


def _probed(one: Derivatives, steps: Steps) -> Outcome | None:
    """Compare derivatives along random signed directions; a real fault fails at every step."""
    source = generator(one.trial)
    wrong: dict[str, str] = {}
    for _ in range(PROBES):
        outputs = one.function(one.values)
        weights = [_random(output, source) / max(output.numel(), 1) ** 0.5 for output in outputs]
        found = gradients(outputs, list(one.values.values()), weights)
        for (name, variable), gradient in zip(one.values.items(), found, strict=True):
            if variable.numel() and name not in wrong:
                text = _along(one, name, gradient, _random(variable, source), weights, steps)
                wrong |= {name: text} if text else {}
    if steps is FINE:
        wrong = {name: _worst_element(one, name) or text for name, text in wrong.items()}
    return _wrong(one, wrong) if wrong else None


def _random(like: torch.Tensor, source: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=source, dtype=like.dtype).to(like.device)


def _along(
    one: Derivatives,
    name: str,
    gradient: torch.Tensor | None,
    direction: torch.Tensor,
    weights: Sequence[torch.Tensor],
    steps: Steps,
) -> str | None:
    """What is wrong with the gradient by one variable along a direction, if it is."""
    found = torch.zeros_like(direction) if gradient is None else gradient
    analytic = float((found.conj() * direction).sum().real)
    # The size of a random projection of the gradient: what a fault of its own size would change.
    scale = float(found.norm() * direction.norm()) / direction.numel() ** 0.5
    allowed = steps.relative * scale + steps.absolute
    # Two steps, because a kink (ReLU, max) may lie within the larger one.
    for size in steps.sizes:
        numeric = difference_quotient(one.function, one.values, name, direction, weights, size)
        if abs(numeric - analytic) <= allowed:
            return None
    return f"along a random direction it is {analytic:.6g}, by central differences {numeric:.6g}"


def _wrong(one: Derivatives, wrong: dict[str, str]) -> Outcome:
    return failed(
        f"in {one.where} " + "; ".join(f"the gradient by {name} is wrong: {text}" for name, text in wrong.items()),
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


def _worst_element(one: Derivatives, name: str) -> str | None:
    """Where the gradient of a random combination of the outputs by one variable is most wrong."""
    trial, function, values = one.trial, one.function, one.values
    variable = values[name]
    if variable.is_complex() or variable.numel() > LOCATED_LIMIT:
        return None
    outputs = function(values)
    weights = cotangents(trial, outputs)
    (analytic,) = gradients(outputs, [variable], weights)
    analytic = torch.zeros_like(variable) if analytic is None else analytic
    numeric = torch.empty_like(analytic)
    for position in range(variable.numel()):
        direction = torch.zeros_like(variable).detach()
        direction.view(-1)[position] = 1
        numeric.view(-1)[position] = difference_quotient(function, values, name, direction, weights, STEP)
    error = (analytic - numeric).abs()
    bad = ~(error <= ABSOLUTE + RELATIVE * numeric.abs())
    if not bool(bad.any()):
        return None
    index = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
    return (
        f"{int(bad.sum())} of {error.numel()} elements; the worst at index {index} is {analytic[index].item():.6g}, "
        f"by central differences {numeric[index].item():.6g}"
    )


def _alone(one: Derivatives) -> Outcome | None:
    """The gradient by each variable, the others held constant, must be the one taken with all of them."""
    trial, function, values = one.trial, one.function, one.values
    outputs = function(values)
    weights = cotangents(trial, outputs)
    joint = gradients(outputs, list(values.values()), weights)
    constants = {key: value.detach() for key, value in values.items()}
    for name, together in zip(values, joint, strict=True):
        if not values[name].numel():
            continue
        variable = values[name].detach().clone().requires_grad_()
        by_one = function({**constants, name: variable})
        if len(by_one) != len(outputs):
            continue  # some output does not depend on this variable, so the weights do not match
        (alone,) = gradients(by_one, [variable], weights)
        zero = torch.zeros_like(variable)
        first, second = (zero if gradient is None else gradient for gradient in (alone, together))
        if not bool((first - second).abs().max() <= 1e-9 * (1 + first.abs().max())):
            return failed(
                f"the gradient by {name} in {one.where} differs when the other variables require gradients too",
                "look at ctx.needs_input_grad in a hand-written backward: gradients are returned in a wrong place",
            )
    return None
