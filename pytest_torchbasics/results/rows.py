"""The row: one cell that was checked or timed, and how it ended. All that the run side and the read side share.

A row holds plain JSON values only. Whatever a test hands over (a torch.dtype, a numpy number, NaN) is made plain
when the row is made: one odd value in one test must never break the file of the whole run.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

from .errors import ResultError

#: How a cell can end. `not_applicable`: the check says nothing about this trial, the reason says why.
OUTCOMES = (
    "passed",
    "failed",
    "error",
    "timeout",
    "crashed",
    "xfailed",
    "xpassed",
    "skipped",
    "not_applicable",
    "unsupported",
    "not_run",
)
KINDS = ("check", "timing")
#: The case of a row that stands for none, as in a shard that has none.
NO_CASE = "(no case)"
REASON_LENGTH = 300
TEXT_LENGTH = 4_000
#: The flag of a row one of whose values was infinite, which JSON cannot say.
INFINITE = "infinite"

Better = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class MetricValue:
    """One measured quantity.

    Attributes:
        metric: its name, `median`.
        unit: its SI unit, `s`; empty for a pure number.
        better: which way is better.
        value: None if there is none.
        low: lower end of the interval of the value.
        high: upper end.
        n: how many samples it rests on.
    """

    metric: str
    unit: str
    better: Better
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        better = text(self.better)
        _set(
            self,
            metric=text(self.metric),
            unit=text(self.unit),
            better=better if better in ("lower", "higher") else "none",
            value=number(self.value),
            low=number(self.low),
            high=number(self.high),
            n=integer(self.n),
        )

    @property
    def is_infinite(self) -> bool:
        """True if the value or its interval is infinite."""
        return any(x is not None and math.isinf(x) for x in (self.value, self.low, self.high))


@dataclass(frozen=True)
class Cell:
    """The key of a row: what was checked or timed, and where.

    Attributes:
        kind: `check` or `timing`.
        case: the case's name.
        check: the check's name; empty for a timing.
        phase: what was timed; empty for a check.
        mode: `eager`, `compile`.
        device: `cpu`, `cuda:1`.
        dtype: `float32`, without `torch.`.
        threads: how many threads computed; 0 for checks.
        process: which repetition in a fresh process.
        sizes: which of the sizes that a case declares for timing, `N=32,T=128`; empty for the only ones.
    """

    kind: str
    case: str
    check: str
    phase: str
    mode: str
    device: str
    dtype: str
    threads: int
    process: int = 0
    sizes: str = ""

    def __post_init__(self) -> None:
        plain = {name: text(getattr(self, name)) for name in CELL_TEXTS}
        plain["dtype"] = plain["dtype"].removeprefix("torch.")
        _set(self, **plain, threads=integer(self.threads) or 0, process=integer(self.process) or 0)
        if self.kind not in KINDS:
            raise ResultError(f"the kind of a cell must be one of {', '.join(KINDS)}, found {self.kind!r}")


@dataclass(frozen=True)
class Row:
    """A cell and how it ended.

    Attributes:
        cell: the key.
        outcome: one of `OUTCOMES`.
        reason: why it did not pass, in one line.
        reason_code: the same for machines, `process_died`.
        duration_s: how long it took in all.
        started_at: ISO time in UTC.
        nodeid: pytest's name of the test, to run it again.
        timer: what the headline time is; times of different timers are not comparable.
        case_hash: hash of what is computed; rows with different hashes are not comparable.
        flags: short words on the quality of the measurement.
        metrics: what was measured.
        samples_ns: raw times in the order they were taken, in nanoseconds.
    """

    cell: Cell
    outcome: str
    reason: str = ""
    reason_code: str = ""
    duration_s: float | None = None
    started_at: str = ""
    nodeid: str = ""
    case_hash: str = ""
    timer: str = ""
    flags: tuple[str, ...] = ()
    metrics: tuple[MetricValue, ...] = ()
    samples_ns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        flags = tuple(text(flag) for flag in self.flags)
        if INFINITE not in flags and any(metric.is_infinite for metric in self.metrics):
            flags = (*flags, INFINITE)
        duration = number(self.duration_s)
        _set(
            self,
            outcome=text(self.outcome),
            reason=one_line(self.reason),
            reason_code=text(self.reason_code),
            duration_s=None if duration is None or math.isinf(duration) else duration,
            started_at=text(self.started_at),
            nodeid=text(self.nodeid),
            case_hash=text(self.case_hash),
            timer=text(self.timer),
            flags=flags,
            metrics=tuple(_finite(metric) for metric in self.metrics),
            samples_ns=tuple(ns for sample in self.samples_ns if (ns := integer(sample)) is not None),
        )
        if self.outcome not in OUTCOMES:
            raise ResultError(f"the outcome of a row must be one of {', '.join(OUTCOMES)}, found {self.outcome!r}")

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON values; what is empty is left out."""
        found: dict[str, Any] = {"cell": vars(self.cell).copy(), "outcome": self.outcome}
        found |= {name: value for name in ROW_TEXTS if (value := getattr(self, name))}
        if self.duration_s is not None:
            found["duration_s"] = self.duration_s
        if self.flags:
            found["flags"] = list(self.flags)
        if self.metrics:
            found["metrics"] = [vars(metric).copy() for metric in self.metrics]
        if self.samples_ns:
            found["samples_ns"] = list(self.samples_ns)
        return found

    @classmethod
    def from_json(cls, data: object, path: Path | None = None, line: int | None = None) -> Row:
        """The row that `to_json` wrote. Unknown keys, of a newer minor version, are passed over.

        Raises:
            ResultError: something is missing or of the wrong type.
        """
        read = _Reader(path, line)
        row = read.mapping(data, "row")
        metrics = [read.mapping(item, "metric") for item in read.items(row, "metrics")]
        try:
            return cls(
                cell=cell_from_json(row.get("cell"), path, line),
                outcome=read.text(row, "outcome", required=True),
                duration_s=read.number(row, "duration_s"),
                flags=tuple(read.text({"flag": flag}, "flag") for flag in read.items(row, "flags")),
                metrics=tuple(
                    MetricValue(
                        metric=read.text(metric, "metric", required=True),
                        unit=read.text(metric, "unit"),
                        better=cast(Better, read.text(metric, "better") or "none"),
                        value=read.number(metric, "value"),
                        low=read.number(metric, "low"),
                        high=read.number(metric, "high"),
                        n=read.integer(metric, "n"),
                    )
                    for metric in metrics
                ),
                samples_ns=tuple(
                    read.integer({"sample": sample}, "sample") or 0 for sample in read.items(row, "samples_ns")
                ),
                **{name: read.text(row, name) for name in ROW_TEXTS},
            )
        except ResultError as error:
            raise error if error.path or path is None else ResultError(str(error), path, line) from None


