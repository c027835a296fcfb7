"""Rows as an Arrow table and Parquet bytes, and Parquet read back with limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import safe
from .environment import device_name
from .errors import ResultError
from .rows import TEXT_LENGTH, Row
from .schema import KEYS, TEXTS, VERSION, arrow_schema, samples_schema


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
    columns["flags"] = [list(row.flags) for row in rows]
    columns["metrics"] = [[vars(metric) for metric in row.metrics] for row in rows]
    for name, value in run_facts(record).items():
        columns[name] = [value] * len(rows)
    environment = record.get("environment") or {}
    names = {device: device_name(environment, device) for device in set(columns["device"])}
    columns["device_name"] = [names[device] for device in columns["device"]]
    schema = arrow_schema()
    return pa.table([_array(columns[field.name], field.type) for field in schema], schema=schema)


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


def read_parquet(path: Path) -> Any:
    """A rows.parquet as an Arrow table in this version's schema.

    Columns of an older version that are missing are null; those of a newer minor version are kept at the end.

    Raises:
        ResultError: it cannot be read, asks for too much, or was written by a newer version.
    """
    import pyarrow.parquet as pq

    size = safe.check_size(path, safe.PARQUET_BYTES)
    limits = {"thrift_string_size_limit": 100 * safe.MIB, "thrift_container_size_limit": 1_000_000}
    try:
        with pq.ParquetFile(path, **limits) as file:
            _check_metadata(file, path, size)
            texts = [name for name in TEXTS if name in file.schema_arrow.names]
        # Read as dictionaries, a long text that stands in many rows is unpacked once.
        with pq.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True, **limits) as file:
            table = file.read()
    except ResultError:
        raise
    except Exception as error:  # Arrow raises a dozen types, and others, for one broken byte; only the read is here
        raise _unreadable(path, error) from None
    return _fitted(table, path)


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
        raise _unreadable(path, error) from None


def _check_metadata(file: Any, path: Path, size: int) -> None:
    metadata = file.metadata
    version = (file.schema_arrow.metadata or {}).get(b"torchbasics_schema")
    if version is None:
        raise ResultError(
            "is a Parquet file, but not one of torchbasics (its metadata has no 'torchbasics_schema'); "
            "give the run folder, or its rows.parquet",
            path,
        )
    if not version.isdigit() or len(version) > 9 or int(version) > VERSION:
        raise ResultError(
            f"written with schema {version[:20]!r}, this version reads up to {VERSION}: "
            "pip install --upgrade pytest-torchbasics",
            path,
        )
    if metadata.num_rows > safe.ROWS:
        raise ResultError(f"has {metadata.num_rows:,} rows; at most {safe.ROWS:,} are read", path)
    unpacked = nested = 0
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            unpacked += chunk.total_uncompressed_size
            nested += chunk.num_values
    if nested > safe.NESTED_VALUES:
        raise ResultError(f"holds {nested:,} values; at most {safe.NESTED_VALUES:,} are read", path)
    too_dense = unpacked > safe.RATIO_MATTERS_FROM and unpacked > safe.UNPACKED_RATIO * size
    if unpacked > safe.UNPACKED_BYTES or too_dense:
        raise ResultError(f"{size / safe.MIB:.1f} MiB would unpack to {unpacked / safe.MIB:,.0f} MiB: refused", path)


def _fitted(table: Any, path: Path) -> Any:
    """The table with this version's columns and types."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = arrow_schema()
    missing = [name for name in (*KEYS, "outcome", "run_id") if name not in table.column_names]
    if missing or len(set(table.column_names)) != len(table.column_names):
        raise ResultError(f"lacks the columns {', '.join(missing) or '(a name stands twice)'}", path)
    columns = []
    try:
        for field in schema:
            if field.name not in table.column_names:
                columns.append(pa.chunked_array([pa.nulls(len(table), field.type)]))
                continue
            column = table[field.name]
            if field.name in TEXTS or pa.types.is_dictionary(field.type):
                column = _short(column.unify_dictionaries() if pa.types.is_dictionary(column.type) else column)
            columns.append(column if column.type == field.type else column.cast(field.type))
        extra = [name for name in table.column_names if name not in schema.names]
        fitted = pa.table([*columns, *(table[name] for name in extra)], names=[*schema.names, *extra])
        nulls = [name for name in (*KEYS, "outcome", "run_id") if fitted[name].null_count]
        kinds = set(pc.unique(fitted["kind"].cast(pa.string())).to_pylist())
    except ResultError:
        raise
    except Exception as error:  # as above: a cast of foreign data may raise any of Arrow's errors
        raise _unreadable(path, error) from None
    if nulls or not kinds <= {"check", "timing"}:
        raise ResultError(f"has rows without a key: {', '.join(nulls) or sorted(map(str, kinds))}", path)
    return fitted


def _short(column: Any) -> Any:
    """Refuse text that is longer than anything we write."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for chunk in column.chunks:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        if longest > 4 * TEXT_LENGTH:
            raise ResultError(f"holds a text of {longest:,} bytes; at most {4 * TEXT_LENGTH:,} are read")
    return column


def _array(values: list[Any], type_: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).dictionary_encode().cast(type_)
    return pa.array(values, type_)


def _string(value: Any) -> str:
    return "" if value is None else str(value)[:TEXT_LENGTH]


def _unreadable(path: Path, error: Exception) -> ResultError:
    lines = safe.safe_text(str(error).splitlines()[0] if str(error) else type(error).__name__)
    return ResultError(f"cannot be read as Parquet: {lines[:200]}", path)
