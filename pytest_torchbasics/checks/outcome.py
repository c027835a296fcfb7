"""What a check answers. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum


class Status(str, Enum):
    """How a check ended; the values are the outcomes of the result rows."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_APPLICABLE = "not_applicable"
    XFAILED = "xfailed"
    XPASSED = "xpassed"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"


#: Statuses that make a run fail.
BAD = frozenset({Status.FAILED, Status.ERROR, Status.XPASSED})


@dataclass(frozen=True)
class Outcome:
    """The answer of one check on one trial.

    Attributes:
        status: how it ended.
        message: what is wrong and where, or why the check does not apply; a note when passed.
        hint: the usual cause of such a failure and what to do.
        error: the largest absolute error that was found, if values were compared.
        share: the largest error in units of what was allowed there; above 1 is a failure.
        check: the name of the check, filled in by `run_check`.
        exception: what the layer raised, when the status is ERROR.
    """

    status: Status
    message: str = ""
    hint: str = ""
    error: float | None = None
    share: float | None = None
    check: str = ""
    exception: BaseException | None = None

    def noting(self, message: str) -> Outcome:
        """The same outcome with something worth telling."""
        return replace(self, message=message)

    def __str__(self) -> str:
        text = f"{self.check}: {self.message}" if self.message else f"{self.check}: {self.status.value}"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class CheckFailure(AssertionError):
    """Some checks failed; the message lists every one of them.

    Attributes:
        outcomes: the outcomes of all checks that ran, the good ones too.
    """

    def __init__(self, title: str, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = tuple(outcomes)
        bad = [outcome for outcome in outcomes if outcome.status in BAD]
        super().__init__("\n".join([title, *(str(outcome) for outcome in bad)]))


def passed(error: float | None = None, share: float | None = None) -> Outcome:
    """The fault was looked for and not found."""
    return Outcome(Status.PASSED, error=error, share=share)


def failed(message: str, hint: str = "", error: float | None = None, share: float | None = None) -> Outcome:
    """The fault is there."""
    return Outcome(Status.FAILED, message, hint, error, share)


def not_applicable(reason: str) -> Outcome:
    """The check says nothing about this trial, for this reason."""
    return Outcome(Status.NOT_APPLICABLE, reason)
