"""The check `parameters`."""

from __future__ import annotations

import torch

from ..trials import Subject, Trial, differentiable_outputs, substitute, variables
from .outcome import Outcome, failed, not_applicable, passed
from .support.inputs import cotangents, uninformative, why_not_floating

#: Of other initial values of the module.
OTHER_SEEDS = (1, 2, 3)


def parameters(trial: Trial) -> Outcome:
    """Finds trainable parameters without a finite, non-zero gradient on random input, and frozen ones with one.

    Also parameters that start with the same random values. A gradient of zero counts when other initial values of the
    module leave it at zero too: one dead unit is chance.
    """
    if reason := why_not_floating(trial):
        return not_applicable(reason)
    subject = trial.subject(training=True)
    if subject.module is None or not list(subject.module.parameters()):
        return not_applicable("it has no parameters")
    for inputs in trial.samples():
        if outcome := uninformative(trial, inputs):
            return outcome
    if outcome := _same_start(trial):
        return outcome
    without: dict[str, str] = {}
    for seed in (None, *OTHER_SEEDS):
        found = _reached(trial, trial.subject(training=True, seed=seed))
        if isinstance(found, Outcome):
            return found
        without = found if seed is None else {name: what for name, what in found.items() if name in without}
        if not without:
            return passed()
    name, what = next(iter(without.items()))
    more = f" (and {len(without) - 1} more parameters)" if len(without) > 1 else ""
    return failed(
        f"parameter {name} {what} on random input{more}",
        "it is not used, it is detached on the way, or a saturated or dead unit hides it",
    )


def _reached(trial: Trial, subject: Subject) -> dict[str, str] | Outcome:
    """What is wrong with the gradients of the parameters that get none on any sample."""
    module = subject.module
    assert module is not None
    without = {name: "gets no gradient" for name, parameter in subject.parameters.items() if parameter.numel()}
    frozen = {n: p for n, p in module.named_parameters() if not p.requires_grad}
    for inputs in trial.samples():
        values = variables(subject, inputs)
        replaced, replacements = substitute(inputs, values)
        outputs = differentiable_outputs(subject.pure(replaced, replacements))
        if not outputs:
            continue
        torch.autograd.backward(outputs, cotangents(trial, outputs))
        if reached := [name for name, parameter in frozen.items() if parameter.grad is not None]:
            return failed(f"frozen parameter {reached[0]} gets a gradient")
        for name in list(without):
            gradient = values[f"parameter {name}"].grad
            if gradient is None:
                continue
            gradient = gradient.to_dense()
            if not bool(gradient.isfinite().all()):
                return failed(
                    f"the gradient of parameter {name} is NaN or infinite",
                    "a division by zero, log(0) or sqrt(0) on the way; torch.where does not stop a NaN gradient",
                )
            without[name] = "has a gradient of zero"
            if bool((gradient != 0).any()):
                del without[name]
    return without


def _same_start(trial: Trial) -> Outcome | None:
    """Two trainable parameters of one shape must not start with the same random values."""
    seen: dict[tuple[object, ...], tuple[str, torch.Tensor]] = {}
    for name, parameter in trial.fresh().named_parameters():
        values = parameter.detach()
        if not parameter.requires_grad or values.numel() < 2 or bool((values == values.flatten()[0]).all()):
            continue
        other = seen.setdefault((tuple(values.shape), float(values.to(torch.float64).abs().sum())), (name, values))
        if other[0] != name and torch.equal(other[1], values):
            return failed(
                f"parameters {other[0]} and {name} start with the same random values",
                "one layer was copied by deepcopy: make each anew, or call reset_parameters() on each copy",
            )
    return None
