"""Rows as pandas frames: the wide one, a row per check or phase, and the long one, a row per metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .columns import Columns, stacked
from .schema import (
    CATEGORIES,
    FIRST_COLUMNS,
    HEADLINE,
    LAST_COLUMNS,
    METRIC_COLUMNS,
    ORDERED,
    PARTS,
    MetricColumn,
    arrow_types,
    ordered_values,
)
from .table import free_name

if TYPE_CHECKING:
    import pandas as pd


def wide_frame(sources: Sequence[Columns]) -> pd.DataFrame:
    """One row per check or phase; a column per metric, with its unit in the name.

    `frame.attrs["better"]` tells which way of each metric column is better.
    """
    import pandas as pd
    import pyarrow as pa

    fixed = arrow_types()
    columns: dict[str, Any] = {name: _column(sources, name, fixed[name]) for name in FIRST_COLUMNS}
    found: dict[str, Any] = dict.fromkeys(("median_s", "low_s", "high_s", "n"))
    better: dict[str, str] = {}
    for column in _metric_columns(sources):
        if column.part == "value" or column.metric == HEADLINE:
            name = column.name if found.get(column.name) is None else free_name(column.name, found)
            found[name] = _values(sources, column)
            if column.part == "value":
                better[name] = column.better
    for name in (name for name, values in found.items() if values is None):
        found[name] = _numbers(stacked(sources, [None] * len(sources), pa.int64() if name == "n" else pa.float64()))
    first = [name for name in METRIC_COLUMNS if name in found]
    columns |= {name: found[name] for name in (*first, *sorted(set(found).difference(first)))}
    columns |= {name: _column(sources, name, fixed[name]) for name in LAST_COLUMNS}
    columns |= _unknown(sources, columns)
    frame: pd.DataFrame = pd.DataFrame(columns, copy=False)
    frame.attrs["better"] = better
    return frame


def long_frame(sources: Sequence[Columns]) -> pd.DataFrame:
    """One row per metric of each cell; a cell without metrics has one row with none."""
    import pandas as pd

    fixed = arrow_types()
    base = pd.DataFrame({name: _column(sources, name, type_) for name, type_ in fixed.items()}, copy=False)
    parts: dict[tuple[str, str, str], dict[str, Any]] = {}
    for column in _metric_columns(sources):
        parts.setdefault((column.metric, column.unit, column.better), {})[column.part] = _values(sources, column)
    frames = []
    for (metric, unit, better), values in parts.items():
        frame = pd.DataFrame({part: values.get(part) for part in PARTS}, index=base.index)
        frame = frame.astype({"value": "float64", "low": "float64", "high": "float64", "n": "Int64"})
        frame = frame[frame.notna().any(axis=1)]
        frames.append(frame.assign(metric=metric, unit=unit, better=better))
    names = ["metric", "unit", "better", *PARTS]
    metrics = pd.concat(frames) if frames else pd.DataFrame(columns=names, index=base.index[:0])
    joined = base.join(metrics, how="left").sort_index(kind="stable").reset_index(drop=True)
    result: pd.DataFrame = joined[[*FIRST_COLUMNS, *names, *LAST_COLUMNS]]
    return result


def _metric_columns(sources: Sequence[Columns]) -> list[MetricColumn]:
    """The metrics' columns of all sources, each once: the headline's, then the others by name."""
    found = {column for source in sources for column in source.metrics}
    return sorted(found, key=lambda column: (column.metric != HEADLINE, column.name))


def _values(sources: Sequence[Columns], column: MetricColumn) -> Any:
    import pyarrow as pa

    names = [source.metrics.get(column) for source in sources]
    return _numbers(stacked(sources, names, pa.int64() if column.part == "n" else pa.float64()))


def _numbers(column: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_integer(column.type):
        return column.to_pandas(integer_object_nulls=False).astype("Int64")
    return column.to_numpy()


def _column(sources: Sequence[Columns], name: str, type_: Any) -> Any:
    import pyarrow as pa

    column = stacked(sources, [name] * len(sources), type_)
    if name in CATEGORIES:
        return _words(column, name)
    if name == "dirty":
        return column.to_pandas().astype("boolean")
    if name == "attempt":
        return column.to_pandas(integer_object_nulls=False).astype("Int32")
    if pa.types.is_timestamp(type_):
        return column.to_pandas()
    return column.to_numpy()


def _words(column: Any, name: str) -> Any:
    """A categorical without missing values, its categories in order."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    words = column.chunk(0).dictionary.to_pylist() if column.num_chunks else []
    codes = [chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    flat = codes[0] if len(codes) == 1 else np.concatenate(codes) if codes else np.empty(0, "int32")
    used = np.zeros(len(words) + 1, bool)
    used[flat] = True  # a missing one is -1, the last
    present = {str(word or "") for word, there in zip(words, used, strict=False) if there}
    categories = sorted(present | ({""} if used[-1] else set()))
    if name in ORDERED:
        categories = ordered_values(name, categories)
    places = {word: place for place, word in enumerate(categories)}
    moved = np.array([*(places.get(str(word or ""), -1) for word in words), places.get("", -1)], dtype="int32")
    type_ = pd.CategoricalDtype(pd.Index(categories, dtype="str"), ordered=name in ORDERED)
    smallest = np.min_scalar_type(-max(1, len(categories)))
    assert pa.types.is_dictionary(column.type)
    return pd.Categorical.from_codes(moved.astype(smallest)[flat], dtype=type_)


def _unknown(sources: Sequence[Columns], taken: dict[str, Any]) -> dict[str, Any]:
    """Columns that a newer version wrote, as they are."""
    import pyarrow as pa

    found = {}
    for name in dict.fromkeys(name for source in sources for name in source.unknown):
        if name in taken:
            continue
        chunks = [
            source.as_it_is(name) if name in source.fields else pa.chunked_array([pa.nulls(source.count)])
            for source in sources
        ]
        tables = [pa.table({name: chunk}) for chunk in chunks]
        found[name] = pa.concat_tables(tables, promote_options="permissive").column(0).to_pandas()
    return found
