"""The check `properties`."""

from __future__ import annotations

from typing import Any

from ..numerics.trees import map_tensors
from ..trials import Trial
from .outcome import Outcome, failed, not_applicable, passed


def properties(trial: Trial) -> Outcome:
    """Finds what breaks a property that the author declared: any function of the module and its inputs.

    Each function is called as `function(module, *inputs)` (an op's as `function(op, *inputs)`), for a fresh module
    in evaluation mode and every sample. It fails by raising AssertionError or by returning False.
    """
    functions = trial.case.properties
    if not functions:
        return not_applicable("no properties= are declared")
    if trial.mode != "eager":
        return not_applicable("properties look at the module itself, which only eager mode runs")
    for function in functions:
        name = getattr(function, "__name__", repr(function))
        for inputs in trial.samples():
            subject = trial.subject()
            target: Any = subject.module if subject.module is not None else trial.case.target
            copies = map_tensors(lambda tensor: tensor.detach().clone(), inputs)
            try:
                with trial.seeded():
                    answer = function(target, *copies)
            except AssertionError as error:
                return failed(f"{name} does not hold: {error}")
            if answer is False:
                return failed(f"{name} does not hold: it returned False")
            if answer not in (None, True):
                return failed(
                    f"{name} returned {answer!r:.80}",
                    "a property raises AssertionError or returns True or False",
                )
    return passed()
