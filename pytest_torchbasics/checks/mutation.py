"""The check `mutation`."""

from __future__ import annotations

import torch

from ..numerics.trees import Leaf, identical, map_tensors, tensors
from ..trials import Arguments, Trial, differentiable_outputs, substitute, variables
from .outcome import Outcome, failed, not_applicable, passed
from .support import cotangents


def mutation(trial: Trial) -> Outcome:
    """Finds changed inputs, weights, buffers (eval mode) or output gradients, and results that are overwritten later.

    The module is called as a user calls it, twice on the same inputs and once on others. Nothing that it was
    given may change, the first result must survive the later calls, and the second must equal the first.
    """
    samples = trial.samples()
    if not any(tensors(inputs) for inputs in samples):
        return not_applicable("it takes no tensor")
    for inputs in samples:
        outcome = _calls(trial, inputs) or _backward(trial, inputs)
        if outcome is not None:
            return outcome
    return passed()


def _calls(trial: Trial, inputs: Arguments) -> Outcome | None:
    subject = trial.subject()
    given: Arguments = map_tensors(torch.Tensor.detach, inputs)
    before = [leaf.value.clone() for leaf in tensors(given)]
    state = _state(subject.module)
    with trial.seeded(), torch.no_grad():
        first = tensors(subject(*given))
    kept = [leaf.value.clone() for leaf in first]

    if (name := _changed(tensors(given), before)) is not None:
        return failed(
            f"input{name} is changed by the call",
            "an in-place operation (trailing underscore, inplace=True, out=) works on the input: clone it first",
        )
    now = _state(subject.module)
    if changed := [key for key, value in state.items() if key in now and not identical(now[key], value)]:
        return failed(
            f"{', '.join(changed)} changed in evaluation mode",
            "statistics are updated without asking self.training",
        )
    others: Arguments = map_tensors(_other_values, given)
    with trial.seeded(), torch.no_grad():
        subject(*others)
    if (name := _changed(first, kept)) is not None:
        return failed(
            f"output{name} of the first call was overwritten by the second call",
            "the result is a buffer that the layer reuses: return a new tensor",
        )
    with trial.seeded(), torch.no_grad():
        again = tensors(subject(*given))
    if (name := _changed(again, kept)) is not None:
        return failed(
            f"output{name} differs when the same inputs are given again after others",
            "something is remembered between calls: a cache with a wrong key, a counter, a hidden state",
        )
    return None


def _backward(trial: Trial, inputs: Arguments) -> Outcome | None:
    """The gradient that is sent back must not be changed either: other branches of a network share it."""
    if not trial.case.differentiable:
        return None
    subject = trial.subject()
    values = variables(subject, inputs)
    replaced, parameters = substitute(inputs, values)
    outputs = differentiable_outputs(subject.pure(replaced, parameters)) if values else []
    if not outputs:
        return None
    given = cotangents(trial, outputs)
    before = [value.clone() for value in given]
    torch.autograd.grad(outputs, list(values.values()), given, allow_unused=True)
    if any(not identical(value, old) for value, old in zip(given, before, strict=True)):
        return failed(
            "the backward pass changes the gradient of the output that it is given",
            "an in-place operation on grad_output in a hand-written backward",
        )
    return None


def _state(module: torch.nn.Module | None) -> dict[str, torch.Tensor]:
    if module is None:
        return {}
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: value.detach().clone() for name, value in named}


def _changed(leaves: list[Leaf], before: list[torch.Tensor]) -> str | None:
    """The path of the first tensor that is not what it was."""
    return next((leaf.path for leaf, old in zip(leaves, before, strict=True) if not identical(leaf.value, old)), None)


def _other_values(tensor: torch.Tensor) -> torch.Tensor:
    """Other legal values of the same kind: the same ones in reverse order, changed in size if floating."""
    reverse = tensor.flip(list(range(tensor.dim())))
    return reverse * 0.75 if tensor.is_floating_point() or tensor.is_complex() else reverse
