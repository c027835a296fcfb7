"""The roofline: what was reached over arithmetic intensity, below the roofs of the machine where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import units
from .axes import BOX, Axis, Box, Log, frame, log, trimmed
from .svg import figure, label, line, mark

#: The mark of each phase; the words are in the caption.
SHAPES = {"forward": "circle", "backward": "square", "forward_backward": "up"}


@dataclass(frozen=True)
class Point:
    """One cell.

    Attributes:
        label: what it is.
        phase: which mark it has.
        flop_per_byte: its intensity, above 0.
        flop_rate: what it reached, above 0.
    """

    label: str
    phase: str
    flop_per_byte: float
    flop_rate: float


def roofline(
    points: Sequence[Point], flop_rate: float | None, byte_rates: Sequence[float], title: str, box: Box = BOX
) -> str:
    """The plot of points.

    Args:
        points: at least one.
        flop_rate: the level roof; None if it is not known.
        byte_rates: the slanted roofs, one for each size of traffic that is known.
        title: what it shows.
        box: where it is drawn.
    """
    x, y = scales(points, flop_rate, byte_rates, box)
    drawn = frame(
        box,
        Axis(x, "FLOP / byte", lambda value: f"{value:g}"),
        Axis(y, "FLOP / s", lambda value: trimmed(units.quantity(value, "flop_rate"))),
    )
    drawn += [part for rate in byte_rates for part in _slanted(x, y, rate, flop_rate)]
    if flop_rate is not None:
        at = y(flop_rate)
        bend = flop_rate / max(byte_rates) if byte_rates else x.low
        drawn.append(line([(x(max(bend, x.low)), at), (box.right, at)], "roof"))
        drawn.append(label(box.right, at - 6, f"{units.quantity(flop_rate, 'flop_rate')}FLOP/s", "end", "roof"))
    drawn += [
        mark(
            x(point.flop_per_byte),
            y(point.flop_rate),
            SHAPES.get(point.phase, "diamond"),
            "dot",
            f"{point.label}: {units.quantity(point.flop_rate, 'flop_rate')}FLOP/s",
        )
        for point in points
    ]
    return figure(drawn, title, _described(points, flop_rate), viewBox=f"0 0 {box.right + 12} {box.bottom + 42}")


def scales(
    points: Sequence[Point], flop_rate: float | None, byte_rates: Sequence[float], box: Box = BOX
) -> tuple[Log, Log]:
    """The scales of intensity and rate; the bend of each roof is within them."""
    bends = [flop_rate / rate for rate in byte_rates] if flop_rate else []
    x = log([*(point.flop_per_byte for point in points), *bends], box.left, box.right, 2)
    rates = [*(point.flop_rate for point in points), *([flop_rate] if flop_rate else [])]
    if flop_rate is None and byte_rates:
        rates.append(max(byte_rates) * max(point.flop_per_byte for point in points))
    return x, log(rates, box.bottom, box.top, 2)


def _slanted(x: Log, y: Log, rate: float, flop_rate: float | None) -> list[str]:
    """The part of a slanted roof that is within the plot, with its name along the way."""
    first = max(x.low, y.low / rate)
    last = min(x.high, y.high / rate, flop_rate / rate if flop_rate else x.high)
    if last <= first:
        return []
    start, end = (x(first), y(first * rate)), (x(last), y(last * rate))
    return [line([start, end], "roof"), label(start[0] + 8, start[1] + 14, f"{units.memory(rate)}/s", tone="roof")]


def _described(points: Sequence[Point], flop_rate: float | None) -> str:
    if not points:
        return "There is nothing to draw."
    best = max(points, key=lambda point: point.flop_rate)
    roof = f" The roof is at {units.quantity(flop_rate, 'flop_rate')}FLOP/s." if flop_rate else ""
    return (
        f"{len(points)} cells; the fastest, {best.label[:80]}, reaches "
        f"{units.quantity(best.flop_rate, 'flop_rate')}FLOP/s.{roof}"
    )
