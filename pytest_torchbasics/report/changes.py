"""The section of a report on what changed: the forest plot, and the same numbers as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..analysis.compare import EXACT, UNCHANGED
from ..analysis.rules import Rules
from . import units
from .cells import cell
from .comparison import SIGNS
from .document import Block, Column, Figure, Fold, Heading, Line, Table, Text
from .plots.forest import Change, forest

if TYPE_CHECKING:
    import pandas as pd

#: How many cells the plot shows; those that changed come before those that did not.
ROWS = 40
HEADING = "Changes"


def changes(table: pd.DataFrame, rules: Rules) -> list[Block]:
    """The section; nothing if no cell has a value on both sides that compare.

    Args:
        table: of `compare`, of one metric.
        rules: how large a change must be, and how many runs a claim takes.
    """
    found = table[(table["ratio"] > 0) & (table["obstacle"] == "")]
    if found.empty:
        return []
    shown = by_weight(found).head(ROWS).sort_values("ratio", ascending=False, kind="stable")
    metric = str(shown["metric"].iloc[0])
    limits = _limits(shown, rules)
    rows = [_change(row, limit) for row, limit in zip(shown.to_dict("records"), limits, strict=True)]
    svg = forest(rows, f"Change of {metric} from the baseline to the head")
    caption = (
        f"Change of {metric}, head against baseline; the largest first. Grey: a change that means nothing. "
        f"{'Bars: the 95 % interval of the ratio. ' if any(math.isfinite(row.low) for row in rows) else ''}"
        f"{_legend(shown)}"
    )
    blocks: list[Block] = [Heading(HEADING), Figure(svg, caption, _told(shown))]
    if len(shown) < len(found):
        left = found.index.difference(shown.index)
        kinds = table.loc[left, "verdict"].astype(str).value_counts()
        what = ", ".join(f"{count} {verdict}" for verdict, count in kinds.items())
        blocks.append(Line(Text(f"{len(left)} cells are not in the plot: {what}; changes.csv has them all", "quiet")))
    plural = "cell" if len(shown) == 1 else "cells"
    table_ = _table(shown, rows, metric)
    return [*blocks, Fold(Text(f"The numbers of the {len(shown)} {plural} in the plot"), (table_,))]


def by_weight(table: pd.DataFrame) -> pd.DataFrame:
    """The cells that changed, those that may have, then the others; of each the largest ratios either way first."""
    size = table["ratio"].where(table["ratio"] >= 1, 1 / table["ratio"]).fillna(0)
    rank = table["verdict"].isin(UNCHANGED).astype("int64") * 2 + (table["verdict"] == "inconclusive").astype("int64")
    order = table.assign(_rank=rank, _size=-size).sort_values(["_rank", "_size"], kind="stable").index
    ordered: pd.DataFrame = table.loc[order]
    return ordered


def _limits(shown: pd.DataFrame, rules: Rules) -> list[float]:
    """What a change of each cell must be beyond: with too few runs to claim anything, the screen."""
    enough = shown[["base_n", "head_n"]].min(axis=1) >= rules.min_runs
    found = zip(rules.of(shown), enough, shown["metric"].isin(EXACT), strict=True)
    return [rule.threshold if claims or exact else rule.screen for rule, claims, exact in found]


def _change(row: Mapping[Any, Any], limit: float) -> Change:
    sign, tone = SIGNS[str(row["verdict"])]
    return Change(
        cell(row),
        str(row["verdict"]),
        _number(row, "ratio"),
        _number(row, "low"),
        _number(row, "high"),
        limit,
        sign,
        tone,
    )


def _number(row: Mapping[Any, Any], name: str) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, (int, float)) else math.nan


def _legend(shown: pd.DataFrame) -> str:
    found = dict.fromkeys(map(str, shown["verdict"].sort_values()))
    return ", ".join(f"{SIGNS[verdict][0]} {verdict}" for verdict in found)


def _told(shown: pd.DataFrame) -> str:
    first, last = (shown.iloc[position].to_dict() for position in (0, -1))
    return (
        f"{len(shown)} cells, from {units.percent(float(first['change']))} ({cell(first)}) to "
        f"{units.percent(float(last['change']))} ({cell(last)})."
    )


def _table(shown: pd.DataFrame, rows: list[Change], metric: str) -> Table:
    columns = (
        Column(("cell",)),
        *(Column((name,), right=True) for name in ("base", "head", "change", "95 % interval")),
        Column(("verdict",)),
    )
    texts = tuple(
        (
            Text(change.label),
            Text(units.quantity(base, metric)),
            Text(units.quantity(head, metric)),
            Text(units.percent(change.ratio - 1), change.tone),
            Text(f"{units.percent(change.low - 1)} to {units.percent(change.high - 1)}")
            if math.isfinite(change.low) and math.isfinite(change.high)
            else Text(units.ABSENT),
            Text(f"{change.sign} {change.verdict}", change.tone),
        )
        for change, base, head in zip(rows, shown["base"], shown["head"], strict=True)
    )
    return Table(columns, texts)
