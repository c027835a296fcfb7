"""The columns of the tables, their order, and the order of their values: the one place. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .rows import CELL_KEYS, OUTCOMES

#: Raised when a reader of the old version would misread the new one.
VERSION = 1

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
)
TEXTS = ("reason", "nodeid", "started_at")
#: The metric whose interval and count stand in the wide table as `low_s`, `high_s`, `n`.
HEADLINE = "median"
#: Metric columns of the wide table that come first, in this order; all others follow by name.
METRIC_COLUMNS = ("median_s", "low_s", "high_s", "n", "first_call_s", "error", "bound_share")

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


def metric_column(metric: str, unit: str) -> str:
    """The wide table's column of a metric, `median_s`; one that would hide a fixed column is called `metric_...`."""
    name = f"{metric}_{unit}" if unit else metric
    taken = name in FIRST_COLUMNS or name in LAST_COLUMNS or name in ("low_s", "high_s", "n")
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


def arrow_schema() -> Any:
    """The schema of rows.parquet."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    types = {
        **dict.fromkeys(CATEGORIES, word),
        **dict.fromkeys(TEXTS, pa.string()),
        "threads": pa.int32(),
        "process": pa.int32(),
        "duration_s": pa.float64(),
        "flags": pa.list_(pa.string()),
        "dirty": pa.bool_(),
        "attempt": pa.int32(),
        "metrics": pa.list_(pa.struct(_metric_fields())),
    }
    columns = (*FIRST_COLUMNS, "metrics", *LAST_COLUMNS)
    return pa.schema([(name, types[name]) for name in columns], metadata=_metadata())


def samples_schema() -> Any:
    """The schema of samples.parquet."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    numbers = {"threads": pa.int32(), "process": pa.int32()}
    keys = [("run_id", word), *((name, numbers.get(name, word)) for name in KEYS)]
    return pa.schema([*keys, ("nodeid", pa.string()), ("samples_ns", pa.list_(pa.int64()))], metadata=_metadata())


def _metric_fields() -> list[tuple[str, Any]]:
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("metric", "unit", "better")]
    return [*texts, *((name, pa.float64()) for name in ("value", "low", "high")), ("n", pa.int64())]


def _metadata() -> dict[str, str]:
    return {"torchbasics_schema": str(VERSION)}


def _device_rank(name: str) -> tuple[int, int, str]:
    kind, _, index = name.partition(":")
    place = DEVICE_TYPES.index(kind) if kind in DEVICE_TYPES else len(DEVICE_TYPES)
    return (place if name else -1, int(index) if re.fullmatch("[0-9]{1,9}", index) else -1, name)


def _dtype_rank(name: str) -> tuple[int, str]:
    return (DTYPES.index(name) if name in DTYPES else len(DTYPES), name)
