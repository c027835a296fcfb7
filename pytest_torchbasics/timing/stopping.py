"""When to stop: looks at fixed numbers of blocks, and a time cap."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from .ranks import median, median_interval

T = TypeVar("T")


@dataclass(frozen=True)
class Quality:
    """How much time a measurement may take.

    Attributes:
        name: as in --timer-quality.
        looks: numbers of blocks at which the interval is looked at, and at no others: a rule that peeks after
            every sample stops at lucky moments, and its intervals are too narrow.
        cap_s: time after which no further block is begun, on the CPU.
        width: the interval of the median lies within this share of it on both sides.
    """

    name: str
    looks: tuple[int, ...]
    cap_s: float
    width: float = 0.02


QUALITIES: Mapping[str, Quality] = MappingProxyType(
    {
        quality.name: quality
        for quality in (
            Quality("quick", (8,), 0.25),
            Quality("standard", (8, 12, 16, 24, 32), 0.35),
            Quality("precise", (16, 24, 32, 48, 64), 5.0, width=0.01),
        )
    }
)


def collect(
    take: Callable[[], T], value: Callable[[T], float], quality: Quality, now_ns: Callable[[], int]
) -> tuple[list[T], bool]:
    """Take blocks until their median is settled or the time is up.

    Returns:
        The blocks, at least one, and whether the median is settled.
    """
    end = now_ns() + quality.cap_s * 1e9
    blocks: list[T] = []
    while True:
        blocks.append(take())
        if len(blocks) in quality.looks and settled([value(block) for block in blocks], quality.width):
            return blocks, True
        if len(blocks) >= quality.looks[-1] or now_ns() >= end:
            return blocks, False


def settled(values: list[float], width: float) -> bool:
    """True if the 95 % interval of the median reaches no further than `width` times the median to either side."""
    interval = median_interval(values)
    if interval is None:
        return False
    middle = median(values)
    return middle - interval[0] <= width * middle and interval[1] - middle <= width * middle
