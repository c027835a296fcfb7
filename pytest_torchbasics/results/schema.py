"""The columns of the tables, their order, and the order of their values: the one place. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .rows import CELL_KEYS, OUTCOMES

#: Raised when a reader of the old version would misread the new one.
VERSION = 1
METADATA = {"torchbasics_schema": str(VERSION)}

KEYS = CELL_KEYS
#: Facts of the run that every row repeats, so that any slice of a table explains itself.
RUN_COLUMNS = (
    "env_id",
    "machine_key",
    "device_name",
    "torch_version",
    "python_version",
    "platform",
    "commit",
    "dirty",
    "leg",
    "shard",
    "attempt",
)
#: Before the metrics, and after them, in the wide table.
FIRST_COLUMNS = ("run_id", *KEYS, "outcome", "reason", "reason_code", "duration_s")
LAST_COLUMNS = ("flags", "timer", "case_hash", "nodeid", "started_at", *RUN_COLUMNS)
#: What each fixed column holds.
DESCRIPTIONS = {
    "run_id": "the run; ids sort by time",
    "kind": "`check` or `timing`",
    "case": "the case's name",
    "check": "the check's name; empty for a timing",
    "phase": "what was timed; empty for a check",
    "mode": "how it was executed: `eager`, `channels_last+compile`",
    "device": "`cpu`, `cuda:1`",
    "dtype": "`float32`, without `torch.`",
    "threads": "of the CPU; 0 for a check",
    "process": "which repetition in a fresh process",
    "sizes": "which of the sizes that a case declares for timing: `N=32`",
    "outcome": "how the cell ended",
    "reason": "why it did not pass, in one line",
    "reason_code": "the same for programs: `process_died`, `not_reached`, `never_arrived`",
    "duration_s": "how long the cell took in all",
    "flags": "what to know about a time, with commas between",
    "timer": "what the median is; times of different timers do not compare",
    "case_hash": "of inputs, layer and protocol; rows with different ones do not compare",
    "nodeid": "pytest's name of the test",
    "started_at": "UTC",
    "env_id": "hash of the whole environment, which stands in run.json",
    "machine_key": "hash of stable facts of the machine",
    "device_name": "the model of the device",
    "torch_version": "",
    "python_version": "",
    "platform": "the operating system",
    "commit": "of the project under test",
    "dirty": "it had changes that were not committed; null if that is not known",
    "leg": "of a CI matrix",
    "shard": "`1/4`",
    "attempt": "of the CI, counted from 1",
}
#: Columns of text that few values share among many rows.
CATEGORIES = (
    "run_id",
    "kind",
    "case",
    "check",
    "phase",
    "mode",
    "device",
    "dtype",
    "sizes",
    "outcome",
    "reason_code",
    "case_hash",
    "timer",
    "env_id",
    "machine_key",
    "device_name",
    "torch_version",
    "python_version",
    "platform",
    "commit",
    "leg",
    "shard",
    "reason",
    "flags",
    "nodeid",
)
#: The metric whose interval and count stand in the wide table as `low_s`, `high_s`, `n`.
HEADLINE = "median"
#: Metric columns of the wide table that come first, in this order; all others follow by name.
METRIC_COLUMNS = ("median_s", "low_s", "high_s", "n", "first_call_s", "error", "bound_share")
#: What is kept of each metric, a column each.
PARTS = ("value", "low", "high", "n")

PHASES = ("", "forward", "backward", "forward_backward")
DEVICE_TYPES = ("cpu", "cuda", "rocm", "xpu", "mps")
DTYPES = (
    "",
    "float64",
    "float32",
    "bfloat16",
    "float16",
    "float8_e4m3fn",
    "float8_e5m2",
    "complex128",
    "complex64",
    "complex32",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
)


@dataclass(frozen=True)
class MetricColumn:
    """One column of a metric.

    Attributes:
        metric: its name, `median`.
        unit: `s`; empty for a pure number.
        better: which way is better.
        part: one of `PARTS`.
    """

    metric: str
    unit: str
    better: str
    part: str

    @property
    def name(self) -> str:
        """`median_s`, `host_low_s`, `host_n`; of the headline `low_s`, `high_s`, `n`."""
        headline = self.metric == HEADLINE and self.unit == "s"
        stem = "" if self.part == "value" else self.part
        words = [*([] if headline and stem else [self.metric]), stem, "" if self.part == "n" else self.unit]
        name = "_".join(filter(None, words))
        taken = name in FIRST_COLUMNS or name in LAST_COLUMNS or (not headline and name in ("low_s", "high_s", "n"))
        return f"metric_{name}" if taken else name


def ordered_values(column: str, values: Iterable[str]) -> list[str]:
    """The categories of an ordered column: every known one that is a constant, and those found, in order."""
    found = set(values)
    if column == "outcome":
        return [*OUTCOMES, *sorted(found.difference(OUTCOMES))]
    if column == "phase":
        return [*PHASES, *sorted(found.difference(PHASES))]
    if column == "device":
        return sorted(found, key=_device_rank)
    return sorted(found, key=_dtype_rank)


#: Columns whose values have an order.
ORDERED = ("phase", "device", "dtype", "outcome")


def arrow_types() -> dict[str, Any]:
    """The type of every fixed column of rows.parquet, in their order; the metrics follow the first of them."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    types = {
        **dict.fromkeys(CATEGORIES, word),
        "threads": pa.int32(),
        "process": pa.int32(),
        "duration_s": pa.float64(),
        "started_at": pa.timestamp("s", "UTC"),
        "dirty": pa.bool_(),
        "attempt": pa.int32(),
    }
    return {name: types[name] for name in (*FIRST_COLUMNS, *LAST_COLUMNS)}


def metric_field(column: MetricColumn, name: str) -> Any:
    """The field of a metric's column, which tells what it is."""
    import pyarrow as pa

    type_ = pa.int64() if column.part == "n" else pa.float64()
    return pa.field(name, type_, metadata={f"torchbasics_{key}": value for key, value in vars(column).items()})


def metric_of(field: Any) -> MetricColumn | None:
    """What `metric_field` was given; None for a field that is no metric's."""
    told = {
        key.decode(errors="replace"): value.decode(errors="replace") for key, value in (field.metadata or {}).items()
    }
    given = {name: told.get(f"torchbasics_{name}") for name in ("metric", "unit", "better", "part")}
    if given["metric"] is None or given["part"] not in PARTS:
        return None
    return MetricColumn(**{name: value or "" for name, value in given.items()})


def samples_schema() -> Any:
    """The schema of samples.parquet."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    numbers = {"threads": pa.int32(), "process": pa.int32()}
    keys = [("run_id", word), *((name, numbers.get(name, word)) for name in KEYS)]
    return pa.schema([*keys, ("nodeid", pa.string()), ("samples_ns", pa.list_(pa.int64()))], metadata=METADATA)


def _device_rank(name: str) -> tuple[int, int, str]:
    kind, _, index = name.partition(":")
    place = DEVICE_TYPES.index(kind) if kind in DEVICE_TYPES else len(DEVICE_TYPES)
    return (place if name else -1, int(index) if re.fullmatch("[0-9]{1,9}", index) else -1, name)


def _dtype_rank(name: str) -> tuple[int, str]:
    return (DTYPES.index(name) if name in DTYPES else len(DTYPES), name)
