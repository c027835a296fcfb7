"""The check `reference`."""

from __future__ import annotations

import torch

from ..numerics.bounds import Mismatch, compare, is_vacuous, plain_bound
from ..numerics.dtypes import LOW_PRECISION
from ..numerics.trees import Leaf, tensors
from ..trials import Trial, floating_inputs, is_floating
from .outcome import Outcome, failed, not_applicable, passed
from .support.exact import has_exact_reference
from .support.inputs import is_random, mode_name, modes_to_judge, uninformative
from .support.results import Allowed, allowed


def reference(trial: Trial) -> Outcome:
    """Finds wrong values: results that differ from a float64 reference by more than rounding explains.

    The reference is the case's own, or the same computation in float64 on the CPU from the same rounded
    weights and inputs. In training mode it is always the latter.
    """
    if not has_exact_reference(trial):
        for inputs in trial.samples():
            for leaf in tensors(trial.subject().pure(inputs)):
                if is_floating(leaf.value.dtype) and bool(leaf.value.isnan().any()):
                    return _is_nan(f"output{leaf.path}", leaf.value, "")
        return not_applicable("it would be compared with itself: the run is the float64 reference; give reference=")
    if "float64" not in trial.case.dtypes and is_floating(trial.torch_dtype) and trial.case.reference is None:
        return not_applicable("the case does not run in float64 and has no reference=")
    worst: Mismatch | None = None
    why_none = "nothing was compared"
    for training in modes_to_judge(trial):
        if training and trial == trial.exact():
            continue
        subject = trial.subject(training)
        for index, inputs in enumerate(trial.samples()):
            if found := uninformative(trial, inputs):
                return found
            if is_random(subject, inputs):
                why_none = f"its result is random in {mode_name(training)}"
                continue
            actual = tensors(subject.pure(inputs))
            exact = allowed(trial, training, index, own=not training)
            expected = exact.exact_outputs
            if outcome := _structure(actual, expected):
                return outcome
            bounds = _bounds(trial, exact, actual)
            for got, wanted, bound in zip(actual, expected, bounds, strict=True):
                where = f"output{got.path} in {mode_name(training)}"
                if not is_floating(wanted.value.dtype) and trial.dtype in LOW_PRECISION and floating_inputs(inputs):
                    why_none = "integers chosen from low-precision values (argmax) may differ by rounding"
                    continue
                if outcome := _not_finite(where, got.value, wanted.value, trial):
                    return outcome
                if bound is not None and is_vacuous(wanted.value, bound):
                    why_none = f"rounding to {trial.dtype} may change {where} by its own size"
                    if trial.case.tolerance is not None:
                        return failed(
                            f"the declared tolerance is wider than the values of {where}",
                            "declare a smaller one",
                        )
                    continue
                mismatch = compare(where, got.value, wanted.value, bound)
                if mismatch is not None and mismatch.share <= 1 and not bool(wanted.value.isfinite().any()):
                    why_none = f"{where} is infinite everywhere, as the reference"
                    continue
                if mismatch is not None and (worst is None or mismatch.share > worst.share):
                    worst = mismatch
    if worst is None:
        return not_applicable(why_none)
    if worst.share > 1:
        hint = "wrong values" if trial.dtype in ("float64", "float32") else f"too much lost in {trial.dtype}"
        return failed(
            str(worst),
            f"{hint}: look at this element; a sum or a difference of near numbers may need a wider dtype inside",
            worst.error,
            worst.share,
        )
    return passed(worst.error, worst.share)


def _bounds(trial: Trial, exact: Allowed, actual: list[Leaf]) -> list[torch.Tensor | None]:
    tolerance = trial.case.tolerance
    expected = [leaf.value for leaf in exact.exact_outputs]
    if tolerance is None:
        measured = exact.outputs or [None] * len(expected)
        return [_at_least_its_own(*pair) for pair in zip(measured, expected, actual, strict=True)]
    return [
        tolerance.atol + tolerance.rtol * value.detach().abs().to(torch.float64) if is_floating(value.dtype) else None
        for value in expected
    ]


def _at_least_its_own(bound: torch.Tensor | None, expected: torch.Tensor, actual: Leaf) -> torch.Tensor | None:
    """The bound, or the rounding to the output's own dtype where that is narrower than what is computed in."""
    if not is_floating(actual.value.dtype):
        return None
    own = plain_bound(expected.detach(), actual.value.dtype)
    return own if bound is None else torch.maximum(bound, torch.finfo(actual.value.dtype).eps * expected.detach().abs())


def _structure(actual: list[Leaf], expected: list[Leaf]) -> Outcome | None:
    if len(actual) != len(expected):
        return failed(f"it returns {len(actual)} tensors, the reference {len(expected)}")
    if not actual:
        return not_applicable("it returns no tensor")
    for got, wanted in zip(actual, expected, strict=True):
        if got.value.shape != wanted.value.shape:
            return failed(
                f"output{got.path} has shape {tuple(got.value.shape)}, the reference {tuple(wanted.value.shape)}",
                "a dimension is missing or broadcast",
            )
        if is_floating(got.value.dtype) != is_floating(wanted.value.dtype):
            return failed(f"output{got.path} has dtype {got.value.dtype}, the reference {wanted.value.dtype}")
    return None


def _not_finite(where: str, actual: torch.Tensor, expected: torch.Tensor, trial: Trial) -> Outcome | None:
    if not is_floating(expected.dtype):
        return None
    if bool(expected.isnan().any()):
        return _is_nan(where, expected, "the reference is ")
    bad = ~actual.detach().cpu().isfinite() & expected.isfinite()
    if bool(bad.any()):
        return failed(
            f"{where}: {int(bad.sum())} of {bad.numel()} elements are NaN or infinite where the reference is finite",
            f"an intermediate value overflows in {trial.dtype}, or is divided by zero",
        )
    return None


def _is_nan(where: str, value: torch.Tensor, whose: str) -> Outcome:
    return failed(
        f"{where}: {whose}NaN in {int(value.isnan().sum())} of {value.numel()} elements",
        "a division 0/0, or the inputs are outside the op's domain: give Tensor(..., low=, high=)",
    )
