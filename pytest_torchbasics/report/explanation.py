"""How the verdict of each cell of a case came about: the values of every run, the test, and the rule that was used."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..analysis.projections import AXES
from ..analysis.rules import Rules
from ..analysis.verdicts import EXACT
from . import units
from .document import Block, Document, Facts, Heading, Text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Explained:
    """Rows of a comparison, and the rows that they were made of: how each side is called, and its frame."""

    base_label: str
    head_label: str
    table: pd.DataFrame
    base: pd.DataFrame
    head: pd.DataFrame


def explanation(parts: Sequence[Explained], rules: Rules) -> Document:
    """The report of `compare --explain`.

    Args:
        parts: what is explained.
        rules: what it was compared with.
    """
    blocks: list[Block] = []
    for part in parts:
        about = (("baseline", part.base_label), ("head", part.head_label))
        blocks.append(Facts(tuple((name, Text(value)) for name, value in about)))
        # What is ignored is empty in every row.
        used = [key for key in AXES if not part.table[key].astype(str).isin(["", "0"]).all()]
        for row, rule in zip(part.table.to_dict("records"), rules.of(part.table), strict=True):
            metric = str(row["metric"])
            blocks.append(Heading(" ".join(str(row[key]) for key in used if row[key] not in ("", 0))))
            facts = {
                "metric": metric,
                "baseline": _values(part.base, row, used, metric),
                "head": _values(part.head, row, used, metric),
                "change": units.percent(row["change"]),
                "95 % interval": _interval(row),
                "test": _test(row, rules, metric),
                "rule": f"match {rule.match!r}" if rule.match else "the default",
                "threshold": units.percent(rule.threshold).lstrip("+"),
                "floor": units.quantity(rule.floor_s, "median_s") if metric.endswith("_s") else "",
                "screen": units.percent(rule.screen).lstrip("+"),
                "gate": "" if rule.gate else "never fails one",
                "verdict": str(row["verdict"]),
                "because": str(row["reason"]),
            }
            blocks.append(Facts(tuple((name, Text(value)) for name, value in facts.items() if value)))
    count = sum(len(part.table) for part in parts)
    return Document("torchbasics compare --explain", tuple(blocks), Text(f"{count} cells"))


def _values(frame: pd.DataFrame, row: Mapping[Any, Any], used: Sequence[str], metric: str) -> str:
    chosen = frame
    for key in used:
        chosen = chosen[chosen[key].astype(str) == str(row[key])]
    if chosen.empty:
        return "absent"
    told = []
    for run_id, process, outcome, value in zip(
        chosen["run_id"],
        chosen["process"],
        chosen["outcome"],
        chosen.get(metric, [math.nan] * len(chosen)),
        strict=True,
    ):
        shown = units.quantity(float(value), metric) if outcome == "passed" and value == value else str(outcome)
        told.append(f"{shown} ({run_id}{f' process {process}' if process else ''})")
    return ", ".join(told)


def _interval(row: Mapping[Any, Any]) -> str:
    if math.isnan(row["low"]):
        return ""
    return f"{units.percent(row['low'] - 1)} to {units.percent(row['high'] - 1)}"


def _test(row: Mapping[Any, Any], rules: Rules, metric: str) -> str:
    if metric in EXACT:
        return "none: it is counted, not timed"
    runs = f"{row['base_n']}+{row['head_n']} runs"
    if min(row["base_n"], row["head_n"]) < rules.min_runs:
        return f"none: {runs}, a claim takes {rules.min_runs} a side"
    return f"Mann-Whitney p {row['p']:.4g}, q {row['q']:.4g} (below {rules.alpha:g} is significant), {runs}"
