"""The check `parameters`."""

from __future__ import annotations

import torch

from ..trials import Trial, differentiable_outputs, substitute, variables
from .outcome import Outcome, failed, not_applicable, passed
from .support import cotangents, uninformative, why_not_floating


def parameters(trial: Trial) -> Outcome:
    """Finds trainable parameters without a finite, non-zero gradient on random input, and frozen ones with one."""
    if reason := why_not_floating(trial):
        return not_applicable(reason)
    subject = trial.subject(training=True)
    if subject.module is None or not list(subject.module.parameters()):
        return not_applicable("it has no parameters")
    trainable = dict.fromkeys(subject.parameters, "gets no gradient")
    frozen = {n: p for n, p in subject.module.named_parameters() if not p.requires_grad}
    for inputs in trial.samples():
        if found := uninformative(trial, inputs):
            return found
        values = variables(subject, inputs)
        replaced, replacements = substitute(inputs, values)
        outputs = differentiable_outputs(subject.pure(replaced, replacements))
        if not outputs:
            continue
        torch.autograd.backward(outputs, cotangents(trial, outputs))
        if reached := [name for name, parameter in frozen.items() if parameter.grad is not None]:
            return failed(f"frozen parameter {reached[0]} gets a gradient")
        for name in list(trainable):
            gradient = values[f"parameter {name}"].grad
            if gradient is None:
                continue
            if not bool(gradient.isfinite().all()):
                return failed(
                    f"the gradient of parameter {name} is NaN or infinite",
                    "a division by zero, log(0) or sqrt(0) on the way; torch.where does not stop a NaN gradient",
                )
            trainable[name] = "has a gradient of zero" if not bool((gradient != 0).any()) else ""
            if not trainable[name]:
                del trainable[name]
    if trainable:
        name, what = next(iter(trainable.items()))
        more = f" (and {len(trainable) - 1} more parameters)" if len(trainable) > 1 else ""
        return failed(
            f"parameter {name} {what} on random input{more}",
            "it is not used, it is detached on the way, or a saturated or dead unit hides it",
        )
    return passed()
