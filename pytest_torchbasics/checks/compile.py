"""The check `compile`."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..numerics.trees import kept
from ..trials import Arguments, Subject, Trial, never_giving_up
from .outcome import Outcome, Status, failed, not_applicable
from .support.inputs import is_random, mode_name, training_modes
from .support.results import Differences, Results, allowed, called

#: Traces forward and backward, cuts them apart as inductor does, and runs both by eager kernels: it shows what dynamo
#: and autograd make of a function within a second, without a compiler. The execution mode `compile` runs inductor.
#: Plain `aot_eager` cuts differently: torch 2.14.1 gives wrong gradients there where forward updates a buffer it reads.
BACKEND = "aot_eager_decomp_partition"


def compile(trial: Trial) -> Outcome:
    """Finds other outputs, gradients or errors under torch.compile, at all sizes one after the other.

    A graph break is told, and fails a case that is declared fullgraph=True. What dynamo traces is the same in every
    dtype, so one is judged.
    """
    judged = "float32" if "float32" in trial.case.dtypes else trial.case.dtypes[0]
    if trial.dtype != judged:
        return not_applicable(f"what is traced is the same in every dtype: it is judged in {judged}")
    if trial.mode != "eager":
        return not_applicable("the run is compiled itself")
    found = Differences()
    breaks = ""
    for training in training_modes(trial):
        try:
            _one(trial, training, found, fullgraph=True)
        except (torch._dynamo.exc.Unsupported, torch._dynamo.exc.UserError) as error:
            breaks = str(error).strip().splitlines()[0]
            if trial.case.fullgraph:
                return failed(f"declared fullgraph=True, but the graph breaks: {breaks}", "see TORCH_LOGS=graph_breaks")
            found = Differences()
            try:
                _one(trial, training, found, fullgraph=False)
            except Exception as other:
                return _raised(training, other)
        except Exception as error:
            return _raised(training, error)
        if found.failed:
            break
    outcome = found.outcome()
    return outcome.noting(f"the graph breaks: {breaks}") if breaks and outcome.status is Status.PASSED else outcome


def _raised(training: bool, error: Exception) -> Outcome:
    return failed(
        f"compiled, it raises in {mode_name(training)}: {type(error).__name__}: {str(error).strip().splitlines()[0]}",
        "something remembered from an earlier call (a size, a flag) is used while tracing, or an operator has no fake "
        "kernel",
    )


def _one(trial: Trial, training: bool, found: Differences, fullgraph: bool) -> None:
    subject, twin = trial.subject(training), trial.subject(training)
    eager, target = (s.module if s.module is not None else trial.case.target for s in (subject, twin))
    torch.compiler.reset()
    with never_giving_up(), _silent(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(target, backend=BACKEND, fullgraph=fullgraph)
        for index, inputs in enumerate(trial.samples()):
            if is_random(subject, inputs):
                found.unjudged = f"its result is random in {mode_name(training)}"
                continue
            expected = _results(trial, eager, subject, inputs)
            actual = _results(trial, compiled, twin, inputs)
            hint = "a branch on torch.compiler.is_compiling(), a wrong fake kernel, or state that tracing does not see"
            where = f"compiled by {BACKEND} in {mode_name(training)}"
            if not found.add(where, actual, expected, allowed(trial, training, index), hint):
                return


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps torch's structured trace, hundreds of debug lines for its own tools, out of pytest's captured log."""
    trace = logging.getLogger("torch.__trace")

    def drop(record: logging.LogRecord) -> bool:
        return False

    trace.addFilter(drop)  # pytest 9.2 has its handlers on loggers that do not propagate too
    try:
        yield
    finally:
        trace.removeFilter(drop)


def _results(trial: Trial, call: Callable[..., Any], subject: Subject, inputs: Arguments) -> Results:
    outputs, found = called(trial, call, subject, inputs)
    return Results(kept(outputs), found)
