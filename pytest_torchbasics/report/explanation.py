"""How the verdict of each cell of a case came about: the values of every run, the test, and the rule that was used."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..analysis.projections import AXES
from ..analysis.rules import Rules
from ..analysis.verdicts import EXACT
from . import units
from .document import Block, Document, Facts, Heading, Text

if TYPE_CHECKING:
    import pandas as pd


def explanation(
    table: pd.DataFrame, base: pd.DataFrame, head: pd.DataFrame, rules: Rules, about: Mapping[str, str]
) -> Document:
    """The report of `compare --explain`.

    Args:
        table: rows of `compare`.
        base, head: the rows that it was made of.
        rules: what it was made with.
        about: for the header.
    """
    blocks: list[Block] = [Facts(tuple((name, Text(value)) for name, value in about.items()))]
    for row, rule in zip(table.to_dict("records"), rules.of(table), strict=True):
        metric = str(row["metric"])
        blocks.append(Heading(" ".join(str(row[key]) for key in AXES if key in row and row[key] not in ("", 0))))
        facts = {
            "metric": metric,
            "baseline": _values(base, row, metric),
            "head": _values(head, row, metric),
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
    return Document("torchbasics compare --explain", tuple(blocks), Text(f"{len(table)} cells"))


def _values(frame: pd.DataFrame, row: Mapping[Any, Any], metric: str) -> str:
    chosen = frame
    for key in AXES:
        if row[key] and key != "threads":
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
