"""Arrow tables as pandas frames: the wide one, a row per check or phase, and the long one, a row per metric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .schema import (
    CATEGORIES,
    FIRST_COLUMNS,
    HEADLINE,
    LAST_COLUMNS,
    METRIC_COLUMNS,
    ORDERED,
    TEXTS,
    metric_column,
    ordered_values,
)

if TYPE_CHECKING:
    import pandas as pd


def wide_frame(table: Any) -> pd.DataFrame:
    """One row per check or phase; a column per metric, with its unit in the name.

    `frame.attrs["better"]` tells which way of each metric column is better.
    """
    import numpy as np
    import pandas as pd

    count = len(table)
    metrics = _metrics(table)
    values: dict[str, Any] = {name: np.full(count, np.nan) for name in ("median_s", "low_s", "high_s")}
    number = np.full(count, np.nan)
    better: dict[str, str] = {}
    for (metric, unit, way), group in metrics.groupby(["metric", "unit", "better"], observed=True, sort=False):
        column = metric_column(str(metric), str(unit))
        better[column] = str(way)
        rows = group["row"].to_numpy()
        values.setdefault(column, np.full(count, np.nan))[rows] = group["value"]
        if metric == HEADLINE and unit == "s":
            values["low_s"][rows], values["high_s"][rows] = group["low"], group["high"]
            number[rows] = group["n"]
    values["n"] = pd.array(number, dtype="Int64")
    first = [name for name in METRIC_COLUMNS if name in values]
    names = [*first, *sorted(set(values).difference(first))]
    known = (*FIRST_COLUMNS, *LAST_COLUMNS)
    extra = [name for name in table.column_names if name not in known and name not in values and name != "metrics"]
    columns = {name: _column(table, name) for name in FIRST_COLUMNS}
    columns |= {name: values[name] for name in names}
    columns |= {name: _column(table, name) for name in LAST_COLUMNS}
    columns |= {name: table[name].to_pandas() for name in extra}
    frame: pd.DataFrame = pd.DataFrame(columns)
    frame.attrs["better"] = better
    return frame


def long_frame(table: Any) -> pd.DataFrame:
    """One row per metric of each cell; a cell without metrics has one row with none."""
    import pandas as pd

    metrics = _metrics(table).drop_duplicates(["row", "metric", "unit"], keep="last")
    base = pd.DataFrame({name: _column(table, name) for name in (*FIRST_COLUMNS, *LAST_COLUMNS)})
    joined = base.merge(metrics, how="left", left_index=True, right_on="row").reset_index(drop=True)
    names = ["metric", "unit", "better", "value", "low", "high", "n"]
    frame: pd.DataFrame = joined[[*FIRST_COLUMNS, *names, *LAST_COLUMNS]]
    return frame


def _metrics(table: Any) -> pd.DataFrame:
    """Every metric with the position of its row in the table."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = table["metrics"].combine_chunks()
    if isinstance(lists, pa.ChunkedArray):  # older pyarrow; a table without rows has no chunk
        lists = lists.chunk(0) if lists.num_chunks else pa.array([], lists.type)
    flat = lists.flatten()
    columns: dict[str, Any] = {"row": pc.list_parent_indices(lists).to_numpy()}
    for name in ("metric", "unit", "better"):
        columns[name] = flat.field(name).fill_null("").dictionary_encode().to_pandas()
    for name in ("value", "low", "high"):
        columns[name] = flat.field(name).to_numpy(zero_copy_only=False)
    columns["n"] = flat.field("n").to_pandas(integer_object_nulls=False).astype("Int64")
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame


def _column(table: Any, name: str) -> Any:
    import pandas as pd
    import pyarrow as pa

    column = table[name]
    if name in CATEGORIES:
        series = _filled(column, pa).to_pandas()
        if name in ORDERED:
            present = [str(value) for value in series.cat.categories]
            return series.cat.set_categories(ordered_values(name, present), ordered=True)
        return series.cat.set_categories(sorted(series.cat.categories))
    if name in TEXTS:
        return column.fill_null("").to_pandas().astype("string")
    if name == "dirty":
        return column.to_pandas().astype("boolean")
    if name in ("threads", "process", "attempt"):
        return column.to_pandas().astype("Int64")
    if name == "flags":
        return _joined(column)
    return pd.Series(column.to_numpy())


def _filled(column: Any, pa: Any) -> Any:
    """A column of words without nulls: one that has any is encoded anew."""
    if not column.null_count:
        return column
    return column.cast(pa.string()).fill_null("").dictionary_encode()


def _joined(column: Any) -> Any:
    """Lists of words as words with commas between."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type == pa.list_(pa.string()):
        column = pc.binary_join(column, ",")
    return column.fill_null("").to_pandas().astype("string")
