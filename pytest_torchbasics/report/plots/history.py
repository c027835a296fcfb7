"""One cell over many runs on one machine: a line with a band, broken where something else than the code changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .. import units
from .axes import BOX, Axis, Box, Linear, Scale, fitting, frame, trimmed
from .svg import area, element, figure, hint, label, line, mark

#: Of fewer runs none is near enough to the middle to be named there, unless it is the middle one.
FEW = 8


@dataclass(frozen=True)
class Moment:
    """One run.

    Attributes:
        label: the run's day, or its hour.
        run_id: the run.
        seconds: the median; NaN if there is none.
        low, high: its interval; NaN if there is none.
        outcome: how the cell ended.
        changed: what changed since the run before, so that times do not compare; empty if nothing did.
        marked: a new level begins here.
    """

    label: str
    run_id: str
    seconds: float
    low: float
    high: float
    outcome: str = "passed"
    changed: str = ""
    marked: bool = False


def history(moments: Sequence[Moment], title: str, box: Box = BOX) -> str:
    """The plot of runs in their order."""
    y = fitting(
        [value for moment in moments for value in (moment.seconds, moment.low, moment.high)], box.bottom, box.top
    )
    x = Linear(0, max(len(moments) - 1, 1), box.left + 8, box.right - 8)
    drawn = frame(box, Axis(_NoTicks(0, 1, box.left, box.right), "", str), Axis(y, "median", _shown))
    drawn += [
        label(x(position), box.bottom + 16, moments[position].label, _anchor(position, len(moments)), "soft")
        for position in _named(len(moments))
    ]
    numbers = _numbers(moments)
    for position, number in numbers.items():
        at = x(position - 0.5) if position else x(0)
        drawn.append(element("line", x1=at, x2=at, y1=box.top, y2=box.bottom, class_="break"))
        drawn.append(label(at, box.top - 6, str(number), "middle", "known"))
    for part in segments(moments):
        drawn += _segment(moments, part, x, y)
    for position, moment in enumerate(moments):
        drawn += _moment(moment, x(position), y, box)
    return figure(drawn, title, _described(moments), viewBox=f"0 0 {box.right + 12:g} {box.bottom + 26:g}")


def segments(moments: Sequence[Moment]) -> list[list[int]]:
    """The positions that a line may join: it ends before a run without a time, and where something changed."""
    found: list[list[int]] = []
    joined = False
    for position, moment in enumerate(moments):
        if not math.isfinite(moment.seconds):
            joined = False
            continue
        if not joined or moment.changed:
            found.append([])
        found[-1].append(position)
        joined = True
    return found


class _NoTicks(Linear):
    def ticks(self, most: int = 5) -> list[float]:
        return []


def _segment(moments: Sequence[Moment], part: Sequence[int], x: Linear, y: Scale) -> list[str]:
    lows, highs = (
        [(x(position), y(end)) for position in part if math.isfinite(end := getattr(moments[position], name))]
        for name in ("low", "high")
    )
    band = [area([*lows, *reversed(highs)], "interval")] if len(lows) == len(highs) > 1 else []
    return [*band, line([(x(position), y(moments[position].seconds)) for position in part], "head")]


def _moment(moment: Moment, at: float, y: Scale, box: Box) -> list[str]:
    told = f"{moment.run_id}: {units.duration(moment.seconds) if math.isfinite(moment.seconds) else moment.outcome}"
    if not math.isfinite(moment.seconds):
        return [mark(at, box.bottom - 6, "cross", "bad", told)]
    if moment.marked:
        ring = element("line", [hint(told)], x1=at, x2=at, y1=box.top, y2=box.bottom, class_="marked")
        return [ring, mark(at, y(moment.seconds), "diamond", "bad", f"new level: {told}", size=5)]
    return [mark(at, y(moment.seconds), "circle", "head", told, size=2.5)]


def _numbers(moments: Sequence[Moment]) -> dict[int, int]:
    """The breaks by position, numbered as the list below the plot numbers them."""
    positions = [position for position, moment in enumerate(moments) if moment.changed]
    return {position: number for number, position in enumerate(positions, 1)}


def _named(count: int) -> list[int]:
    """The first and the last run, and one in the middle if one is far enough from both."""
    middle = [(count - 1) // 2] if count % 2 or count > FEW else []
    return sorted({0, *middle, count - 1}) if count else []


def _anchor(position: int, count: int) -> Literal["start", "middle", "end"]:
    if count == 1:
        return "middle"
    return "start" if position == 0 else "end" if position == count - 1 else "middle"


def _shown(seconds: float) -> str:
    return trimmed(units.duration(seconds))


def _described(moments: Sequence[Moment]) -> str:
    values = [moment.seconds for moment in moments if math.isfinite(moment.seconds)]
    if not values:
        return "There is nothing to draw."
    breaks = sum(bool(moment.changed) for moment in moments)
    return (
        f"{len(moments)} runs, from {units.duration(values[0])} to {units.duration(values[-1])}"
        f"{f', broken at {breaks} changes' if breaks else ''}."
    )
