"""What the report of a comparison holds: the baseline and the head, what changed, and what can be said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..analysis.compare import UNCHANGED, geomean, verdict_counts
from . import units
from .document import Block, Column, Document, Entries, Entry, Facts, Heading, Line, Table, Text, Tone, names
from .signs import PHASE_TITLES

if TYPE_CHECKING:
    import pandas as pd

#: Symbol and tone of each verdict.
SIGNS: Mapping[str, tuple[str, Tone]] = {
    "new failure": ("✗", "bad"),
    "missing": ("?", "hole"),
    "suspect slower": ("▲", "bad"),
    "suspect worse": ("▲", "bad"),
    "not comparable": ("≠", "known"),
    "still failing": ("✗", "known"),
    "fixed": ("✓", "good"),
    "suspect faster": ("▼", "good"),
    "suspect better": ("▼", "good"),
    "added": ("+", "plain"),
    "within noise": ("·", "quiet"),
    "same": ("=", "quiet"),
}
#: Verdicts on how a cell ended; the others are on its value.
OUTCOME_VERDICTS = ("new failure", "missing", "still failing", "fixed", "added")
FAILING = ("new failure", "still failing")
#: How many rows or entries are listed unless all are asked for.
ROWS = 60


def comparison(
    table: pd.DataFrame,
    base: str,
    head: str,
    metric: str = "median_s",
    about: Mapping[str, str] | None = None,
    everything: bool = False,
    details: bool = False,
) -> Document:
    """The report of a comparison.

    Args:
        table: of `compare`.
        base: what the baseline is, for the header.
        head: what is compared with it.
        metric: the column that was compared.
        about: more facts for the header.
        everything: list the unchanged cells too.
        details: leave nothing out.
    """
    facts = {"baseline": base, "head": head, "metric": metric, **(about or {})}
    blocks: list[Block] = [Facts(tuple((name, Text(value)) for name, value in facts.items() if value))]
    outcomes = table[table["verdict"].isin(OUTCOME_VERDICTS)].sort_values("verdict", kind="stable")
    values = table[~table["verdict"].isin(OUTCOME_VERDICTS)]
    # The largest change first; a ratio of 2 and one of 1/2 are equally large.
    values = values.assign(_size=-values["ratio"].where(values["ratio"] >= 1, 1 / values["ratio"]))
    values = values.sort_values(["verdict", "_size"], kind="stable")
    listed = values if everything else values[~values["verdict"].isin(UNCHANGED)]
    if len(outcomes):
        blocks += [Heading("Outcomes that differ or fail"), *_entries(outcomes, details)]
    if len(listed):
        shown = listed if details or everything else listed.head(ROWS)
        blocks += [Heading("Values" if everything else "Values that differ"), _table(shown, metric)]
        if len(shown) < len(listed):
            blocks.append(Line(Text(f"... and {len(listed) - len(shown)} more: --only all, or --format csv", "quiet")))
    if not len(outcomes) and not len(listed):
        blocks.append(Line(Text("nothing changed beyond what noise explains", "good")))
    if len(listed) < len(values):
        blocks.append(Line(Text(f"{len(values) - len(listed)} unchanged cells are not listed: --only all", "quiet")))
    blocks += [Line(text) for text in _conclusions(table)]
    return Document("torchbasics compare", tuple(blocks), _result(table))


def _entries(outcomes: pd.DataFrame, details: bool) -> list[Block]:
    """One entry for the cells of one verdict and reason; of one case where it fails."""
    named = outcomes.assign(
        verdict=outcomes["verdict"].astype(str),
        what=[_what(row) for row in outcomes[["kind", "check", "phase"]].to_dict("records")],
        where=outcomes["device"].astype(str) + " " + outcomes["dtype"].astype(str),
    )
    failing = named["verdict"].isin(FAILING)
    named["about"] = (named["case"] + " · " + named["what"]).where(failing, "")
    found = []
    for (verdict, about, reason), group in named.groupby(["verdict", "about", "reason"], sort=False):
        sign, tone = SIGNS[str(verdict)]
        wheres = names(list(dict.fromkeys(group["where"])), "places", shown=4)
        cases = names(list(dict.fromkeys(group["case"])), "cases", shown=4)
        plural = "cell" if len(group) == 1 else "cells"
        title = f"{about} · {wheres.text}" if about else f"{len(group)} {plural} of {cases.text} · {wheres.text}"
        found.append(Entry(Text(f"{sign} {verdict}: {title}", tone), str(reason)))
    shown = found if details else found[:ROWS]
    more = (
        [Line(Text(f"... and {len(found) - len(shown)} more: --format csv", "quiet"))]
        if len(shown) < len(found)
        else []
    )
    return [Entries(tuple(shown)), *more]


def _table(table: pd.DataFrame, metric: str) -> Table:
    many_modes = table["mode"].nunique() > 1
    repeated = bool(((table["base_n"] > 1) | (table["head_n"] > 1)).any())
    heads = [Column(("case",)), Column(("check",)), Column(("on",)), Column(("base",), right=True)]
    heads += [Column(("head",), right=True), Column(("change",), right=True)]
    heads += [Column(("runs",), right=True)] if repeated else []
    heads.append(Column(("verdict",)))
    rows = [_row(row, metric, many_modes, repeated) for row in table.to_dict("records")]
    obstacles = table.loc[table["verdict"] == "not comparable", "reason"].value_counts(sort=False)
    note = "; ".join(f"≠ {count} not comparable: {reason}" for reason, count in obstacles.items())
    return Table(tuple(heads), tuple(rows), note)


def _what(row: Mapping[Any, Any]) -> str:
    phase = str(row["phase"])
    return str(row["check"]) if row["kind"] == "check" else PHASE_TITLES.get(phase, phase)


def _row(row: Mapping[Any, Any], metric: str, many_modes: bool, repeated: bool) -> tuple[Text, ...]:
    sign, tone = SIGNS[row["verdict"]]
    where = f"{row['device']} {row['dtype']}" + (f" {row['mode']}" if many_modes else "")
    runs = (Text(f"{row['base_n']}+{row['head_n']}"),) if repeated else ()
    return (
        Text(row["case"]),
        Text(_what(row)),
        Text(where),
        Text(units.quantity(row["base"], metric)),
        Text(units.quantity(row["head"], metric)),
        Text(units.percent(row["change"]), tone),
        *runs,
        Text(f"{sign} {row['verdict']}", tone),
    )


def _result(table: pd.DataFrame) -> Text:
    counted = verdict_counts(table)
    grave = any(SIGNS[verdict][1] in ("bad", "hole") for verdict in counted)
    return Text(" · ".join(f"{count} {verdict}" for verdict, count in counted.items()), "bad" if grave else "good")


def _conclusions(table: pd.DataFrame) -> list[Text]:
    counted = verdict_counts(table)
    lines = []
    mean = geomean(table)
    left_out = ", ".join(f"{count} {reason}" for reason, count in mean.excluded.items())
    excluded = f"   left out: {left_out}" if left_out else ""
    if not math.isnan(mean.ratio):
        ratio = f"{mean.ratio:.3f} ({units.percent(mean.ratio - 1)})"
        lines.append(Text(f"geometric mean of head / base: {ratio} over {mean.cells} cells{excluded}"))
    elif left_out:
        lines.append(Text(f"no geometric mean: no cell passed on both sides{excluded}"))
    if any(word in counted for word in ("within noise", "suspect slower", "suspect faster")):
        lines.append(
            Text(
                "No significance is claimed: 'suspect' is a change beyond the screen, 'within noise' claims nothing. "
                "Repeat the runs to know.",
                "quiet",
            )
        )
    return lines
