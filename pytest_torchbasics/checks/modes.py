"""The check `modes`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch

from ..numerics.trees import Leaf, kept, map_tensors, tensors
from ..trials import Arguments, Trial
from .outcome import Outcome, failed, not_applicable
from .support.inputs import is_random
from .support.results import Differences, Results, allowed, results_of

#: Ways to run without a graph.
WITHOUT_GRADIENTS: Mapping[str, Any] = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}


def modes(trial: Trial) -> Outcome:
    """Finds train() and eval() that do not reach every submodule, and calls without gradients that do harm.

    train() and eval() must return the module and leave requires_grad alone, eval() must reach every submodule; under
    no_grad and inference_mode the result is the same, and training works afterwards.
    """
    subject = trial.subject()
    if subject.module is not None and (outcome := _switching(trial)):
        return outcome
    found = Differences()
    for index, inputs in enumerate(trial.samples()):
        if not tensors(inputs):
            return not_applicable("it takes no tensor")
        if is_random(subject, inputs):
            return not_applicable("its result is random in evaluation mode")
        expected = results_of(trial, subject, inputs)
        for name, context in WITHOUT_GRADIENTS.items():
            outcome = _without_gradients(trial, index, inputs, name, context(), expected, found)
            if outcome is not None:
                return outcome
    return found.outcome()


def _switching(trial: Trial) -> Outcome | None:
    module = trial.fresh()
    trainable = {name: p.requires_grad for name, p in module.named_parameters()}
    for mode, returned in (("train()", module.train()), ("eval()", module.eval())):
        if returned is not module:
            return failed(
                f"{mode} returns {type(returned).__name__}, not the module",
                "an overridden train() must end in `return self`: model = Model().eval() is None",
            )
    training = [name or "the module" for name, child in module.named_modules() if child.training]
    if training:
        return failed(
            f"after eval() these are still in training mode: {', '.join(training[:5])}",
            "an overridden train() must call super().train(mode), which reaches the submodules",
        )
    module.train()
    if not module.training:
        return failed("after train() the module is not in training mode", "an overridden train() ignores its argument")
    changed = [name for name, p in module.named_parameters() if p.requires_grad != trainable.get(name)]
    if changed:
        return failed(
            f"eval() and train() changed requires_grad of {', '.join(changed[:5])}",
            "an overridden train() freezes parameters and does not thaw them",
        )
    return None


def _without_gradients(
    trial: Trial,
    index: int,
    inputs: Arguments,
    name: str,
    context: contextlib.AbstractContextManager[Any],
    expected: Results,
    found: Differences,
) -> Outcome | None:
    """A fresh module runs without gradients first, and then trains."""
    subject = trial.subject()
    given = map_tensors(torch.Tensor.detach, inputs)
    with context:
        plain = kept(subject.isolated(map_tensors(torch.Tensor.clone, given)))
    bounds = allowed(trial, False, index)
    hint = "a branch on torch.is_grad_enabled() or requires_grad computes something else"
    without = Results(expected.outputs, {})
    if not found.add(f"under torch.{name}", Results(_normal(plain), {}), without, bounds, hint):
        return found.outcome()
    if not expected.gradients:
        return None
    try:
        after = results_of(trial, subject, inputs)
    except RuntimeError as error:
        return failed(
            f"after a call under torch.{name} it cannot be trained: {str(error).strip().splitlines()[0]}",
            "a table that is cached on the first call was made under inference mode: make it under "
            "torch.inference_mode(False)",
        )
    if not found.add(f"after a call under torch.{name}", after, expected, bounds, "something is kept from that call"):
        return found.outcome()
    return None


def _normal(leaves: list[Leaf]) -> list[Leaf]:
    """Copies outside of inference mode of tensors from inside it."""
    return [Leaf(leaf.path, torch.empty_like(leaf.value).copy_(leaf.value)) for leaf in leaves]
