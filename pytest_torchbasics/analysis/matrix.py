"""Coverage: what each case came to on each device and dtype, in each check, and in all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..results.rows import OUTCOMES
from .naming import told_apart
from .summary import PLACE, PROBLEMS, RAN, SEVERITY, require_columns, support_table

if TYPE_CHECKING:
    import pandas as pd

#: What a cell of two runs has in common.
CELL = ("kind", "case", "check", "phase", *PLACE)


def by_place(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per case; a column for each (run, mode, device, dtype, field), with the fields of `support_table`.

    The run is `run 1`, `run 2` as in `run_titles`.
    """
    import pandas as pd

    frame = told_apart(frame)
    titles = run_titles(frame)
    runs = frame["run_id"].astype(str).map(titles)
    tables = {title: support_table(frame[runs == title]) for title in dict.fromkeys(titles.values())}
    found: pd.DataFrame = pd.concat(tables, axis=1, names=["run", *PLACE, "field"]) if tables else pd.DataFrame()
    return found


def listed_by_place(frame: pd.DataFrame) -> pd.DataFrame:
    """`by_place` as a list: one row per case, run, mode, device and dtype; all counts are 0 where none was planned."""
    import pandas as pd

    table = pd.DataFrame(by_place(frame).stack(["run", *PLACE], future_stack=True))
    counts = table.reindex(columns=list(OUTCOMES)).fillna(0).astype("int64")
    listed: pd.DataFrame = counts.join(table[table.columns.difference(OUTCOMES, sort=False)]).reset_index()
    return listed


def run_titles(frame: pd.DataFrame) -> dict[str, str]:
    """What each run is called: `run 1`, `run 2`; nothing, if no cell stands in several and they make one table."""
    runs = list(dict.fromkeys(frame["run_id"].astype(str)))
    cells = frame[["run_id", *CELL]].drop_duplicates()
    overlap = bool(cells.duplicated(list(CELL)).any())
    return {run: f"run {number}" if overlap else "" for number, run in enumerate(runs, 1)}


def by_check(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per case and check, in their order.

    Returns:
        `case`, `check`; `outcome`, the gravest over runs, devices, dtypes and modes; `cells`, how many ended so, and
        `of` how many; how many ended in each outcome; `reasons` of those that did not pass.
    """
    import numpy as np
    import pandas as pd

    require_columns(frame)
    frame = told_apart(frame)
    checks = frame[frame["kind"].astype(str) == "check"]
    plain = pd.DataFrame({name: checks[name].astype(str) for name in ("case", "check", "outcome", "reason")})
    keys = [plain["case"], plain["check"]]
    numbers = pd.crosstab(keys, plain["outcome"]).reindex(columns=list(SEVERITY), fill_value=0)
    numbers = numbers.reindex(pd.MultiIndex.from_frame(plain[["case", "check"]].drop_duplicates()))
    gravest = np.array([np.flatnonzero(row)[-1] for row in numbers.to_numpy()], dtype="int64")
    reasons = plain["reason"].where(plain["outcome"] != "passed", "")
    table = pd.DataFrame(
        {
            "outcome": np.array(SEVERITY, dtype=object)[gravest],
            "cells": numbers.to_numpy()[np.arange(len(numbers)), gravest],
            "of": numbers.sum(axis=1),
            **{outcome: numbers[outcome] for outcome in SEVERITY},
            "reasons": reasons.groupby(keys, sort=False).agg(_joined),
        },
        index=numbers.index,
    )
    listed: pd.DataFrame = table.reset_index()
    return listed


def thoroughness(frame: pd.DataFrame) -> pd.DataFrame:
    """How much of what there is was proved of each case: a row per case, in their order.

    Returns:
        `passed`, the number of checks that passed somewhere and are nowhere a problem; `checks`, how many there are
        in the frame; `ran`, the number of all cells that ran, timings too: 0 for a case of which nothing ran.
    """
    import pandas as pd

    frame = told_apart(frame)
    cases = list(dict.fromkeys(frame["case"].astype(str)))
    table = by_check(frame)
    proved: pd.Series[bool] = (table["passed"] > 0) & (table[list(PROBLEMS)].sum(axis=1) == 0)
    ran = frame["outcome"].isin(RAN)
    found: pd.DataFrame = pd.DataFrame(index=pd.Index(cases, name="case"))
    found["passed"] = proved.groupby(table["case"]).sum().reindex(cases, fill_value=0)
    found["checks"] = table["check"].nunique()
    found["ran"] = ran.groupby(frame["case"].astype(str)).sum().reindex(cases)
    return found


def _joined(reasons: pd.Series[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, reasons)))
