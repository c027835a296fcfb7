"""The check `gradient`."""

from __future__ import annotations

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

#: Above this many Jacobian entries (inputs x outputs) the exact check gives way to random probes: at 1e6 the
#: exact one takes about half a second.
EXACT_LIMIT = 1_000_000
PROBES = 4


def gradient(trial: Trial) -> Outcome:
    """Finds a wrong derivative: float64 gradcheck of every input and parameter, alone and together.

    torch.autograd.gradcheck in its exact (slow) mode over all variables; above `EXACT_LIMIT` Jacobian entries
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
    entries = sum(value.numel() for value in values.values()) * sum(o.numel() for o in outputs)
    # The exact check needs one forward pass an element, so it takes the smallest inputs; the others are probed, since
    # a fault may show for more than one item, or for odd sizes, only.
    if one.exactly and entries <= EXACT_LIMIT and steps is FINE:
        first = _gradcheck(trial, function, values)
        if first is None:
            return None
        if "layout" in first:
            return _probed(one, steps)  # gradcheck takes no sparse gradients
        wrong = [(name, text) for name in values if (text := _worst_element(trial, function, values, name))]
        return _wrong(one, wrong or [(", ".join(values), first)])
    return _probed(one, steps)


def _probed(one: Derivatives, steps: Steps) -> Outcome | None:
    wrong = [(name, text) for name in one.values if (text := _probe(one.trial, one.function, one.values, name, steps))]
    return _wrong(one, wrong) if wrong else None


def _wrong(one: Derivatives, wrong: list[tuple[str, str]]) -> Outcome:
    return failed(
        f"in {one.where} " + "; ".join(f"the gradient by {name} is wrong: {text}" for name, text in wrong),
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
        (found,) = gradients(outputs, [variable], weights)
        found = torch.zeros_like(variable) if found is None else found
        analytic = float((found.conj() * direction).sum().real)
        # The size of a random projection of the gradient: what a fault of its own size would change.
        scale = float(found.norm() * direction.norm()) / variable.numel() ** 0.5
        # Two steps, because a kink (ReLU, max) may lie within the larger one.
        numeric = [difference_quotient(function, values, name, direction, weights, h) for h in steps.sizes]
        if all(not abs(value - analytic) <= steps.relative * scale + steps.absolute for value in numeric):
            return f"along a random direction it is {analytic:.6g}, by central differences {numeric[0]:.6g}"
    return None


def _alone(one: Derivatives) -> Outcome | None:
    """The gradient by each variable, the others held constant, must be the one taken with all of them."""
    trial, function, values = one.trial, one.function, one.values
    outputs = function(values)
    weights = cotangents(trial, outputs)
    joint = gradients(outputs, list(values.values()), weights)
    constants = {key: value.detach() for key, value in values.items()}
    for name, together in zip(values, joint, strict=True):
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