CELL_TEXTS = ("kind", "case", "check", "phase", "mode", "device", "dtype", "sizes")
CELL_KEYS = tuple(field.name for field in fields(Cell))
ROW_TEXTS = ("reason", "reason_code", "started_at", "nodeid", "case_hash", "timer")


def cell_from_json(data: object, path: Path | None = None, line: int | None = None) -> Cell:
    """The cell that was written as a mapping of its fields.

    Raises:
        ResultError: something is missing or of the wrong type.
    """
    read = _Reader(path, line)
    cell = read.mapping(data, "cell")
    try:
        return Cell(
            **{name: read.text(cell, name, required=True) for name in CELL_TEXTS},
            threads=read.integer(cell, "threads") or 0,
            process=read.integer(cell, "process") or 0,
        )
    except ResultError as error:
        raise error if error.path or path is None else ResultError(str(error), path, line) from None


def text(value: object) -> str:
    """Any value as text that UTF-8 can hold, cut to `TEXT_LENGTH`."""
    if isinstance(value, enum.Enum):
        value = value.value
    if value is None:
        return ""
    try:
        found = str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:  # a foreign __str__ may raise anything, and must not end the run
        found = f"<unprintable {type(value).__name__}>"
    if type(found) is not str:
        found = "".join(found)
    return found[:TEXT_LENGTH].encode("utf-8", "backslashreplace").decode("utf-8")


def one_line(value: object) -> str:
    """Any value as one line of at most `REASON_LENGTH` characters."""
    line = " ".join(text(value).split())
    return line if len(line) <= REASON_LENGTH else line[: REASON_LENGTH - 1] + "…"


def number(value: Any) -> float | None:
    """Any number, numpy's and torch's too, as a float; None for NaN and for what is no number."""
    if value is None:
        return None
    try:
        found = float(value)
    except Exception:  # a foreign __float__ may raise anything, and must not end the run
        return None
    return None if math.isnan(found) else found


def integer(value: Any) -> int | None:
    """Any whole number that 64 bits hold as an int, else None."""
    if value is None:
        return None
    try:
        found = int(value)
    except Exception:  # a foreign __int__ may raise anything, and must not end the run
        return None
    return found if -(2**63) <= found < 2**63 else None


def _finite(metric: MetricValue) -> MetricValue:
    if not metric.is_infinite:
        return metric
    value, low, high = (None if x is not None and math.isinf(x) else x for x in (metric.value, metric.low, metric.high))
    return MetricValue(metric.metric, metric.unit, metric.better, value, low, high, metric.n)


def _set(instance: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(instance, name, value)


@dataclass(frozen=True)
class _Reader:
    """Takes values of a known type out of foreign JSON."""

    path: Path | None
    line: int | None

    def mapping(self, value: object, what: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._error(what, "a JSON object", value)
        return value

    def items(self, data: Mapping[str, Any], key: str) -> list[Any]:
        value = data.get(key, [])
        if not isinstance(value, list):
            raise self._error(key, "a list", value)
        return value

    def text(self, data: Mapping[str, Any], key: str, required: bool = False) -> str:
        value = data.get(key, None if required else "")
        if not isinstance(value, str):
            raise self._error(key, "text", value)
        return value

    def number(self, data: Mapping[str, Any], key: str) -> float | None:
        value = data.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise self._error(key, "a number or null", value)
        return number(value)

    def integer(self, data: Mapping[str, Any], key: str) -> int | None:
        value = data.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise self._error(key, "a whole number or null", value)
        return value

    def _error(self, what: str, wanted: str, found: object) -> ResultError:
        shown = "nothing" if found is None else f"{type(found).__name__} {found!r:.60}"
        return ResultError(f"{what!r} must be {wanted}, found {shown}", self.path, self.line)
