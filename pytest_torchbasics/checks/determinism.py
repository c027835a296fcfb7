"""The check `determinism`."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from ..numerics.trees import Leaf, identical, tensors
from ..trials import Trial
from .outcome import Outcome, failed, not_applicable, passed
from .support import mode_name, training_modes

#: Other seeds that are tried: a dropout of a few elements may well drop the same ones twice.
SEEDS = (1, 2, 3, 4)


def determinism(trial: Trial) -> Outcome:
    """Finds results that differ at the same seed, and random numbers drawn where or from where none should be.

    The same seed must give bit-for-bit the same result, in both modes. In evaluation mode, and in training mode
    unless it is random there, another seed must not change it. Python's and NumPy's generators are left alone.
    """
    random_in = {False: False, True: trial.case.random_in_training}
    for training in training_modes(trial):
        subject = trial.subject(training)
        changed = False
        for inputs in trial.samples():
            # Other states of Python's and NumPy's generators, the same state of torch's.
            first = _run_with_foreign_seed(subject, inputs, 1)
            again = _run_with_foreign_seed(subject, inputs, 2)
            if not first:
                return not_applicable("it returns no tensor")
            if (difference := _difference(first, again)) is not None:
                return failed(
                    f"{difference} differs between two calls from the same seed in {mode_name(training)}",
                    "random numbers come from Python's random, NumPy or a private generator; or memory is used "
                    "before it is written (torch.empty)",
                )
            others = (_difference(first, tensors(subject.pure(inputs, seed=trial.seed + k))) for k in SEEDS)
            other = next(filter(None, others), None)
            changed = changed or other is not None
            if other is not None and random_in[training] is False:
                return failed(
                    f"{other} is random in {mode_name(training)}",
                    "dropout or noise must depend on self.training; F.dropout needs training=self.training",
                )
        if training and random_in[True] and not changed:
            return failed(
                "it is declared random_in_training=True, but another seed gives the same result",
                "dropout is never switched on, or the declaration is wrong",
            )
    return passed()


def _run_with_foreign_seed(subject: Any, inputs: tuple[Any, ...], seed: int) -> list[Leaf]:
    python, numpy = random.getstate(), np.random.get_state()
    try:
        random.seed(seed)
        np.random.seed(seed)
        return tensors(subject.pure(inputs))
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _difference(first: list[Leaf], second: list[Leaf]) -> str | None:
    """The name of the first output that is not the same."""
    pairs = zip(first, second, strict=True)
    return next((f"output{a.path}" for a, b in pairs if not identical(a.value, b.value)), None)
