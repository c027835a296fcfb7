"""The section of a report on how times went from run to run, case by case and machine by machine."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..analysis.samples import CELL
from ..analysis.timeline import SERIES, change_places
from . import units
from .cells import cell
from .document import Block, Column, Figure, Fold, Heading, Line, Table, Text
from .plots.history import Moment, history
from .signs import SIGNS

if TYPE_CHECKING:
    import pandas as pd

#: How many series are shown, of how many runs, and how many of the others are named.
SERIES_SHOWN, RUNS, NAMED = 24, 200, 100
NOTE = "Median of each run with its 95 % interval. A numbered line: something else than the code changed there, "
NOTE += "and times do not compare across it."
MARKED = " ◆: a new level begins there, or the run was marked."
UNMARKED = " New levels are not marked: that needs ruptures, pip install 'pytest-torchbasics[history]'."


def timeline(found: pd.DataFrame, marked: Collection[str] = (), first: Sequence[tuple[str, ...]] = ()) -> list[Block]:
    """The section; nothing if no cell has several runs.

    Args:
        found: of `analysis.timeline.timelines`.
        marked: runs to mark beside those in which a new level begins.
        first: cells (case, phase, mode, device, dtype, sizes) to show before those that moved most.
    """
    if found.empty:
        return []
    series = _series_in_order(found, first)
    machines = found["machine_key"].nunique()
    shown = [found.iloc[positions] for positions in series[:SERIES_SHOWN]]
    levels = [change_places(group) for group in shown]
    note = NOTE + (UNMARKED if None in levels else MARKED)
    blocks: list[Block] = [Heading("History"), Line(Text(note, "quiet"))]
    for number, (group, places) in enumerate(zip(shown, levels, strict=True)):
        new = {str(group["run_id"].iloc[place]) for place in places or []}
        blocks.append(_series(group, {*marked, *new}, machines > 1, opened=not number))
    others = series[SERIES_SHOWN:]
    if others:
        text = f"{len(others)} cells that moved less are not shown"
        named = ", ".join(_label(found.iloc[positions[0]], machines > 1) for positions in others[:NAMED])
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        blocks.append(Line(Text(text, "quiet", full=named + more)))
    return blocks


def _series_in_order(found: pd.DataFrame, first: Sequence[tuple[str, ...]]) -> list[list[int]]:
    """The positions of the rows of each series: those to show first, then those that moved most, either way."""
    series: dict[tuple[str, ...], list[int]] = {}
    for position, key in enumerate(found[[*CELL, *SERIES]].itertuples(index=False, name=None)):
        series.setdefault(tuple(map(str, key)), []).append(position)
    times = found["median_s"].where(found["median_s"] > 0).tolist()
    order = {key: position for position, key in reversed(list(enumerate(first)))}

    def movement(positions: list[int]) -> float:
        known = [time for position in positions if math.isfinite(time := times[position])]
        return abs(math.log(known[-1] / known[0])) if known else 0.0

    keys = sorted(series, key=lambda key: (order.get(key[: len(CELL)], len(order)), -movement(series[key])))
    return [series[key] for key in keys]


def _label(first: pd.Series[Any], many_machines: bool) -> str:
    row: Mapping[Any, Any] = {**first.to_dict(), "case": first["title"], "sizes": "", "threads": 1}
    return cell(row) + (f" on machine {row['machine_key']}" if many_machines else "")


def _series(group: pd.DataFrame, marked: Collection[str], many_machines: bool, opened: bool) -> Fold:
    name = _label(group.iloc[0], many_machines)
    rows = group.tail(RUNS).to_dict("records")
    moments = [
        Moment(
            when,
            str(row["run_id"]),
            float(row["median_s"]),
            float(row["low_s"]),
            float(row["high_s"]),
            str(row["outcome"]),
            str(row["changed"]),
            row["run_id"] in marked,
        )
        for row, when in zip(rows, _times(rows), strict=True)
    ]
    times = [moment.seconds for moment in moments if math.isfinite(moment.seconds)]
    way = f"{units.duration(times[0])} to {units.duration(times[-1])}" if times else "no time"
    left = len(group) - len(rows)
    note = f"{left} earlier runs are not shown" if left else ""
    figure = Figure(history(moments, f"History of {name}"), "Median of each run; numbers as in the table")
    return Fold(Text(f"{name}: {way} over {len(moments)} runs"), (figure, _table(moments, rows, note)), opened)


def _times(rows: list[dict[Any, Any]]) -> list[str]:
    """When each run was: its day, or the time of day if all were on one; as its first row tells, or its id."""
    told = [str(row.get("started_at") or "") for row in rows]
    told = [time if time[:4].isdigit() else _begun(str(row["run_id"])) for time, row in zip(told, rows, strict=True)]
    one_day = len({time[:10] for time in told}) == 1 and len(told) > 1
    return [time[11:16] if one_day else time[:10] for time in told]


def _begun(run_id: str) -> str:
    """When a run of this id began; the id itself if it does not tell."""
    found = re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)", run_id)
    return "{}-{}-{} {}:{}".format(*found.groups()) if found else run_id


def _table(moments: list[Moment], rows: list[dict[Any, Any]], note: str) -> Table:
    number, texts = 0, []
    for moment, row in zip(moments, rows, strict=True):
        number += bool(moment.changed)
        what = f"{number}: {moment.changed}" if moment.changed else ""
        what = " ".join(filter(None, (what, "◆ new level" if moment.marked else "")))
        sign, word, tone = SIGNS.get(moment.outcome, ("?", moment.outcome, "hole"))
        texts.append(
            (
                Text(moment.run_id),
                Text(moment.label),
                Text(units.duration(moment.seconds)) if math.isfinite(moment.seconds) else Text(f"{sign} {word}", tone),
                Text(units.spread(moment.seconds, moment.low, moment.high)),
                Text(str(row["commit"])[:10]),
                Text(what, "known" if what else "plain"),
            )
        )
    heads = (Column(("run",)), Column(("when",)), Column(("median",), right=True), Column(("±",), right=True))
    return Table((*heads, Column(("commit",)), Column(("what changed",), wraps=True)), tuple(texts), note)
