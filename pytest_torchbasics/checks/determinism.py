"""The check `determinism`."""

from __future__ import annotations

import pickle
import random
from typing import Any

import numpy as np
import torch

from ..global_state.generators import foreign_generators
from ..numerics.trees import Leaf, detached, first_difference, kept, tensors
from ..trials import Arguments, Subject, Trial
from .outcome import Outcome, failed, not_applicable, passed
from .support.inputs import mode_name, training_modes

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
            if (difference := first_difference(first, again)) is not None:
                return failed(
                    f"{difference} differs between two calls from the same seed in {mode_name(training)}",
                    "random numbers come from Python's random, NumPy or a private generator; or something is kept "
                    "between calls; or memory is used before it is written (torch.empty)",
                )
            others = (first_difference(first, tensors(subject.pure(inputs, seed=trial.seed + k))) for k in SEEDS)
            other = next(filter(None, others), None)
            changed = changed or other is not None
            if other is not None and random_in[training] is False:
                return failed(
                    f"{other} is random in {mode_name(training)}",
                    "dropout or noise must depend on self.training; F.dropout needs training=self.training",
                )
            if (outcome := _generators(trial, subject, inputs, training)) is not None:
                return outcome
        if training and random_in[True] and not changed:
            return failed(
                "it is declared random_in_training=True, but another seed gives the same result",
                "dropout is never switched on, or the declaration is wrong",
            )
    return passed()


def _generators(trial: Trial, subject: Subject, inputs: Arguments, training: bool) -> Outcome | None:
    """What a call does to the generators: it draws from torch's only, in training only, and seeds none."""
    after = []
    for seed in SEEDS[:2]:
        with trial.seeded(seed), foreign_generators():
            random.seed(seed)  # anew, since a call that seeds may have been before
            np.random.seed(seed)
            before, foreign = torch.get_rng_state(), _foreign_state()
            subject(*detached(inputs))
            after.append(torch.get_rng_state())
            drew = not torch.equal(before, after[-1])
            if _foreign_state() != foreign:
                return failed(
                    f"a call in {mode_name(training)} draws from Python's or NumPy's generator",
                    "torch.manual_seed does not reach them: use torch's random functions",
                )
    if torch.equal(*after):
        return failed(
            f"a call in {mode_name(training)} seeds torch's generator: the same numbers come after it from any seed",
            "torch.manual_seed inside of forward restarts the random numbers of the whole program: use a generator",
        )
    if drew and not training:
        return failed(
            "a call in evaluation mode draws random numbers, though its result does not depend on them",
            "validation then changes the training that follows: draw after `if self.training`",
        )
    return None


def _foreign_state() -> tuple[object, ...]:
    return random.getstate(), pickle.dumps(np.random.get_state())


def _run_with_foreign_seed(subject: Any, inputs: tuple[Any, ...], seed: int) -> list[Leaf]:
    with foreign_generators():
        random.seed(seed)
        np.random.seed(seed)
        return kept(subject.pure(inputs))
