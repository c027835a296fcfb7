"""The check `mutation`."""

from __future__ import annotations

import torch

from ..numerics.trees import Leaf, detached, first_difference, identical, kept, map_leaves, map_tensors, tensors
from ..trials import Arguments, Subject, Trial, differentiable_outputs, gradients, substitute, variables
from .outcome import Outcome, failed, not_applicable, passed
from .support.inputs import cotangents


def mutation(trial: Trial) -> Outcome:
    """Finds changed inputs, weights, buffers (eval mode) or output gradients, and results that are overwritten later.

    The module is called as a user calls it, twice on the same inputs and once on others. Nothing that it was
    given may change, the first result must survive the later calls, and the second must equal the first.
    """
    samples = trial.samples()
    if not any(tensors(inputs) for inputs in samples):
        return not_applicable("it takes no tensor")
    for inputs in samples:
        outcome = _calls(trial, inputs) or _overwritten(trial, inputs, samples) or _backward(trial, inputs, samples)
        if outcome is not None:
            return outcome
    return _smaller_after_larger(trial, samples) or passed()


def _calls(trial: Trial, inputs: Arguments) -> Outcome | None:
    subject = trial.subject()
    given: Arguments = map_tensors(torch.Tensor.detach, inputs)
    before = kept(given)
    shape = _described(given)
    state = _state(subject.module)
    with trial.seeded(), torch.no_grad():
        first = tensors(subject(*given))
    as_it_was = kept(first)

    if (now := _described(given)) != shape:
        return failed(
            f"the arguments are changed by the call: {now}, before {shape}",
            "a list is emptied or extended, requires_grad is switched on, or a tensor is resized: work on a copy",
        )
    if (name := first_difference(tensors(given), before, "input")) is not None:
        return failed(
            f"{name} is changed by the call",
            "an in-place operation (trailing underscore, inplace=True, out=) works on the input: clone it first",
        )
    after = _state(subject.module)
    if changed := [key for key, value in state.items() if key in after and not identical(after[key], value)]:
        return failed(
            f"{', '.join(changed)} changed in evaluation mode",
            "statistics are updated without asking self.training",
        )
    others: Arguments = map_tensors(_other_values, given)
    with trial.seeded(), torch.no_grad():
        subject(*others)
    if (name := first_difference(first, as_it_was)) is not None:
        return failed(
            f"{name} of the first call was overwritten by the second call",
            "the result is a buffer that the layer reuses: return a new tensor",
        )
    with trial.seeded(), torch.no_grad():
        again = tensors(subject(*given))
    if (name := first_difference(again, as_it_was)) is not None:
        return failed(
            f"{name} differs when the same inputs are given again after others",
            "something is remembered between calls: a cache with a wrong key, a counter, a hidden state",
        )
    return None


def _overwritten(trial: Trial, inputs: Arguments, samples: list[Arguments]) -> Outcome | None:
    """In training mode too, a result must survive the calls after it."""
    if trial.case.kind == "op":
        return None
    subject = trial.subject(training=True)
    with trial.seeded(), torch.no_grad():
        first = tensors(subject(*detached(inputs)))
        as_it_was = kept(first)
        for others in samples:
            subject(*map_tensors(lambda tensor: _other_values(tensor.detach()), others))
    if (name := first_difference(first, as_it_was)) is not None:
        return failed(
            f"{name} of the first call was overwritten by a later call in training mode",
            "a live buffer is returned: return a copy",
        )
    return None


def _smaller_after_larger(trial: Trial, samples: list[Arguments]) -> Outcome | None:
    """The order of the samples must not matter: what the first one leaves behind must not disturb the others."""
    if len(samples) < 2:
        return None
    there, back = trial.subject(), trial.subject()

    def results(subject: Subject, chosen: list[Arguments]) -> list[list[Leaf]]:
        found = []
        for inputs in chosen:
            with trial.seeded(), torch.no_grad():
                found.append(kept(subject(*detached(inputs))))
        return found

    wanted = results(there, samples)
    hint = "a table made for the first size is used for another one: make it again when the size changes"
    try:
        found = results(back, samples[::-1])[::-1]
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        return failed(f"it raises when the samples come in reverse order: {type(error).__name__}: {first}", hint)
    for before, after in zip(wanted, found, strict=True):
        if (name := first_difference(after, before)) is not None:
            return failed(f"{name} differs when the samples come in reverse order", hint)
    return None


def _described(arguments: Arguments) -> str:
    """The structure of arguments: containers, shapes, and which tensors require a gradient."""

    def describe(leaf: object) -> object:
        if isinstance(leaf, torch.Tensor):
            return f"Tensor{tuple(leaf.shape)}{' requires_grad' if leaf.requires_grad else ''}"
        return type(leaf).__name__

    return str(map_leaves(describe, arguments))


def _backward(trial: Trial, inputs: Arguments, samples: list[Arguments]) -> Outcome | None:
    """The gradient that is sent back must not be changed either: other branches of a network share it.

    Nor may a second forward pass before the backward pass change the gradients of the first.
    """
    if not trial.case.differentiable:
        return None
    subject = trial.subject()
    values = variables(subject, inputs)
    replaced, parameters = substitute(inputs, values)
    ends = differentiable_outputs(subject.pure(replaced, parameters)) if values else []
    if not ends:
        return None
    given = cotangents(trial, ends)
    before = [value.clone() for value in given]
    found = gradients(ends, list(values.values()), given, retain_graph=True)
    if any(not identical(value, old) for value, old in zip(given, before, strict=True)):
        return failed(
            "the backward pass changes the gradient of the output that it is given",
            "an in-place operation on grad_output in a hand-written backward",
        )
    subject.pure(map_tensors(lambda tensor: _other_values(tensor.detach()), samples[-1]))
    again = gradients(ends, list(values.values()), before)
    for name, first, second in zip(values, found, again, strict=True):
        if first is not None and (second is None or not identical(first, second)):
            return failed(
                f"the gradient by {name} changes when another forward pass comes before the backward pass",
                "what backward needs is kept on the module or the class and overwritten by the next call: use "
                "ctx.save_for_backward",
            )
    return None


def _state(module: torch.nn.Module | None) -> dict[str, torch.Tensor]:
    if module is None:
        return {}
    named = [*module.named_parameters(), *module.named_buffers()]
    return {name: value.detach().clone() for name, value in named}


def _other_values(tensor: torch.Tensor) -> torch.Tensor:
    """Other legal values of the same kind: the items in reverse order, smaller if floating."""
    reverse = tensor.flip(0) if tensor.dim() else tensor.clone()
    return reverse * 0.75 if tensor.is_floating_point() or tensor.is_complex() else reverse
