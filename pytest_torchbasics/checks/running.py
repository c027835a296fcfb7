"""Running checks on a trial, with what the author declared about it."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..backends import backend_for, resolve_devices
from ..cases import Case, Declared
from ..global_state.generators import foreign_generators
from ..global_state.watch import put_back
from . import check_names, find, parse_checks
from .outcome import BAD, CheckFailure, Outcome, Status, failed

if TYPE_CHECKING:
    import torch

    from ..trials import Trial


#: How torch words it that an op, dtype or device is not supported.
_REFUSAL = re.compile(r"not implemented|not supported|unsupported|does(n't| not) support|Could not run", re.IGNORECASE)

#: What is behind an error of torch, by its words.
_EXPLAINED = {
    "second time": "something that is kept from an earlier call still has that call's graph (a hidden state, a cache): "
    ".detach() it",
    "same dtype|expected scalar type|dtype mismatch": "a tensor that .to(dtype) does not move, or that is made without "
    "dtype=; checks compute in float64 too, for their bounds; see what the check `movement` says",
}
#: Calls of the same inputs, to see whether the structure of the result stays.
CALLS = 4


def run_check(
    trial: Trial,
    name: str,
    *,
    skip: Sequence[Declared] = (),
    known_failure: Sequence[Declared] = (),
    unsupported: Sequence[Declared] = (),
) -> Outcome:
    """Run one check on one trial and judge it by what is declared.

    A declared `skip` is not run. A declared `unsupported` is tried: torch must refuse the forward pass in evaluation
    or training mode, or the check if the declaration names one, else it is wrong. A declared `known_failure` must
    fail. An exception of the layer is an ERROR, which no declaration excuses: an unexpected NameError is not the
    known failure.

    Args:
        trial: what to check.
        name: of the check.
        skip, known_failure, unsupported: declared in addition to the case's own.

    Raises:
        CheckError, DeviceError: a declaration names a check or a device that there is not, so it would never hold.
    """
    case = trial.case
    require_known([*case.skip, *case.known_failure, *case.unsupported, *skip, *known_failure, *unsupported])

    def declared(kinds: Sequence[Declared]) -> Declared | None:
        return next((d for d in kinds if d.covers(name, trial.device, trial.dtype)), None)

    if found := declared([*case.skip, *skip]):
        return Outcome(Status.SKIPPED, found.reason, check=name)
    if found := declared([*case.unsupported, *unsupported]):
        return dataclasses.replace(_try_unsupported(trial, name, found), check=name)
    outcome = _run(trial, name)
    if (found := declared([*case.known_failure, *known_failure])) and outcome.status is not Status.ERROR:
        outcome = _judge_known_failure(outcome, found)
    return dataclasses.replace(outcome, check=name)


def require_known(exceptions: Iterable[Declared]) -> None:
    """Refuse an exception that is declared for a check or a kind of device that there is not.

    Raises:
        CheckError, DeviceError: its message says what there is.
    """
    for declared in exceptions:
        if declared.check is not None:
            parse_checks([declared.check])
        if declared.device is not None:
            backend_for(declared.device)


def assert_case(
    case: Case,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    checks: Sequence[str] | None = None,
    mode: str = "eager",
) -> list[Outcome]:
    """Run checks on a case, without pytest.

    Args:
        case: made by `layer` or `op`.
        device: where to run it.
        dtype: float32 by default.
        checks: names; all by default.
        mode: `"eager"` or `"compile"`.

    Returns:
        The outcome of every check, those that do not apply too.

    Raises:
        CheckFailure: lists every failed check.
        DeviceError, DtypeError, CheckError: the device cannot be used, or a name is unknown, also in a declaration.
    """
    from ..numerics.dtypes import parse_dtypes
    from ..trials import Trial

    (device_name,) = resolve_devices([str(device)])
    (dtype_name,) = parse_dtypes([dtype or "float32"])
    names = check_names() if checks is None else parse_checks(checks)
    trial = Trial(case, device_name, dtype_name, mode)
    outcomes = [run_check(trial, name) for name in names]
    if any(outcome.status in BAD for outcome in outcomes):
        raise CheckFailure(f"{case.name} on {device_name} in {dtype_name} ({mode}):", outcomes)
    return outcomes


def _run(trial: Trial, name: str) -> Outcome:
    backend = backend_for(trial.device)
    if reason := backend.supports(trial.torch_dtype):
        return Outcome(Status.UNSUPPORTED, reason)
    try:
        # Python's and NumPy's generators are put back without a word: `determinism` judges who draws from them.
        with (
            backend.active(trial.device),
            backend.tf32_off(),
            put_back() as changes,
            foreign_generators(),
        ):
            outcome = find(name)(trial)
    except Exception as error:
        return _changing(trial) or _error(trial, error)
    if not changes:
        return outcome
    changed = f"it changes what is global, and leaves it so: {', '.join(changes)}"
    if outcome.status in BAD:
        return dataclasses.replace(outcome, message=f"{outcome.message}; and {changed}")
    return failed(
        changed,
        "whatever runs next computes something else: use the context manager of that setting, a torch.Generator, "
        "and torch.random.fork_rng around a seed",
    )


def _changing(trial: Trial) -> Outcome | None:
    """The outcome where a result changes its structure from call to call, which no check can compare."""
    from ..numerics.trees import tensors
    from .support.inputs import training_modes

    with contextlib.suppress(Exception):  # the check's own error tells more
        for training in training_modes(trial):
            subject = trial.subject(training)
            for inputs in trial.samples():
                shapes = [[tuple(leaf.value.shape) for leaf in tensors(subject.pure(inputs))] for _ in range(CALLS)]
                if other := next((shape for shape in shapes if shape != shapes[0]), None):
                    return failed(
                        f"the same inputs give results of another structure from call to call: shapes {shapes[0]}, "
                        f"then {other}",
                        "something is remembered between calls: a counter, a cache, a flag of the first call",
                    )
    return None


def _error(trial: Trial, error: Exception) -> Outcome:
    explained = next((hint for words, hint in _EXPLAINED.items() if re.search(words, str(error))), "")
    sizes = "; ".join(", ".join(f"{k}={v}" for k, v in sizes.items()) for sizes in trial.case.assignments() if sizes)
    return Outcome(
        Status.ERROR,
        f"{type(error).__name__}: {error}",
        (explained or "the layer, its factory, its reference or its samples raised this; the traceback shows where")
        + (f" (symbols: {sizes}; other sizes by sizes=)" if sizes else ""),
        exception=error,
    )


def _judge_known_failure(outcome: Outcome, declared: Declared) -> Outcome:
    if outcome.status is Status.FAILED:
        message = f"{declared.reason} ({outcome.message})"
        return dataclasses.replace(outcome, status=Status.XFAILED, message=message, hint="")
    if outcome.status is Status.PASSED:
        return Outcome(
            Status.XPASSED,
            f"passes, though it is declared as a known failure ({declared.reason})",
            "it is fixed, or the check no longer sees it: remove the declaration",
        )
    return outcome


def _try_unsupported(trial: Trial, name: str, declared: Declared) -> Outcome:
    """Only torch's own refusal counts; a shape error is a fault, not a lack of support."""
    if declared.check:
        outcome = _run(trial, name)
        if outcome.status is Status.ERROR:
            return _refused(outcome, declared)
        if outcome.status in (Status.PASSED, Status.NOT_APPLICABLE):
            return _supported(declared)
        return outcome
    for training in (False, True):
        try:
            for inputs in trial.samples():
                trial.subject(training).pure(inputs)
        except Exception as error:
            return _refused(_error(trial, error), declared)
    return _supported(declared)


def _refused(outcome: Outcome, declared: Declared) -> Outcome:
    error = outcome.exception
    if not (isinstance(error, NotImplementedError) or _REFUSAL.search(str(error))):
        return outcome
    first = str(error).strip().split("\n")[0]
    return Outcome(Status.UNSUPPORTED, f"{declared.reason} ({type(error).__name__}: {first})")


def _supported(declared: Declared) -> Outcome:
    return Outcome(
        Status.XPASSED,
        f"runs, though it is declared as unsupported ({declared.reason})",
        "it is supported now: remove the declaration",
    )
