"""What the report of a history holds: each level of each cell, and what else changed where the level did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from . import units
from .document import Block, Column, Document, Facts, Heading, Line, Table, Text

if TYPE_CHECKING:
    from ..analysis.history import History

BARS = "▁▂▃▄▅▆▇█"
#: Of runs in a line of bars.
WIDEST = 60


def history_report(found: Sequence[History], metric: str, better: str, about: Mapping[str, str]) -> Document:
    """The report of histories, those with changes first.

    Args:
        found: of `histories`.
        metric: the column that they are of.
        better: which way of it is better.
        about: for the header.
    """
    blocks: list[Block] = [Facts(tuple((name, Text(value)) for name, value in about.items()))]
    for history in sorted(found, key=lambda history: not history.changes):
        blocks += [Heading(title(history)), _facts(history, metric), _levels(history, metric, better)]
    blocks.append(Line(Text("a level is three runs or more; a step below 3 % is none", "quiet")))
    changes = sum(len(history.changes) for history in found)
    words = f"{len(found)} histories · {changes} changes"
    return Document("torchbasics history", tuple(blocks), Text(words, "known" if changes else "good"))


def title(history: History) -> str:
    """`linear forward cpu float32`: what tells it apart from the others."""
    names = ("case", "sizes", "check", "phase", "mode", "device", "dtype")
    words = [history.keys[name] for name in names if history.keys[name] not in ("", "eager")]
    threads = history.keys["threads"]
    return " ".join([*words, *([f"{threads} threads"] if threads not in ("0", "1") else [])])


def _facts(history: History, metric: str) -> Facts:
    last = history.runs.iloc[-1]
    pairs = {
        "machine": f"{history.keys['machine_key']} {last['device_name']}".strip(),
        "runs": f"{len(history.runs)}, {history.runs['run_id'].iloc[0]} to {last['run_id']}",
        "now": units.quantity(float(last["value"]), metric),
        "all": bars([float(value) for value in history.runs["value"]]),
    }
    return Facts(tuple((name, Text(value)) for name, value in pairs.items()))


def bars(values: Sequence[float]) -> str:
    """The last values as a line of bars, the lowest and the highest as wide apart as there is room for."""
    shown = [value for value in values[-WIDEST:] if value == value]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    # A spread of less than a tenth is not drawn as if it were all there is.
    span = max(high - low, 0.1 * abs(high)) or 1.0
    return "".join(BARS[min(len(BARS) - 1, int((value - low) / span * len(BARS)))] for value in shown)


def _levels(history: History, metric: str, better: str) -> Table:
    heads = (Column(("from run",)), Column(("runs",), right=True), Column((metric,), right=True))
    rows = []
    changes = [None, *history.changes]
    for (start, end, level), change in zip(history.levels, changes, strict=True):
        run = history.runs.iloc[start]
        step = Text("")
        why = ""
        if change is not None and change.case_changed:
            step, why = Text("≠ the case was changed", "known"), "; ".join(change.facts)
        elif change is not None:
            worse = (change.ratio > 1) == (better != "higher")
            sign = "▲" if change.ratio > 1 else "▼"
            step = Text(f"{sign} {units.percent(change.ratio - 1)}", "bad" if worse else "good")
            why = "; ".join(change.facts) or "nothing that is recorded changed"
        value = Text(units.quantity(level, metric))
        rows.append((Text(str(run["run_id"])), Text(str(end - start)), value, step, Text(why)))
    return Table((*heads, Column(("step",)), Column(("what changed there",), wraps=True)), tuple(rows), "")
