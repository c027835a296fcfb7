"""The raw times of one cell, a thin line for each process: how they are distributed, and how they went in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .. import units
from .axes import BOX, Axis, Box, Linear, Scale, fitting, frame, trimmed
from .svg import figure, hint, line, mark

Side = Literal["base", "head"]
#: A line through more points looks the same.
POINTS = 100


@dataclass(frozen=True)
class Process:
    """The samples that one process measured.

    Attributes:
        label: the run.
        side: `base` is dashed; `head` is what is reported.
        seconds: in their order.
    """

    label: str
    side: Side
    seconds: tuple[float, ...]


def ecdf(processes: Sequence[Process], title: str, box: Box = BOX) -> str:
    """The share of samples that took no longer than a time."""
    x = _times(processes, box.left, box.right)
    y = Linear(0, 1, box.bottom, box.top)
    drawn = frame(
        box,
        Axis(x, "time of one call", _shown),
        Axis(y, "share of samples", lambda value: units.percent(value, signed=False).replace(".0", "")),
    )
    for process in processes:
        values = sorted(filter(math.isfinite, process.seconds))
        if len(values) == 1:
            drawn.append(mark(x(values[0]), y(1), "circle", process.side, process.label, size=3))
        steps = [(0, 0.0), *((position, (position + 1) / len(values)) for position in _thinned(len(values)))]
        points = [(x(values[position]), y(share)) for position, share in steps] if values else []
        drawn.append(line(_stairs(points), process.side, [hint(process.label)]))
    return figure(drawn, title, _described(processes), viewBox=_view(box))


def in_order(processes: Sequence[Process], title: str, box: Box = BOX) -> str:
    """The samples as they came: a slope is a drift, a step a change of clock or a neighbour."""
    y = _times(processes, box.bottom, box.top)
    longest = max((len(process.seconds) for process in processes), default=1)
    x = Linear(1, max(longest, 2), box.left, box.right)
    drawn = frame(box, Axis(x, "sample, in order", lambda value: f"{value:g}"), Axis(y, "time of one call", _shown))
    for process in processes:
        points = [
            (x(position + 1), y(process.seconds[position]))
            for position in _thinned(len(process.seconds))
            if math.isfinite(process.seconds[position])
        ]
        if len(points) == 1:
            drawn.append(mark(*points[0], "circle", process.side, process.label, size=3))
        drawn.append(line(points, process.side, [hint(process.label)]))
    return figure(drawn, title, _described(processes), viewBox=_view(box))


def _times(processes: Sequence[Process], start: float, end: float) -> Scale:
    return fitting([value for process in processes for value in process.seconds], start, end)


def _thinned(count: int) -> list[int]:
    """At most `POINTS` positions of so many, the first and the last among them."""
    if count <= POINTS:
        return list(range(count))
    return [round(number * (count - 1) / (POINTS - 1)) for number in range(POINTS)]


def _stairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of the steps through points."""
    found = list(points[:1])
    for x, y in points[1:]:
        found += [(x, found[-1][1]), (x, y)]
    return found


def _shown(seconds: float) -> str:
    return trimmed(units.duration(seconds))


def _view(box: Box) -> str:
    return f"0 0 {box.right + 12:g} {box.bottom + 42:g}"


def _described(processes: Sequence[Process]) -> str:
    values = sorted(value for process in processes for value in process.seconds if math.isfinite(value))
    if not values:
        return "There is nothing to draw."
    return (
        f"{len(values)} samples of {len(processes)} processes, from {units.duration(values[0])} to "
        f"{units.duration(values[-1])}."
    )
