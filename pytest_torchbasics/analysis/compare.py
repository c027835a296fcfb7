"""Comparing two sides, the baseline first. One run a side shows a difference, and never proves one.

Identical code measured twice differs by more than 5 % in 14 % of cells. So with the run as the unit, and without a
test over several runs of each side, the words stop at `suspect`, and only beyond a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ..results.errors import ResultError
from ..results.load import load
from ..results.schema import KEYS, ORDERED, ordered_values
from .summary import SEVERITY, require_columns

if TYPE_CHECKING:
    import pandas as pd

Side = Union["pd.DataFrame", str, "Path", "Iterable[str | Path]"]

#: Every verdict, the one to look at first at the top.
VERDICTS = (
    "new failure",
    "missing",
    "suspect slower",
    "suspect worse",
    "not comparable",
    "still failing",
    "fixed",
    "suspect faster",
    "suspect better",
    "added",
    "within noise",
    "same",
)
#: Verdicts that tell of no change.
UNCHANGED = ("within noise", "same")
BAD = ("failed", "error", "timeout", "crashed", "xpassed")
SCREEN = 0.25


def compare(
    base: Side,
    head: Side,
    *,
    metric: str = "median_s",
    screen: float = SCREEN,
    better: str | None = None,
) -> pd.DataFrame:
    """Compare the cells of two sides.

    Args:
        base: the baseline: what `load` reads, or a frame of it. Several runs count as repetitions.
        head: what is compared with it.
        metric: a metric column of the wide frame.
        screen: a change beyond this share is `suspect`.
        better: `lower`, `higher` or `none`; by default what the results say of the metric.

    Returns:
        One row per cell of either side: the keys; `base`, `head` (the median over runs), `ratio` (head / base),
        `change` (ratio - 1); `base_outcome`, `head_outcome`, `base_n`, `head_n`; `verdict`, `reason`, and
        `obstacle`: what forbids to compare the values (`case`, `machine`, `threads`, `timer`, `several`), else empty.

    Raises:
        ResultError: a side cannot be read, or neither has the metric.
    """
    if not screen > 0:
        raise ResultError(f"the screen must be above 0, found {screen!r}; 0.25 means 25 %")
    frames = [require_columns(_frame(side)) for side in (base, head)]
    better = better or _direction(frames, metric)
    keys, threads_differ = _match_keys(*frames)
    sides = [_side(frame, keys, metric) for frame in frames]
    table = sides[0].merge(sides[1], how="outer", on=keys, suffixes=("_base", "_head"), sort=False)
    return _judged(_in_order(table, sides, keys), keys, screen, better, threads_differ)


@dataclass(frozen=True)
class Geomean:
    """The geometric mean of the ratios, and what it leaves out.

    Attributes:
        ratio: head / base; NaN without cells.
        cells: how many cells it is of.
        excluded: how many cells are left out, by the reason.
    """

    ratio: float
    cells: int
    excluded: dict[str, int]


def geomean(comparison: pd.DataFrame) -> Geomean:
    """The geometric mean over the cells that passed on both sides with an equal case hash."""
    values = comparison[["base", "head"]].notna().any(axis=1)
    about = comparison[values | (comparison["kind"].isin(comparison.loc[values, "kind"].unique()))]
    passed = (about["base_outcome"] == "passed") & (about["head_outcome"] == "passed")
    changed = passed & about["obstacle"].isin(["case", "several"])
    valued = about["ratio"].notna() & (about["ratio"] > 0)
    used = about[passed & ~changed & valued]
    idle = (about["base_outcome"] == about["head_outcome"]) & about["base_outcome"].isin(
        ["not_applicable", "unsupported"]
    )
    excluded = {
        "not passed on both sides": int((~passed & ~idle).sum()),
        "case changed": int(changed.sum()),
        "no value on both sides": int((passed & ~changed & ~valued).sum()),
    }
    ratio = math.exp(sum(map(math.log, used["ratio"])) / len(used)) if len(used) else math.nan
    return Geomean(ratio, len(used), {reason: count for reason, count in excluded.items() if count})


def verdict_counts(comparison: pd.DataFrame) -> dict[str, int]:
    """How many cells have each verdict, in the order of `VERDICTS`; those that occur."""
    found = comparison["verdict"].value_counts()
    return {verdict: int(found[verdict]) for verdict in VERDICTS if found.get(verdict, 0)}


def _frame(side: Side) -> pd.DataFrame:
    import pandas as pd

    return side if isinstance(side, pd.DataFrame) else load(side)


def _direction(frames: list[pd.DataFrame], metric: str) -> str:
    import pandas as pd

    numeric = [c for c in frames[0].columns if pd.api.types.is_float_dtype(frames[0][c].dtype)]
    if not any(metric in frame and pd.api.types.is_numeric_dtype(frame[metric].dtype) for frame in frames):
        raise ResultError(f"no side has the metric {metric!r}; there are {', '.join(numeric)}")
    ways = [frame.attrs.get("better", {}).get(metric) for frame in frames]
    return next((str(way) for way in ways if way), "lower")


def _match_keys(base: pd.DataFrame, head: pd.DataFrame) -> tuple[list[str], bool]:
    """What cells are matched by: the keys without the repetition, and without the threads if they alone differ."""
    keys = [key for key in KEYS if key != "process"]
    used = [set(frame.loc[frame["kind"].astype(str) == "timing", "threads"]) for frame in (base, head)]
    differ = len(used[0]) == len(used[1]) == 1 and used[0] != used[1]
    return [key for key in keys if key != "threads" or not differ], differ


def _side(frame: pd.DataFrame, keys: list[str], metric: str) -> pd.DataFrame:
    """One row per cell: the gravest outcome of its runs, and the median over the runs that passed."""
    import pandas as pd

    texts = ("outcome", "reason", "case_hash", "timer", "machine_key", "run_id")
    plain = pd.DataFrame({key: frame[key].astype(str) for key in keys if key != "threads"})
    if "threads" in keys:
        plain["threads"] = frame["threads"].astype("int64")
    for name in texts:
        plain[name] = frame[name].astype(str) if name in frame else ""
    plain["process"] = frame["process"].astype("int64")
    passed = plain["outcome"] == "passed"
    value = frame[metric].astype("float64") if metric in frame else pd.Series(float("nan"), index=frame.index)
    plain["value"] = value.where(passed)
    plain["n"] = plain["value"].notna().astype("int64")
    plain["twice"] = plain.duplicated([*keys, "process", "run_id"], keep=False)
    plain["rank"] = plain["outcome"].map({outcome: rank for rank, outcome in enumerate(SEVERITY)}).fillna(99)
    worst = plain.sort_values("rank", kind="stable").drop_duplicates(keys, keep="last").set_index(keys)
    groups = plain.groupby(keys, sort=False)
    table = pd.DataFrame({"value": groups["value"].median(), "n": groups["n"].sum(), "twice": groups["twice"].any()})
    for name in ("case_hash", "timer", "machine_key"):
        table[name] = groups[name].first().where(groups[name].nunique() == 1, "(several)")
    cells: pd.DataFrame = table.join(worst[["outcome", "reason"]]).reset_index()
    return cells


def _in_order(table: pd.DataFrame, sides: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """The rows as the baseline has them, then those that only the head has."""
    import pandas as pd

    order = pd.concat([side[keys] for side in sides]).drop_duplicates()
    ordered: pd.DataFrame = order.merge(table, how="left", on=keys, sort=False).reset_index(drop=True)
    return ordered


def _judged(table: pd.DataFrame, keys: list[str], screen: float, better: str, threads_differ: bool) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    result: pd.DataFrame = table[keys].copy()
    if threads_differ:
        result.insert(len(keys), "threads", 0)
    result["base"], result["head"] = table["value_base"], table["value_head"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (table["value_head"] / table["value_base"]).replace([np.inf, -np.inf], np.nan)
    result["ratio"], result["change"] = ratio, ratio - 1
    for name in ("outcome", "n"):
        for side in ("base", "head"):
            found = table[f"{name}_{side}"]
            result[f"{side}_{name}"] = found.fillna("") if name == "outcome" else found.fillna(0).astype("int64")
    result["obstacle"] = _obstacles(table, threads_differ)
    result["verdict"] = _verdicts(result, screen, better)
    result["reason"] = _reasons(result, table)
    for column in ORDERED[:3]:
        categories = ordered_values(column, result[column].unique())
        result[column] = pd.Categorical(result[column], categories, ordered=True)
    result["verdict"] = pd.Categorical(result["verdict"], VERDICTS, ordered=True)
    return result


def _obstacles(table: pd.DataFrame, threads_differ: bool) -> Any:
    """What forbids to compare the values of a cell that passed on both sides."""
    import numpy as np

    both = (table["outcome_base"] == "passed") & (table["outcome_head"] == "passed")
    timing = table["kind"] == "timing"
    valued = table["value_base"].notna() & table["value_head"].notna()
    return np.select(
        [
            both & (table["case_hash_base"] != table["case_hash_head"]),
            both & (table["case_hash_base"] == "(several)"),
            both & (table["twice_base"].eq(True) | table["twice_head"].eq(True)),
            both & timing & valued & (table["machine_key_base"] != table["machine_key_head"]),
            both & timing & valued & (table["machine_key_base"] == "(several)"),
            both & timing & valued & threads_differ,
            both & timing & valued & (table["timer_base"] != table["timer_head"]),
        ],
        ["case", "case", "several", "machine", "machine", "threads", "timer"],
        default="",
    )


def _verdicts(result: pd.DataFrame, screen: float, better: str) -> Any:
    import numpy as np

    base, head, ratio = result["base_outcome"], result["head_outcome"], result["ratio"]
    base_absent, head_absent = base.isin(["", "not_run"]), head.isin(["", "not_run"])
    passed = (base == "passed") & (head == "passed")
    one_value = result["base"].notna() != result["head"].notna()
    worse, improved = ("slower", "faster") if better == "lower" else ("worse", "better")
    up, down = ratio > 1 + screen, ratio < 1 / (1 + screen)
    if better == "higher":
        up, down = down, up
    elif better == "none":
        up = down = ratio.isna() & False
    return np.select(
        [
            head_absent,
            head.isin(BAD) & base.isin(BAD),
            head.isin(BAD),
            base_absent,
            base.isin((*BAD, "xfailed", "unsupported")) & (head == "passed"),
            ~base.isin(["passed", *BAD]) & (head == "passed"),
            (base.isin(["passed", *BAD])) & (head != "passed"),
            ~passed,
            result["obstacle"] != "",
            one_value,
            ratio.isna(),
            up,
            down,
        ],
        [
            "missing",
            "still failing",
            "new failure",
            "added",
            "fixed",
            "added",
            "missing",
            "same",
            "not comparable",
            "not comparable",
            "same",
            f"suspect {worse}",
            f"suspect {improved}",
        ],
        default="within noise",
    )


_OBSTACLES = {
    "case": "the case was changed (its hash differs)",
    "several": "the cell stands several times in one run",
    "machine": "measured on different machines",
    "threads": "measured with different numbers of threads",
    "timer": "measured with different timers",
}


def _reasons(result: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Why a verdict is not plain: the change of the outcome with the reason of the side that is not well."""
    reasons = []
    columns = ("verdict", "obstacle", "base_outcome", "head_outcome", "base", "head")
    told = zip(table["reason_base"].fillna(""), table["reason_head"].fillna(""), strict=True)
    for (verdict, obstacle, base, head, low, high), (before, after) in zip(
        result[list(columns)].itertuples(index=False, name=None), told, strict=True
    ):
        if verdict in ("within noise", "suspect slower", "suspect faster", "suspect worse", "suspect better"):
            reasons.append("")
        elif obstacle:
            reasons.append(_OBSTACLES[obstacle])
        elif base == head == "passed":
            side = "the baseline" if math.isnan(low) else "the head"
            reasons.append(f"{side} has no value" if math.isnan(low) != math.isnan(high) else "")
        elif base == head:
            reasons.append(after or before)
        else:
            why = after or before
            step = f"{base or 'absent'} -> {head or 'absent'}"
            reasons.append(f"{step}: {why}" if why else step)
    return reasons
