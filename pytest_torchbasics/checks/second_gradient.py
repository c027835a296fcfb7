"""The check `second_gradient`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from ..trials import Trial, gradients
from .outcome import Outcome, failed, not_applicable, passed
from .support.derivatives import Derivatives, Steps, in_float64, steps_for
from .support.inputs import cotangents, generator

#: How torch words it that there is no second derivative.
_REFUSAL = re.compile(
    r"derivative for .* is not implemented|once_differentiable|automatic differentiation|not twice differentiable"
)


def second_gradient(trial: Trial) -> Outcome:
    """Finds a wrong second derivative: the gradient of the gradient against central differences of the gradient.

    Along a random direction of all inputs and parameters, the derivative of the whole gradient vector is compared with
    its central difference, and its derivative by the gradient that is sent back with what linearity asks for.
    Where torch itself has no second derivative it does not apply. In float64, as `gradient`.
    """
    return in_float64(trial, _judge)


def _judge(found: list[Derivatives]) -> Outcome:
    for one in found:
        try:
            outcome = _one(one)
        except RuntimeError as error:
            if _REFUSAL.search(str(error)):
                return not_applicable(f"there is no second derivative: {str(error).strip().splitlines()[0]}")
            raise
        if outcome is not None:
            return outcome
    return passed()


def _one(one: Derivatives) -> Outcome | None:
    outputs = one.function(one.values)
    if not outputs:
        return None  # `gradient` judges that
    source = generator(one.trial)
    sent = [gradient.requires_grad_() for gradient in cotangents(one.trial, outputs)]
    direction = [torch.randn(v.shape, generator=source, dtype=v.dtype).to(v.device) for v in one.values.values()]
    first = _gradient(one, list(one.values.values()), sent, create_graph=True)
    along = _inner(first, direction)
    if not bool(along.isfinite()):
        return None  # `parameters` and `edge_values` judge that
    variables = [*one.values.values(), *sent]
    found: Sequence[torch.Tensor | None] = [None] * len(variables)
    if along.requires_grad:
        found = torch.autograd.grad(along, variables, allow_unused=True)
    second = [torch.zeros_like(v) if g is None else g.detach() for v, g in zip(variables, found, strict=True)]
    return _by_values(one, second, direction, sent) or _by_sent(one, second[len(first) :], direction, sent)


def _by_values(
    one: Derivatives, second: list[torch.Tensor], direction: list[torch.Tensor], sent: list[torch.Tensor]
) -> Outcome | None:
    steps = steps_for(one.trial, one.function, one.values)
    differences = [_difference(one, direction, sent, step) for step in steps.sizes]
    for name, analytic, *numeric in zip(one.values, second, *differences, strict=False):
        bad = _wrong(analytic, numeric[0], numeric[1], steps)
        if not bool(bad.any()):
            continue
        error = torch.where(bad, (analytic - numeric[0]).abs(), 0)
        index = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
        return failed(
            f"in {one.where} the second derivative by {name} is wrong: {int(bad.sum())} of {bad.numel()} elements; the "
            f"worst at index {index} is {analytic[index].item():.6g}, by central differences of the gradient "
            f"{numeric[0][index].item():.6g}",
            "the backward of a hand-written autograd.Function uses a value that is a constant to autograd: save inputs "
            "by save_for_backward and compute from them",
        )
    return None


def _by_sent(
    one: Derivatives, second: list[torch.Tensor], direction: list[torch.Tensor], sent: list[torch.Tensor]
) -> Outcome | None:
    """The gradient is linear in what is sent back, so its derivative by that is a difference of two gradients."""
    source = generator(one.trial)
    moves = [torch.randn(s.shape, generator=source, dtype=s.dtype).to(s.device) for s in sent]
    values = list(one.values.values())
    ends = [
        _inner(_gradient(one, values, [s.detach() + sign * m for s, m in zip(sent, moves, strict=True)]), direction)
        for sign in (0.5, -0.5)
    ]
    wanted = float((ends[0] - ends[1]).detach())
    found = float(sum(((a.conj() * m).sum().real for a, m in zip(second, moves, strict=True)), torch.zeros(())))
    if abs(found - wanted) <= 1e-6 * (1 + abs(wanted)):
        return None
    return failed(
        f"in {one.where} the derivative of the gradient by the gradient sent back is {found:.6g} along a random "
        f"direction, by its linearity {wanted:.6g}",
        "the backward of a hand-written autograd.Function loses the graph of grad_output: no .detach(), .data or "
        "ctx attributes in it",
    )


def _gradient(
    one: Derivatives, values: list[torch.Tensor], sent: list[torch.Tensor], create_graph: bool = False
) -> list[torch.Tensor]:
    outputs = one.function(dict(zip(one.values, values, strict=True)))
    copies = [gradient.clone() for gradient in sent]  # a backward may work in place, which `mutation` judges
    found = gradients(outputs, values, copies, create_graph)
    return [torch.zeros_like(v) if g is None else g for v, g in zip(values, found, strict=True)]


def _difference(
    one: Derivatives, direction: list[torch.Tensor], sent: list[torch.Tensor], step: float
) -> list[torch.Tensor]:
    """The central difference of the gradient along the direction."""
    given = [gradient.detach() for gradient in sent]
    values = list(one.values.values())
    high, low = (
        _gradient(one, [(v.detach() + h * d).requires_grad_() for v, d in zip(values, direction, strict=True)], given)
        for h in (step, -step)
    )
    return [(a - b) / (2 * step) for a, b in zip(high, low, strict=True)]


def _wrong(analytic: torch.Tensor, first: torch.Tensor, second: torch.Tensor, steps: Steps) -> torch.Tensor:
    """Elements that are NaN or off at both steps, though these agree: elsewhere lies a kink or a steep curve."""
    allowed = steps.absolute + steps.relative * (first.abs() + first.abs().square().mean().sqrt())
    reliable = (first - second).abs() <= allowed
    return reliable & ~((analytic - first).abs() <= allowed) & ~((analytic - second).abs() <= allowed)


def _inner(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> torch.Tensor:
    return torch.stack([(a.conj() * b).sum().real for a, b in zip(first, second, strict=True)]).sum()
