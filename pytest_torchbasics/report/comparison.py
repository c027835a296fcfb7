"""What the report of a comparison holds: the baseline and the head, what changed, and what can be said of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..analysis.compare import UNCHANGED, geomean, verdict_counts
from ..analysis.projections import folded, in_order
from ..analysis.rules import Rules
from ..analysis.significance import runs_for
from . import units
from .document import Block, Column, Document, Entries, Entry, Facts, Heading, Line, Table, Text, Tone, names
from .signs import PHASE_TITLES

if TYPE_CHECKING:
    import pandas as pd

#: Symbol and tone of each verdict.
SIGNS: Mapping[str, tuple[str, Tone]] = {
    "different results": ("≠", "bad"),
    "new failure": ("✗", "bad"),
    "missing": ("?", "hole"),
    "slower": ("▲", "bad"),
    "worse": ("▲", "bad"),
    "suspect slower": ("△", "bad"),
    "suspect worse": ("△", "bad"),
    "not comparable": ("≠", "known"),
    "still failing": ("✗", "known"),
    "inconclusive": ("?", "known"),
    "fixed": ("✓", "good"),
    "faster": ("▼", "good"),
    "better": ("▼", "good"),
    "suspect faster": ("▽", "good"),
    "suspect better": ("▽", "good"),
    "added": ("+", "plain"),
    "within noise": ("·", "quiet"),
    "unchanged": ("=", "quiet"),
    "same": ("=", "quiet"),
}
#: Verdicts on how a cell ended; the others are on its value.
OUTCOME_VERDICTS = ("different results", "new failure", "missing", "still failing", "fixed", "added")
FAILING = ("different results", "new failure", "still failing")
#: How many rows or entries are listed unless all are asked for.
ROWS = 60
#: Of so many cells as large a share moves one way by chance less than once in 500 comparisons.
MANY, ONE_SIDED = 8, 0.88
#: The command that decides what stored runs cannot.
AB = "`torchbasics ab BASE HEAD` (revisions or environments), which measures both in turn"


@dataclass(frozen=True)
class Pair:
    """A baseline and what is compared with it: how each is called, and the rows of `compare`."""

    base: str
    head: str
    table: pd.DataFrame


@dataclass(frozen=True)
class View:
    """How a comparison is shown.

    Attributes:
        everything: list the unchanged cells too.
        details: leave nothing out.
        sort: one of `projections.SORTS`.
        sections: keys for whose values there is a table each.
        rows: keys that name a row; cells that have them in common are folded into one. Empty: a row per cell.
        elsewhere: where the cells are found that are not listed.
        most: how many rows or entries are listed, unless all are asked for.
        command: that compared.
        repeated: what there may be several of on a side: runs, or blocks that were measured in turn.
    """

    everything: bool = False
    details: bool = False
    sort: str = "change"
    sections: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    elsewhere: str = "--only all, or --format csv"
    most: int = ROWS
    command: str = "compare"
    repeated: str = "runs"


def comparison(pairs: Sequence[Pair], view: View = View(), about: Mapping[str, str] | None = None) -> Document:
    """The report of comparisons, the baseline first.

    Args:
        pairs: what is compared with what.
        view: what is listed, and how.
        about: more facts for the header.
    """
    first = pairs[0]
    heads = {"head": first.head} if len(pairs) == 1 else {}
    facts = {"baseline": first.base, **heads, **(about or {})}
    blocks: list[Block] = [Facts(tuple((name, Text(value)) for name, value in facts.items() if value))]
    for pair in pairs:
        blocks += [] if len(pairs) == 1 else [Heading(f"{pair.head} against {pair.base}")]
        blocks += _pair(pair.table, view)
    if len(pairs) == 1:
        return Document(f"torchbasics {view.command}", tuple(blocks), _result(first.table))
    import pandas as pd

    return Document(f"torchbasics {view.command}", tuple(blocks), _result(pd.concat([pair.table for pair in pairs])))


def _pair(table: pd.DataFrame, view: View) -> list[Block]:
    blocks: list[Block] = []
    outcomes = table[table["verdict"].isin(OUTCOME_VERDICTS)].sort_values("verdict", kind="stable")
    values = in_order(table[~table["verdict"].isin(OUTCOME_VERDICTS)], view.sort)
    listed = values if view.everything else values[~values["verdict"].isin(UNCHANGED)]
    if len(outcomes):
        blocks += [Heading("Outcomes that differ or fail"), *_entries(outcomes, view)]
    if len(listed) and view.rows:
        blocks += [Heading("Geometric means"), _folded(in_order(folded(values, view.rows), "change"), view.rows)]
    elif len(listed):
        unclear = listed["verdict"] == "inconclusive"
        for title, rows in ((_title(listed), listed[~unclear]), ("Too noisy to tell", listed[unclear])):
            shown = rows if view.details or view.everything else rows.head(view.most)
            if len(shown):
                blocks += [block for part in _sections(title, shown, view) for block in part]
            if len(shown) < len(rows):
                blocks.append(Line(Text(f"... and {len(rows) - len(shown)} more: {view.elsewhere}", "quiet")))
    if not len(outcomes) and not len(listed):
        blocks.append(Line(Text("nothing changed beyond what noise explains", "good")))
    if len(listed) < len(values):
        blocks.append(
            Line(Text(f"{len(values) - len(listed)} unchanged cells are not listed: {view.elsewhere}", "quiet"))
        )
    return [*blocks, *(Line(text) for text in _conclusions(table, view.repeated))]


def _title(listed: pd.DataFrame) -> str:
    return "Values" if listed["verdict"].isin(UNCHANGED).any() else "Values that differ"


def _sections(title: str, shown: pd.DataFrame, view: View) -> Iterator[list[Block]]:
    """A table for each value of the keys; one for all without keys."""
    keys = view.sections
    if not keys:
        yield [Heading(title), _table(shown, (), view.repeated)]
        return
    plain = shown.assign(**{f"_{key}": shown[key].astype(str) for key in keys})
    for values, group in plain.groupby([f"_{key}" for key in keys], sort=True):
        named = " ".join(str(value) for value in values if str(value))
        yield [Heading(f"{title}: {named}"), _table(group, keys, view.repeated)]


def _folded(table: pd.DataFrame, keys: tuple[str, ...]) -> Table:
    many = table["metric"].nunique() > 1
    names = [*keys, *(["metric"] if many else [])]
    heads = [*(Column((name,)) for name in names), Column(("cells",), right=True), Column(("change",), right=True)]
    heads.append(Column(("verdicts",)))
    rows = []
    for row in table.to_dict("records"):
        sign, tone = SIGNS[row["verdict"]]
        rows.append(
            (
                *(Text(str(row[name])) for name in names),
                Text(str(row["cells"])),
                Text(units.percent(row["change"]), tone),
                Text(f"{sign} {row['reason']}", tone),
            )
        )
    return Table(tuple(heads), tuple(rows))


def _entries(outcomes: pd.DataFrame, view: View) -> list[Block]:
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
    shown = found if view.details else found[: view.most]
    more = (
        [Line(Text(f"... and {len(found) - len(shown)} more: --format csv", "quiet"))]
        if len(shown) < len(found)
        else []
    )
    return [Entries(tuple(shown)), *more]


def _table(table: pd.DataFrame, constant: tuple[str, ...], several: str) -> Table:
    """Rows of a comparison; what is the same in all of them, and what the heading says, has no column."""
    metrics = table["metric"].nunique() > 1
    repeated = bool(((table["base_n"] > 1) | (table["head_n"] > 1)).any())
    intervals = bool(table["low"].notna().any())
    on = [key for key in ("sizes", "device", "dtype", "mode", "threads") if key not in constant]
    on = [key for key in on if key in ("device", "dtype") or table[key].astype(str).nunique() > 1]
    heads = [Column(("case",)), Column(("check",)), *([Column(("on",))] if on else [])]
    heads += [Column(("metric",))] if metrics else []
    heads += [Column((name,), right=True) for name in ("base", "head", "change")]
    heads.append(Column(("verdict",)))  # before what a narrow terminal has no room for
    heads += [Column(("95 % interval",), right=True)] if intervals else []
    heads += [Column((several,), right=True)] if repeated else []
    rows = []
    for row in table.to_dict("records"):
        sign, tone = SIGNS[row["verdict"]]
        metric = str(row["metric"])
        interval = "" if math.isnan(row["low"]) else f"{units.percent(row['low'] - 1)} {units.percent(row['high'] - 1)}"
        rows.append(
            (
                Text(str(row["case"])),
                Text(_what(row)),
                *([Text(" ".join(str(row[key]) for key in on if str(row[key])))] if on else []),
                *([Text(metric)] if metrics else []),
                Text(units.quantity(row["base"], metric)),
                Text(units.quantity(row["head"], metric)),
                Text(units.percent(row["change"]), tone),
                Text(f"{sign} {row['verdict']}", tone),
                *([Text(interval)] if intervals else []),
                *([Text(f"{row['base_n']}+{row['head_n']}")] if repeated else []),
            )
        )
    obstacles = table.loc[table["verdict"] == "not comparable", "reason"].value_counts(sort=False)
    note = "; ".join(f"≠ {count} not comparable: {reason}" for reason, count in obstacles.items())
    return Table(tuple(heads), tuple(rows), note)


def _what(row: Mapping[Any, Any]) -> str:
    phase = str(row["phase"])
    return str(row["check"]) if row["kind"] == "check" else PHASE_TITLES.get(phase, phase)


def _result(table: pd.DataFrame) -> Text:
    counted = verdict_counts(table)
    grave = any(SIGNS[verdict][1] in ("bad", "hole") for verdict in counted)
    return Text(" · ".join(f"{count} {verdict}" for verdict, count in counted.items()), "bad" if grave else "good")


def _of_the_test(table: pd.DataFrame) -> tuple[int, int]:
    """How many cells the correction is for, and how many runs they have at least on the side that has fewer."""
    tested = table[table["q"].notna() & (table["metric"] == table["metric"].iloc[0])]
    return len(tested), int(tested[["base_n", "head_n"]].min(axis=1).max()) if len(tested) else 0


def _conclusions(table: pd.DataFrame, several: str) -> list[Text]:
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
    timed = (table["metric"] == table["metric"].iloc[0]) & (table["obstacle"] == "") if len(table) else []
    moved = table.loc[timed, "ratio"].dropna()
    if len(moved) >= MANY and max((moved > 1).mean(), (moved < 1).mean()) >= ONE_SIDED:
        lines.append(Text("nearly all cells moved the same way: was the machine itself faster or slower?", "known"))
    if "inconclusive" in counted and several != "runs":
        text = f"'inconclusive' is not 'unchanged': the {several} differ too much, or were too few, to tell."
        lines.append(Text(text, "known"))
    elif "inconclusive" in counted:
        cells, runs = _of_the_test(table)
        needed = runs_for(cells, Rules().alpha)
        text = "'inconclusive' is not 'unchanged': the runs differ too much to tell. Repeat those of both sides"
        few = f"; among {cells} cells a small change is sure only with {needed} runs a side" if needed > runs else ""
        lines.append(Text(f"{text}{few}, or ask {AB}.", "known"))
    if any(word in counted for word in ("within noise", "suspect slower", "suspect faster")):
        lines.append(
            Text(
                "With so few runs no significance is claimed: 'suspect' is a change beyond the screen, 'within noise' "
                f"claims nothing. Repeat the runs, five of each side, to know, or ask {AB}.",
                "quiet",
            )
        )
    return lines
