"""Comparisons seen from another side: across the values of a column, folded, sorted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..results.errors import ResultError
from ..results.schema import KEYS, ordered_values
from .verdicts import VERDICTS

if TYPE_CHECKING:
    import pandas as pd

#: What a cell is shown by.
AXES = tuple(key for key in KEYS if key != "process")
#: Columns by whose values runs can be compared with each other.
ACROSS = (
    *(key for key in AXES if key not in ("kind", "case", "check")),
    *(
        "run_id",
        "device_name",
        "torch_version",
        "python_version",
        "platform",
        "commit",
        "leg",
        "machine_key",
    ),
)
SORTS = ("change", "significance", "case")


def across(
    frame: pd.DataFrame, column: str, base: str | None = None
) -> Iterator[tuple[str, str, pd.DataFrame, pd.DataFrame]]:
    """The pairs that a column's values make: the baseline's name, the other's, and the rows of each.

    Args:
        frame: of `load`.
        column: one of `ACROSS`.
        base: the value that is the baseline; the first one by default.

    Raises:
        ResultError: the column or the value is not there, or there is one value only.
    """
    if column not in ACROSS:
        raise ResultError(f"--col={column}: there are {', '.join(ACROSS)}")
    words = frame[column].astype(str)
    present = [str(word) for word in dict.fromkeys(words)]
    values = ordered_values(column, present) if column in ("phase", "device", "dtype") else present
    values = [value for value in values if value in set(present)]
    if base is not None and base not in values:
        raise ResultError(f"--col={column}={base}: no row has it; there are {', '.join(values)}")
    if len(values) < 2:
        raise ResultError(f"--col={column}: all rows have the same, {values[0] if values else 'none'!r}")
    first = values[0] if base is None else base
    for value in values:
        if value != first:
            yield f"{column}={first}", f"{column}={value}", frame[words == first], frame[words == value]


def checked_keys(keys: Sequence[str], option: str) -> tuple[str, ...]:
    """The keys, if each is one of `AXES`.

    Raises:
        ResultError: one is none.
    """
    for key in keys:
        if key not in AXES:
            raise ResultError(f"{option}={key}: there are {', '.join(AXES)}")
    return tuple(keys)


def folded(comparison: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """One row for all cells that have these keys in common: the geometric mean of their ratios, the gravest verdict.

    Returns:
        The keys, `metric`, `cells`, `ratio`, `change`, `verdict`, and `reason`: how many cells have each verdict.
    """
    import numpy as np
    import pandas as pd

    plain = comparison.assign(**{key: comparison[key].astype(str) for key in keys}, log=np.log(comparison["ratio"]))
    rows = []
    for values, group in plain.groupby([*keys, "metric"], sort=False):
        verdicts = [verdict for verdict in VERDICTS if (group["verdict"] == verdict).any()]
        counts = ", ".join(f"{int((group['verdict'] == verdict).sum())} {verdict}" for verdict in verdicts)
        usable = group.loc[(group["obstacle"] == "") & np.isfinite(group["log"]), "log"]
        ratio = float(np.exp(usable.mean())) if len(usable) else float("nan")
        rows.append((*values, len(group), ratio, ratio - 1, verdicts[0], counts))
    columns = [*keys, "metric", "cells", "ratio", "change", "verdict", "reason"]
    result: pd.DataFrame = pd.DataFrame(rows, columns=columns)
    result["verdict"] = pd.Categorical(result["verdict"], VERDICTS, ordered=True)
    return result


def in_order(comparison: pd.DataFrame, sort: str) -> pd.DataFrame:
    """The rows by one of `SORTS`: `change` has the gravest verdict first and in it the largest change."""
    ratio = comparison["ratio"]
    # A ratio of 2 and one of 1/2 are equally large.
    keyed = comparison.assign(_size=-ratio.where(ratio >= 1, 1 / ratio))
    by = {"change": ["verdict", "_size"], "significance": ["q", "_size"], "case": ["case"]}[sort]
    result: pd.DataFrame = keyed.sort_values([name for name in by if name in keyed], kind="stable").drop(
        columns="_size"
    )
    return result
