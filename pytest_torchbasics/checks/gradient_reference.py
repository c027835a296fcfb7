"""The check `gradient_reference`."""

from __future__ import annotations

from ..numerics.bounds import Mismatch, compare, is_vacuous
from ..trials import Trial, differentiable_outputs, gradients, substitute, variables
from .outcome import Outcome, failed, not_applicable, passed
from .support.exact import has_exact_reference
from .support.inputs import cotangents, is_random, mode_name, modes_to_judge, uninformative, why_not_floating
from .support.results import Allowed, allowed

ITSELF = "it would be compared with itself: `gradient` judges float64; give a differentiable reference="


def gradient_reference(trial: Trial) -> Outcome:
    """Finds wrong gradients in the run's dtype and on its device: against the gradients in float64.

    A random dense gradient is sent back through the trial and through the float64 reference on the CPU (the
    case's own where it is differentiable); every input's and parameter's gradient must agree within rounding.
    """
    if reason := why_not_floating(trial):
        return not_applicable(reason)
    if not has_exact_reference(trial):
        return not_applicable(ITSELF)
    if "float64" not in trial.case.dtypes and trial.case.reference is None:
        return not_applicable("the case does not run in float64 and has no reference=")
    worst: Mismatch | None = None
    why_none = "no input and no parameter requires a gradient"
    for training in modes_to_judge(trial):
        subject = trial.subject(training)
        for index, inputs in enumerate(trial.samples()):
            values = variables(subject, inputs)
            if not values:
                continue
            if found := uninformative(trial, inputs):
                return found
            if is_random(subject, inputs):
                why_none = f"its result is random in {mode_name(training)}"
                continue
            reference = _reference(trial, training, index)
            if reference is None or reference.exact_gradients is None:
                why_none = ITSELF
                continue
            expected, bounds = reference.exact_gradients, reference.gradients
            replaced, parameters = substitute(inputs, values)
            outputs = differentiable_outputs(subject.pure(replaced, parameters))
            if not outputs:
                return failed(
                    f"no output depends on {', '.join(values)} in {mode_name(training)}",
                    "a .detach(), .data, .item() or torch.no_grad() cuts the graph",
                )
            found_gradients = gradients(outputs, list(values.values()), cotangents(trial, outputs))
            for name, actual in zip(values, found_gradients, strict=True):
                wanted, bound = expected.get(name), bounds.get(name)
                where = f"gradient by {name} in {mode_name(training)}"
                if wanted is None or bound is None:
                    why_none = f"the reference does not depend on {name}"
                    continue
                if actual is None:
                    if bool((wanted.abs() > bound).any()):
                        return failed(f"{where} is missing", "a .detach() or a cast to int cuts the graph")
                    continue
                if trial.dtype == "float16" and not bool(actual.isfinite().all()):
                    why_none = f"the {where} leaves the range of float16, in which a loss has to be scaled"
                    continue
                if is_vacuous(wanted, bound):
                    why_none = f"rounding to {trial.dtype} may change the {where} by its own size"
                    continue
                mismatch = compare(where, actual, wanted, bound)
                if mismatch is not None and (worst is None or mismatch.share > worst.share):
                    worst = mismatch
    if worst is None:
        return not_applicable(why_none)
    if worst.share > 1:
        return failed(
            str(worst),
            "look at the backward: a missing factor, a wrong sum over the batch, or a sum kept in low precision",
            worst.error,
            worst.share,
        )
    return passed(worst.error, worst.share)


def _reference(trial: Trial, training: bool, index: int) -> Allowed | None:
    """The float64 gradients and their bounds; None if that is the trial itself."""
    if trial.case.reference is not None and not training:
        own = allowed(trial, training, index, own=True)
        if own.exact_gradients is not None:
            return own
    return None if trial == trial.exact() else allowed(trial, training, index)
