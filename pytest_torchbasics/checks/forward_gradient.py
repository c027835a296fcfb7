"""The check `forward_gradient`."""

from __future__ import annotations

import math
import re
import warnings

import torch
from torch.autograd import forward_ad

from ..trials import Trial, gradients
from .outcome import Outcome, failed, not_applicable, passed
from .support.derivatives import Derivatives, in_float64
from .support.inputs import generator

#: How torch words it that a function has no forward-mode derivative.
_REFUSAL = re.compile(r"forward.?(mode )?AD|jvp|forward-mode", re.IGNORECASE)
PROBES = 2
#: A function may compute in float32 inside.
RELATIVE = 1e-5
#: Where all terms cancel (a bias whose mean is subtracted), the rounding of what they were made from is left.
CANCELLED = 1e-12


def forward_gradient(trial: Trial) -> Outcome:
    """Finds a wrong forward-mode derivative (jvp): by every input and parameter alone, against reverse mode (vjp).

    <w, J d> by forward mode must equal <J'w, d> by reverse mode for random directions d and w, without any difference
    quotient. Where torch or the author's autograd.Function has no forward mode, it does not apply. In float64.
    """
    return in_float64(trial, _judge)


def _judge(found: list[Derivatives]) -> Outcome:
    for one in found:
        for name in one.values:
            try:
                outcome = _by_one(one, name)
            except (RuntimeError, NotImplementedError) as error:
                if _REFUSAL.search(str(error)):
                    return not_applicable(f"there is no forward mode: {str(error).strip().splitlines()[0]}")
                raise
            if outcome is not None:
                return outcome
    return passed()


def _by_one(one: Derivatives, name: str) -> Outcome | None:
    source = generator(one.trial)
    variable = one.values[name]
    for _ in range(PROBES):
        direction = torch.randn(variable.shape, generator=source, dtype=variable.dtype).to(variable.device)
        with forward_ad.dual_level(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dual = forward_ad.make_dual(variable, direction)
            outputs = one.function({**one.values, name: dual})
            tangents = [forward_ad.unpack_dual(output).tangent for output in outputs]
        outputs = one.function(one.values)
        if not outputs or len(outputs) != len(tangents):
            return None  # `gradient` judges that
        weights = [torch.randn(o.shape, generator=source, dtype=o.dtype).to(o.device) for o in outputs]
        (back,) = gradients(outputs, [variable], weights)
        gradient = torch.zeros_like(direction) if back is None else back
        reverse = float((gradient.conj() * direction).sum().real)
        moved = [w.conj() * t.detach() for w, t in zip(weights, tangents, strict=True) if t is not None]
        forward = sum(float(term.sum().real) for term in moved)
        # What either sum may be off by: rounding in proportion to the size of its terms.
        scale = float(gradient.norm() * direction.norm()) + sum(float(term.abs().sum()) for term in moved)
        sizes = float(direction.norm()) * sum(float(w.norm()) for w in weights)
        if math.isfinite(reverse) and not abs(forward - reverse) <= RELATIVE * scale + CANCELLED * sizes:
            return failed(
                f"in {one.where} the forward-mode derivative by {name} along a random direction is {forward:.6g}, in "
                f"reverse mode {reverse:.6g}",
                "look at the jvp of a hand-written autograd.Function: every input's tangent enters it",
            )
    return None
