"""Rows as an Arrow table and Parquet bytes."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from . import safe
from .environment import device_name
from .errors import ResultError
from .rows import TEXT_LENGTH, Row
from .schema import KEYS, METADATA, PARTS, MetricColumn, arrow_types, metric_field, samples_schema


def rows_table(rows: Sequence[Row], record: Mapping[str, Any]) -> Any:
    """The rows of a run as an Arrow table, each with the facts of the run.

    Args:
        rows: the rows.
        record: the content of run.json.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {name: [getattr(row.cell, name) for row in rows] for name in KEYS}
    for name in ("outcome", "reason", "reason_code", "duration_s", "started_at", "nodeid", "case_hash", "timer"):
        columns[name] = [getattr(row, name) for row in rows]
    columns["flags"] = [",".join(row.flags) for row in rows]
    for name, value in run_facts(record).items():
        columns[name] = [value] * len(rows)
    environment = record.get("environment") or {}
    names = {device: device_name(environment, device) for device in set(columns["device"])}
    columns["device_name"] = [names[device] for device in columns["device"]]
    arrays = {name: _array(columns[name], type_) for name, type_ in arrow_types().items()}
    fields = {name: pa.field(name, array.type) for name, array in arrays.items()}
    for column, values in sorted(_metrics(rows).items(), key=lambda found: found[0].name):
        name = free_name(column.name, arrays)
        fields[name] = metric_field(column, name)
        arrays[name] = pa.array(values, fields[name].type)
    return pa.table(list(arrays.values()), schema=pa.schema(list(fields.values()), metadata=METADATA))


def _metrics(rows: Sequence[Row]) -> dict[MetricColumn, list[Any]]:
    """The values of each metric's columns that hold any; of a metric that a row has twice, the last."""
    found: dict[MetricColumn, list[Any]] = {}
    for position, row in enumerate(rows):
        for metric in row.metrics:
            for part in PARTS:
                value = getattr(metric, part)
                if value is not None:
                    column = MetricColumn(metric.metric, metric.unit, metric.better, part)
                    found.setdefault(column, [None] * len(rows))[position] = value
    return found


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with a number behind it if it is taken."""
    numbered = (f"{name}_{number}" for number in itertools.count(2))
    return next(found for found in itertools.chain([name], numbered) if found not in taken)


def samples_table(rows: Sequence[Row], run_id: str) -> Any:
    """The raw times of the rows that have any."""
    import pyarrow as pa

    rows = [row for row in rows if row.samples_ns]
    columns: dict[str, list[Any]] = {name: [getattr(row.cell, name) for row in rows] for name in KEYS}
    columns["run_id"] = [run_id] * len(rows)
    columns["nodeid"] = [row.nodeid for row in rows]
    columns["samples_ns"] = [list(row.samples_ns) for row in rows]
    schema = samples_schema()
    return pa.table([_array(columns[field.name], field.type) for field in schema], schema=schema)


def run_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that repeat facts of the run, by name, without those of the device."""
    environment = record.get("environment") or {}
    git = environment.get("git") or {}
    torch = environment.get("torch") or {}
    return {
        "run_id": _string(record.get("run_id")),
        "env_id": _string(record.get("env_id")),
        "machine_key": _string(record.get("machine_key")),
        "torch_version": _string(torch.get("version")),
        "python_version": _string((environment.get("python") or {}).get("version")),
        "platform": _string((environment.get("os") or {}).get("platform")),
        "commit": _string(git.get("commit")),
        "dirty": git.get("dirty") if isinstance(git.get("dirty"), bool) else None,
        "leg": _string(record.get("leg")),
        "shard": _string(record.get("shard")),
        "attempt": record.get("attempt") if isinstance(record.get("attempt"), int) else None,
    }


def parquet_bytes(table: Any) -> bytes:
    """The table as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue())


def parquet_rows(path: Path) -> int:
    """How many rows a Parquet file says that it has.

    Raises:
        ResultError: it cannot be read.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    except Exception as error:  # as above
        raise unreadable(path, error) from None


def _array(values: list[Any], type_: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).dictionary_encode().cast(type_)
    if pa.types.is_timestamp(type_):
        return pa.array([instant(value) for value in values], type_)
    return pa.array(values, type_)


def _string(value: Any) -> str:
    return "" if value is None else str(value)[:TEXT_LENGTH]


def instant(text: str) -> datetime | None:
    """An ISO time; None for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(timezone.utc).replace(microsecond=0) if found.tzinfo else None


def unreadable(path: Path, error: Exception, what: str = "Parquet") -> ResultError:
    """The error of a file that Arrow cannot read."""
    lines = safe.safe_text(str(error).splitlines()[0] if str(error) else type(error).__name__)
    return ResultError(f"cannot be read as {what}: {lines[:200]}", path)
