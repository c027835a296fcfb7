"""The forest plot: a row per cell, its change with an interval, before the band in which a change means nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..document import Tone
from ..units import percent
from .axes import Linear
from .svg import element, figure, hint, label, mark, shortened

#: Positions are shares of the width, so that the plot fills a page and a phone alike without scaling its text.
LEFT, RIGHT, END = 1.5, 76.0, 100.0
ROW, TOP, BOTTOM = 36, 26, 6
#: The plot shows changes up to this factor at least.
NEAREST = 1.03
#: A change by more than this factor is drawn at the edge.
FARTHEST = 8.0
#: Ticks are at least so much of the width apart.
APART = 12.0
TICKS = (1 / 8, 1 / 4, 1 / 2, 2 / 3, 0.8, 0.9, 0.95, 0.98, 1.02, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Change:
    """One row of the plot.

    Attributes:
        label: what changed.
        verdict: what is said of it.
        ratio: head / base.
        low, high: the interval of the ratio; NaN where none is known.
        threshold: a change below this share means nothing; NaN where none is known.
        sign: the verdict's symbol.
        tone: the verdict's tone.
    """

    label: str
    verdict: str
    ratio: float
    low: float
    high: float
    threshold: float
    sign: str
    tone: Tone


def forest(changes: Sequence[Change], title: str) -> str:
    """The plot of changes, in the order given."""
    scale = ratio_scale(changes)
    height = TOP + ROW * len(changes) + BOTTOM
    bands = [_band(scale, row, change) for row, change in enumerate(changes)]
    rows = [_row(scale, row, change) for row, change in enumerate(changes)]
    drawn = [*bands, *_ticks(scale, height), *rows]
    return figure(drawn, title, _described(changes), width="100%", height=height)


def ratio_scale(changes: Sequence[Change]) -> Linear:
    """The scale of the logarithms of ratios: a change to twice the time is as wide as one to half of it."""
    ends = [end for change in changes for end in (change.ratio, change.low, change.high) if _drawable(end)]
    band = [1.4 * math.log2(1 + change.threshold) for change in changes if math.isfinite(change.threshold)]
    least = max([*band, math.log2(NEAREST)])
    below, above = (max([least, *(1.08 * sign * math.log2(end) for end in ends)]) for sign in (-1, 1))
    # A side without changes is seen, too, and has room for a tick.
    below, above = max(below, above / 4), max(above, below / 4)
    farthest = math.log2(FARTHEST)
    return Linear(-min(below, farthest), min(above, farthest), LEFT, RIGHT)


def _ticks(scale: Linear, height: float) -> list[str]:
    taken = [scale(0)]
    for ratio in sorted(TICKS, key=lambda ratio: -abs(math.log2(ratio))):
        at = scale(math.log2(ratio))
        if LEFT + 4 <= at <= RIGHT - 4 and all(abs(at - other) >= APART for other in taken):
            taken.append(at)
    shown = {scale(math.log2(ratio)): _tick_text(ratio) for ratio in (1.0, *TICKS)}
    drawn = []
    for at in sorted(taken):
        middle = at == scale(0)
        drawn.append(
            element("line", x1=_share(at), x2=_share(at), y1=TOP - 8, y2=height, class_="axis" if middle else "grid")
        )
        drawn.append(label(_share(at), TOP - 13, shown[at], "middle", "soft"))
    return drawn


def _tick_text(ratio: float) -> str:
    if ratio == 1:
        return "±0"
    return f"×{ratio:g}" if ratio >= 2 else f"{(ratio - 1) * 100:+.0f} %"


def _band(scale: Linear, row: int, change: Change) -> str:
    """The changes that mean nothing, from 1 / (1 + threshold) to 1 + threshold: equally far either way."""
    if not math.isfinite(change.threshold):
        return ""
    end = math.log2(1 + change.threshold)
    left, right = (scale(_clipped(scale, exponent)) for exponent in (-end, end))
    return element("rect", x=_share(left), width=_share(right - left), y=TOP + ROW * row, height=ROW, class_="band")


def _row(scale: Linear, row: int, change: Change) -> str:
    top = TOP + ROW * row
    middle = top + 25
    told = f"{change.label}: {percent(change.ratio - 1)}, {change.verdict}"
    drawn = [
        element("line", x1=0, x2="100%", y1=top + ROW, y2=top + ROW, class_="grid"),
        label(0, top + 13, shortened(change.label)),
        label(_share(END), middle + 4, f"{change.sign} {percent(change.ratio - 1)}", "end", change.tone),
    ]
    if _drawable(change.low) and _drawable(change.high):
        start, end = (scale(_clipped(scale, math.log2(value))) for value in (change.low, change.high))
        drawn.append(
            element("line", x1=_share(start), x2=_share(end), y1=middle, y2=middle, class_=f"line {change.tone}")
        )
        drawn += [
            element("line", x1=_share(at), x2=_share(at), y1=middle - 4, y2=middle + 4, class_=f"line {change.tone}")
            for at in (start, end)
        ]
    if _drawable(change.ratio):
        exact = math.log2(change.ratio)
        at = _clipped(scale, exact)
        shape = "circle" if at == exact else "right" if exact > 0 else "left"
        point = mark(0, 0, shape, change.tone, size=4.5)
        drawn.append(element("svg", [point], x=_share(scale(at)), y=middle, overflow="visible"))
    return element("g", [hint(told), *drawn], class_="row")


def _clipped(scale: Linear, exponent: float) -> float:
    return min(max(exponent, scale.low), scale.high)


def _drawable(ratio: float) -> bool:
    return math.isfinite(ratio) and ratio > 0


def _share(position: float) -> str:
    return f"{position:.2f}%"


def _described(changes: Sequence[Change]) -> str:
    found = [change for change in changes if _drawable(change.ratio)]
    if not found:
        return "There is nothing to draw."
    most, least = max(found, key=lambda change: change.ratio), min(found, key=lambda change: change.ratio)
    return (
        f"{len(found)} cells by their change of head to base. The largest is {percent(most.ratio - 1)} "
        f"({shortened(most.label)}), the smallest {percent(least.ratio - 1)} ({shortened(least.label)})."
    )
