"""What is supported where: how it changed between two sets of runs, and whether it is what a file declares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..results.errors import ResultError
from ..results.safe import read_toml
from .filters import check_expression, mask_of
from .naming import told_apart
from .summary import PLACE, PROBLEMS, SEVERITY

if TYPE_CHECKING:
    import pandas as pd

#: What a state of support is of.
SPOT = ("case", *PLACE)


@dataclass(frozen=True)
class Gap:
    """Cells that are declared not to be supported: an expression as of --filter, and why."""

    match: str
    reason: str


def states(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per case, mode, device and dtype: the gravest outcome of its checks and timings, and its reason.

    `passed` where anything passed and the rest does not apply.
    """
    frame = told_apart(frame)
    plain = frame[[*SPOT, "outcome", "reason"]].astype(str)
    ranks = {outcome: rank for rank, outcome in enumerate(SEVERITY)}
    plain = plain.assign(rank=plain["outcome"].map(ranks)).sort_values("rank", kind="stable")
    gravest = plain.drop_duplicates(list(SPOT), keep="last")
    order = frame[list(SPOT)].astype(str).drop_duplicates()
    found: pd.DataFrame = order.merge(gravest.drop(columns="rank"), on=list(SPOT), how="left")
    return found


def changed(base: pd.DataFrame, head: pd.DataFrame) -> pd.DataFrame:
    """The case, mode, device and dtype whose state differs: `base`, `head` (empty: absent), `reason`, `better`.

    `better` is True where something passes now, False where it no longer does, else missing.
    """
    import pandas as pd

    sides = states(base), states(head)
    joined = sides[0].merge(sides[1], how="outer", on=list(SPOT), suffixes=("_base", "_head"), sort=False)
    differ = joined[joined["outcome_base"].fillna("") != joined["outcome_head"].fillna("")]
    found: pd.DataFrame = differ[list(SPOT)].copy()
    found["base"], found["head"] = differ["outcome_base"].fillna(""), differ["outcome_head"].fillna("")
    reason = differ["reason_head"].fillna("")
    found["reason"] = reason.where(reason != "", differ["reason_base"].fillna(""))
    found["better"] = pd.array([None] * len(found), dtype="boolean")
    found.loc[found["head"] == "passed", "better"] = True
    found.loc[(found["base"] == "passed") | found["head"].isin(PROBLEMS), "better"] = False
    result: pd.DataFrame = found.reset_index(drop=True)
    return result


def read_support(path: Path) -> list[Gap]:
    """The gaps that a TOML file declares: `[[unsupported]]` with `match` and `reason`.

    Raises:
        ResultError: it cannot be read, or something in it has no meaning.
    """
    found = read_toml(path)
    if unknown := [key for key in found if key != "unsupported"]:
        raise ResultError(f"unknown key {unknown[0]!r}; it holds [[unsupported]] tables", path)
    entries = found.get("unsupported", [])
    if not isinstance(entries, list):
        raise ResultError("'unsupported' must be tables: [[unsupported]]", path)
    gaps = []
    for entry in entries:
        well_formed = isinstance(entry, dict) and set(entry) == {"match", "reason"}
        if not well_formed or not all(isinstance(value, str) and value for value in entry.values()):
            raise ResultError(f"an [[unsupported]] table has a 'match' and a 'reason', found {entry!r:.80}", path)
        try:
            check_expression(entry["match"])
        except ResultError as error:
            raise ResultError(str(error), path) from None
        gaps.append(Gap(entry["match"], entry["reason"]))
    return gaps


def undeclared(frame: pd.DataFrame, gaps: Sequence[Gap]) -> pd.DataFrame:
    """The rows that are unsupported, or not run, and that no gap declares."""
    import numpy as np

    lacking = frame[frame["outcome"].astype(str).isin(["unsupported", "not_run"])]
    declared = np.zeros(len(lacking), bool)
    for gap in gaps:
        declared |= mask_of(lacking, gap.match).to_numpy()
    result: pd.DataFrame = lacking[~declared]
    return result


def outlived(frame: pd.DataFrame, gaps: Sequence[Gap]) -> list[tuple[Gap, str]]:
    """The gaps that no longer are ones, and why: something passes there, or nothing is there at all."""
    found = []
    for gap in gaps:
        rows = frame[mask_of(frame, gap.match)]
        passed = rows[rows["outcome"].astype(str) == "passed"]
        if rows.empty:
            found.append((gap, "no cell matches it"))
        elif len(passed):
            first = passed.iloc[0]
            found.append(
                (gap, f"{len(passed)} cells pass, {first['case']} on {first['device']} {first['dtype']} is one")
            )
    return found
