"""The check `autocast`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..numerics.dtypes import dtype_name
from ..numerics.trees import tensors
from ..trials import Arguments, Subject, Trial, is_floating
from .outcome import Outcome, failed, not_applicable
from .support.inputs import is_random, mode_name, modes_to_judge
from .support.results import Differences, allowed, results_of


def autocast(trial: Trial) -> Outcome:
    """Finds what breaks or loses digits under torch.autocast: forward, and backward outside of it.

    The outputs and gradients must be those of float32 within what rounding to autocast's dtype explains. That it raises
    under autocast is told, and fails a case that is declared autocast=True.
    """
    if trial.dtype != "float32":
        return not_applicable("autocast is for float32 layers")
    if any(leaf.value.is_complex() for inputs in trial.samples() for leaf in tensors(inputs)):
        return not_applicable("autocast has no complex numbers")
    kind = trial.device.split(":")[0]
    if not torch.amp.is_autocast_available(kind):
        return not_applicable(f"torch has no autocast for {kind}")
    precision = torch.get_autocast_dtype(kind)
    found = Differences()
    for training in modes_to_judge(trial):
        subject = trial.subject(training)
        for index, inputs in enumerate(trial.samples()):
            if is_random(subject, inputs):
                found.unjudged = f"its result is random in {mode_name(training)}"
                continue
            expected = results_of(trial, subject, inputs)
            where = f"under autocast to {dtype_name(precision)} in {mode_name(training)}"
            try:
                actual = results_of(trial, subject, inputs, call=_under_autocast(subject, kind))
            except RuntimeError as error:
                text = str(error).strip().splitlines()[0]
                if not trial.case.autocast:
                    return not_applicable(f"it does not run {where}, nor is it declared autocast=True: {text}")
                return failed(
                    f"it raises {where}: {text}",
                    "operators return the lower dtype: allocate and cast by the dtype of the result, not of the input "
                    "or the weight; or switch autocast off inside",
                )
            for got, wanted in zip(actual.outputs, expected.outputs, strict=False):
                if is_floating(got.value.dtype) != is_floating(wanted.value.dtype):
                    return failed(f"output{got.path} {where} has dtype {dtype_name(got.value.dtype)}")
            hint = (
                "something that needs float32 (positions, phases, large sums) goes through a matmul or convolution, "
                "which autocast lowers: use other operators, or switch autocast off around it"
            )
            if not found.add(where, actual, expected, allowed(trial, training, index, precision), hint):
                return found.outcome()
    return found.outcome()


def _under_autocast(subject: Subject, kind: str) -> Callable[..., Any]:
    def call(inputs: Arguments, parameters: Mapping[str, torch.Tensor]) -> Any:
        with torch.autocast(kind):
            return subject.isolated(inputs, parameters)

    return call
