"""Reading rows column by column, so that a table of a million rows is never in memory twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import safe
from .errors import ResultError
from .rows import KINDS, TEXT_LENGTH
from .schema import CATEGORIES, KEYS, METADATA, VERSION, MetricColumn, arrow_types, metric_of
from .table import unreadable

#: Without these a row is none.
REQUIRED = (*KEYS, "outcome", "run_id")
LIMITS = {"thrift_string_size_limit": 100 * safe.MIB, "thrift_container_size_limit": 1_000_000}


@dataclass(frozen=True)
class Columns:
    """The rows of one source.

    Attributes:
        count: how many rows there are.
        fields: the Arrow fields by name.
        read: gives a column by its name.
        path: the file, for messages.
    """

    count: int
    fields: dict[str, Any]
    read: Callable[[str], Any]
    path: Path

    @property
    def metrics(self) -> dict[MetricColumn, str]:
        """The metrics' columns, and what each is called here."""
        named = {name: metric_of(field) for name, field in self.fields.items()}
        return {column: name for name, column in named.items() if column is not None}

    @property
    def unknown(self) -> list[str]:
        """Columns of a newer minor version."""
        known = arrow_types()
        return [name for name, field in self.fields.items() if name not in known and metric_of(field) is None]

    def column(self, name: str, type_: Any) -> Any:
        """A column as a chunked array of a type; null where the source has none of that name.

        Raises:
            ResultError: it cannot be read, or lacks a value that every row must have.
        """
        import pyarrow as pa

        if name not in self.fields:
            return pa.chunked_array([pa.nulls(self.count, type_)])
        try:
            found = self.as_it_is(name)
            if pa.types.is_dictionary(found.type) and found.num_chunks > 1:
                found = found.unify_dictionaries()
            _check_length(found, self.path)
            found = found if found.type == type_ else found.cast(type_)
        except ResultError:
            raise
        except Exception as error:  # as below
            raise unreadable(self.path, error) from None
        if len(found) != self.count:
            raise ResultError(f"has {self.count:,} rows, but {len(found):,} in its column {name!r:.60}", self.path)
        if name in REQUIRED and found.null_count:
            raise ResultError(f"has rows without a key: {name}", self.path)
        if name == "kind":
            _check_kinds(found, self.path)
        return found

    def as_it_is(self, name: str) -> Any:
        """A column that the source has, as a chunked array of its own type.

        Raises:
            ResultError: it cannot be read, or is not whole.
        """
        try:
            found = self.read(name)
            found.validate(full=True)  # Arrow itself follows an index to a word that is not there
        except Exception as error:  # Arrow raises a dozen types, and others, for one broken byte
            raise unreadable(self.path, error) from None
        return found

    def table(self) -> Any:
        """All of it as one Arrow table."""
        import pyarrow as pa

        types = arrow_types()
        fields = [pa.field(name, type_) for name, type_ in types.items()]
        fields += [self.fields[name] for name in self.metrics.values()]
        columns = [self.column(field.name, field.type) for field in fields]
        return pa.table(columns, schema=pa.schema(fields, metadata=METADATA))


def columns_of(table: Any, path: Path) -> Columns:
    """The rows of an Arrow table that is in memory."""
    return Columns(len(table), {field.name: field for field in table.schema}, table.column, path)


def open_parquet(path: Path) -> Columns:
    """The rows of a rows.parquet.

    Raises:
        ResultError: it cannot be read, asks for too much, or was written by a newer version.
    """
    import pyarrow.parquet as pq

    size = safe.check_size(path, safe.PARQUET_BYTES)
    try:
        with pq.ParquetFile(path, **LIMITS) as file:
            check_metadata(file, path, size)
            words = [name for name in CATEGORIES if name in file.schema_arrow.names]
        # Read as dictionaries, a long text that stands in many rows is unpacked once.
        file = pq.ParquetFile(path, read_dictionary=words, page_checksum_verification=True, **LIMITS)
        fields = {field.name: field for field in file.schema_arrow}
        count = int(file.metadata.num_rows)
    except ResultError:
        raise
    except Exception as error:  # as above
        raise unreadable(path, error) from None
    missing = [name for name in REQUIRED if name not in fields]
    if missing or len(fields) < len(file.schema_arrow.names):
        raise ResultError(f"lacks the columns {', '.join(missing) or '(a name stands twice)'}", path)
    return Columns(count, fields, lambda name: file.read([name]).column(0), path)


def stacked(sources: Sequence[Columns], names: Sequence[str | None], type_: Any) -> Any:
    """One column of several sources, one after the other; None for a source that lacks it."""
    import pyarrow as pa

    chunks = [
        chunk for source, name in zip(sources, names, strict=True) for chunk in source.column(name or "", type_).chunks
    ]
    found = pa.chunked_array(chunks, type_)
    return found.unify_dictionaries() if pa.types.is_dictionary(type_) else found


def check_metadata(file: Any, path: Path, size: int) -> None:
    """Refuse a Parquet file that is not ours, is of a newer version, or asks for too much.

    Raises:
        ResultError: it is one.
    """
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
    if metadata.num_columns > safe.COLUMNS:
        raise ResultError(f"has {metadata.num_columns:,} columns; at most {safe.COLUMNS:,} are read", path)
    # Asking each column for its own size ends the process in Arrow 26 where a byte of its statistics is broken.
    unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    too_dense = unpacked > safe.RATIO_MATTERS_FROM and unpacked > safe.UNPACKED_RATIO * size
    if unpacked > safe.UNPACKED_BYTES or too_dense:
        raise ResultError(f"{size / safe.MIB:.1f} MiB would unpack to {unpacked / safe.MIB:,.0f} MiB: refused", path)


def _check_kinds(column: Any, path: Path) -> None:
    """Refuse rows of a kind that there is not, before they are merged with others."""
    import pyarrow.compute as pc

    found = {str(kind) for chunk in column.chunks for kind in pc.unique(chunk).to_pylist()}
    if others := sorted(found.difference(KINDS)):
        raise ResultError(f"has rows of the kind {others[0]!r:.60}; there are {', '.join(KINDS)}", path)


def _check_length(column: Any, path: Path) -> None:
    """Refuse text that is longer than anything we write."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for chunk in column.chunks:
        values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            return
        longest = pc.max(pc.binary_length(values)).as_py() or 0
        if longest > 4 * TEXT_LENGTH:
            raise ResultError(f"holds a text of {longest:,} bytes; at most {4 * TEXT_LENGTH:,} are read", path)
