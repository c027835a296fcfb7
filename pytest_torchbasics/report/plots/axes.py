"""Scales, their ticks, and the frame of a plot."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .svg import element, label

#: The size of a plot: that of a phone's page, where it is shown without being scaled down.
WIDTH, HEIGHT = 360, 240
FONT = 12


@dataclass(frozen=True)
class Linear:
    """Equal steps are equally far apart.

    Attributes:
        low, high: the values at the ends.
        start, end: where the ends are drawn.
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value is drawn; in the middle if there is one value only."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 5) -> list[float]:
        """About so many round values within the ends, at most one more."""
        if not self.high > self.low:
            return [self.low]
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= raw * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)] or [self.low]


@dataclass(frozen=True)
class Log:
    """Equal ratios are equally far apart; as `Linear`, of positive values."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value is drawn."""
        return self._exponents(math.log10(value))

    def ticks(self, most: int = 5) -> list[float]:
        """About so many round values within the ends: powers of ten, or 1, 2 and 5 of each."""
        low, high = math.log10(self.low), math.log10(self.high)
        first, last = math.ceil(low - 1e-9), math.floor(high + 1e-9)
        powers = [10.0**exponent for exponent in range(first, last + 1)]
        if len(powers) >= 3:
            return powers[:: math.ceil(len(powers) / most)]
        decades = range(math.floor(low), math.ceil(high) + 1)
        finer = [factor * 10.0**exponent for exponent in decades for factor in (1, 2, 5)]
        inside = [value for value in finer if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]
        if len(inside) < 2:
            return Linear(self.low, self.high, 0, 1).ticks(most)
        return inside[:: math.ceil(len(inside) / most)]

    @property
    def _exponents(self) -> Linear:
        return Linear(math.log10(self.low), math.log10(self.high), self.start, self.end)


Scale = Linear | Log
#: From this ratio of the largest to the smallest value on, differences of the small ones are seen on a log scale only.
WIDE = 8


def linear(values: Iterable[float], start: float, end: float, margin: float = 0.06) -> Linear:
    """A linear scale that shows all finite values, with a margin; 0 to 1 if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Linear(0, 1, start, end)
    low, high = min(finite), max(finite)
    room = (high - low) * margin or abs(low) * margin or 1.0
    return Linear(low - room, high + room, start, end)


def log(values: Iterable[float], start: float, end: float, margin: float = 1.3) -> Log:
    """A log scale that shows all finite values above 0, with a margin; 1 to 10 if there are none."""
    finite = [value for value in values if math.isfinite(value) and value > 0]
    if not finite:
        return Log(1, 10, start, end)
    return Log(min(finite) / margin, max(finite) * margin, start, end)


def fitting(values: Iterable[float], start: float, end: float) -> Scale:
    """A linear scale, or a log one where the values are far apart."""
    finite = [value for value in values if math.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) / min(finite) >= WIDE:
        return log(finite, start, end)
    return linear(finite, start, end)


@dataclass(frozen=True)
class Box:
    """Where a plot draws its values; around it is room for the labels."""

    left: float = 64
    top: float = 24
    right: float = WIDTH - 12
    bottom: float = HEIGHT - 42


BOX = Box()


@dataclass(frozen=True)
class Axis:
    """A scale with its name and how its values are written."""

    scale: Scale
    name: str
    shown: Callable[[float], str]


def frame(box: Box, x: Axis, y: Axis) -> list[str]:
    """Grid, ticks and names of both axes."""
    drawn = []
    for value in y.scale.ticks():
        at = y.scale(value)
        drawn.append(element("line", x1=box.left, x2=box.right, y1=at, y2=at, class_="grid"))
        drawn.append(label(box.left - 6, at + 4, y.shown(value), "end", "soft"))
    for value in x.scale.ticks():
        at = x.scale(value)
        drawn.append(element("line", x1=at, x2=at, y1=box.top, y2=box.bottom, class_="grid"))
        drawn.append(label(at, box.bottom + 16, x.shown(value), "middle", "soft"))
    if x.name:
        drawn.append(label((box.left + box.right) / 2, box.bottom + 34, x.name, "middle", "soft"))
    drawn.append(label(4, box.top - 10, y.name, "start", "soft"))
    return drawn


def trimmed(text: str) -> str:
    """A number without the zeros that say nothing: `10.0 µs` as `10 µs`."""
    return re.sub(r"^(-?\d+\.\d*?)0+(?=$|\D)", r"\1", text).replace(". ", " ").removesuffix(".")
