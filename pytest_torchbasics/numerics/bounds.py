"""How large an error may be, and how an error is described.

The bound of an element is measured, not chosen. The float64 computation is repeated with every input and
parameter moved by one and by four epsilons of the dtype under test, in random directions; what is computed inside is
moved by an epsilon of float32 at the same time (`Rounded` in checks/support). What comes out differently, for one
epsilon, is what rounding does to this function at this point; it grows with the length of the reductions and with the
condition of the function by itself. Real rounding goes other ways than the few that were tried, so a small multiple of
that difference is allowed (stochastic arithmetic, as in Parker, "Monte
Carlo arithmetic", 1997, and CADNA; the float64 anchor as in torch's own low-precision comparisons).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from .dtypes import wide

#: Allowed error in units of the measured effect of one rounding of every input. Calibrated over the healthy
#: layers of the tests and the suites: the worst, a gradient of
#: RMSNorm in float32, needs 12.
MARGIN = 16.0
#: In float32 and float64, whose sums are kept in the dtype itself: a sum of 700 terms, one after the other, needs 18.
#: Kernels of narrower dtypes sum in float32.
MARGIN_OF_SUMS = 64.0
#: Random perturbations, each of so many epsilons; the largest effect for one epsilon counts, so a scalar result is not
#: judged by one lucky draw. The larger ones reach the jumps that rounding inside can reach too: two maxima that nearly
#: tie, a value near a kink. They are below MARGIN, so that a jump that was found is allowed in full.
STEPS = (1, 4, 4, 4, 4)


@dataclass(frozen=True)
class Mismatch:
    """How far a tensor is from what it should be.

    Attributes:
        where: name of the compared value.
        wrong: number of elements outside the bound.
        total: number of elements.
        index: index of the worst element (largest error in units of its bound).
        actual: value there.
        expected: value there.
        error: absolute error there.
        bound: allowed error there.
        share: error / bound there; above 1 the element is wrong.
    """

    where: str
    wrong: int
    total: int
    index: tuple[int, ...]
    actual: complex | float
    expected: complex | float
    error: float
    bound: float
    share: float

    def __str__(self) -> str:
        return (
            f"{self.where}: {self.wrong} of {self.total} elements are wrong; the worst at index {self.index} is "
            f"{self.actual:.6g}, expected {self.expected:.6g}, error {self.error:.3g}, allowed {self.bound:.3g}"
        )


def allowed_errors(
    compute: Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]],
    arguments: Sequence[torch.Tensor],
    results: Sequence[torch.Tensor],
    dtype: torch.dtype,
    generator: torch.Generator,
) -> list[torch.Tensor]:
    """The bound of every element of `results`, where `results = compute(arguments)` in float64.

    Args:
        compute: the function, from tensors to tensors, in float64 (complex128) on the CPU.
        arguments: everything that is rounded: inputs and parameters.
        results: the unperturbed results.
        dtype: the dtype whose rounding is to be allowed for.
        generator: source of the perturbations, on the CPU.

    Returns:
        One float64 tensor of bounds (>= 0) for each result, of its shape.
    """
    eps = torch.finfo(dtype).eps
    effects = [torch.zeros(result.shape, dtype=torch.float64) for result in results]
    measured = [torch.zeros(result.shape, dtype=torch.bool) for result in results]
    for step in STEPS:
        moved = [_perturb(argument, step * eps, generator) for argument in arguments]
        for effect, seen, result, other in zip(effects, measured, results, compute(moved), strict=True):
            # A perturbation may cross a jump or leave the domain; that is no measure of rounding.
            seen |= other.isfinite()
            difference = (other - result).abs().to(torch.float64).nan_to_num(posinf=0.0) / step
            torch.maximum(effect, difference, out=effect)
    return [
        # Without any measure there is no bound: nothing can be judged, which is_vacuous tells.
        _bound(result, effect, dtype).masked_fill(result.isfinite() & ~seen, torch.inf)
        for result, effect, seen in zip(results, effects, measured, strict=True)
    ]


def plain_bound(result: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A bound from the dtype alone, for a function that cannot be computed in float64."""
    scale = result.abs().to(torch.float64)
    return _bound(result, torch.finfo(dtype).eps * scale, dtype)


def compare(where: str, actual: torch.Tensor, expected: torch.Tensor, bound: torch.Tensor | None) -> Mismatch | None:
    """Compare one tensor with what it should be; None if both are empty.

    Both are compared in float64 (complex128) on the CPU; without a bound (integers, booleans) they must be
    equal. A NaN is never equal to anything; infinities are equal when they are the same.
    """
    if expected.numel() == 0:
        return None
    actual = actual.detach().cpu().to(wide(actual.dtype))
    expected = expected.detach().cpu().to(wide(expected.dtype))
    if bound is None:
        bound = torch.zeros(expected.shape, dtype=torch.float64)
    if actual.dtype == torch.bool:
        actual, expected = actual.to(torch.int64), expected.to(torch.int64)
    error = torch.where(actual == expected, 0.0, (actual - expected).abs().to(torch.float64))
    share = torch.where(error == 0, 0.0, error / bound)
    share = share.nan_to_num(nan=torch.inf, posinf=torch.inf)
    worst = int(share.argmax())
    index = tuple(int(i) for i in torch.unravel_index(torch.tensor(worst), share.shape))
    return Mismatch(
        where=where,
        wrong=int((~(share <= 1)).sum()),
        total=expected.numel(),
        index=index,
        actual=actual[index].item(),
        expected=expected[index].item(),
        error=float(error[index]),
        bound=float(bound[index]),
        share=float(share[index]),
    )


def is_vacuous(expected: torch.Tensor, bound: torch.Tensor) -> bool:
    """True if the bound is so wide that a zeroed or negated result would pass as well.

    Infinite values, which are compared exactly, say nothing about the size of the others.
    """
    finite = expected.isfinite()
    if not bool(finite.any()):
        return False
    size = expected.detach()[finite].abs().to(torch.float64).square().mean().sqrt()
    return bool(size > 0) and not bool(bound[finite].square().mean().sqrt() < 0.5 * size)


def _bound(result: torch.Tensor, effect: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    info = torch.finfo(dtype)
    rms = effect.square().mean().sqrt()
    rounding = info.eps * result.abs().to(torch.float64)
    # A result below the smallest normal number is rounded to a fixed step.
    margin = MARGIN if info.bits < 32 else MARGIN_OF_SUMS
    bound = margin * (torch.maximum(effect, rms) + rounding / 4) + info.tiny * 2
    # An infinite reference is compared exactly.
    return torch.where(result.abs().isfinite(), bound, torch.zeros_like(bound))


def _perturb(argument: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    signs = torch.randint(2, argument.shape, generator=generator, dtype=torch.float64) * 2 - 1
    return (argument.detach() * (1 + share * signs)).to(argument.dtype).requires_grad_(argument.requires_grad)
