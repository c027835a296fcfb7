"""The check `memory_format`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..numerics.trees import tensors
from ..trials import Arguments, Subject, Trial
from .outcome import Outcome, not_applicable
from .support.inputs import is_random
from .support.results import Differences, allowed, results_of

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def memory_format(trial: Trial) -> Outcome:
    """Finds results that differ in channels_last: of the inputs, and of inputs and weights."""
    samples = trial.samples()
    if not any(leaf.value.dim() in FORMATS for inputs in samples for leaf in tensors(inputs)):
        return not_applicable("it takes no tensor of 4 or 5 dimensions")
    subject = trial.subject()
    found = Differences()
    for index, inputs in enumerate(samples):
        if is_random(subject, inputs):
            return not_applicable("its result is random in evaluation mode")
        bounds = allowed(trial, False, index)
        expected = results_of(trial, subject, inputs)

        for what, call in (("inputs", subject.isolated), ("inputs and weights", _with_weights(subject))):
            actual = results_of(trial, subject, inputs, layout=_channels_last, call=call)
            hint = "a fast path for channels_last computes something else, or strides are taken for granted"
            if not found.add(f"for channels_last {what}", actual, expected, bounds, hint):
                return found.outcome()
    return found.outcome()


def _with_weights(subject: Subject) -> Callable[..., Any]:
    def call(inputs: Arguments, parameters: Mapping[str, torch.Tensor]) -> Any:
        return subject.isolated(inputs, {name: _channels_last(value) for name, value in parameters.items()})

    return call


def _channels_last(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dim() not in FORMATS:
        return tensor.clone()
    return tensor.clone().contiguous(memory_format=FORMATS[tensor.dim()])
