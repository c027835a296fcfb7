"""Order statistics: quantiles, and an interval of the median that assumes no distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence

CONFIDENCE = 0.95


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies, interpolated linearly between neighbours."""
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return quantile(values, 0.5)


def median_ranks(count: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """The narrowest pair of ranks, counted from 1, between which the median lies with this confidence.

    The number of values below the median is binomial(count, 1/2), whatever the distribution, so ranks r and
    count + 1 - r hold it with probability 1 - 2 P(fewer than r).

    Returns:
        None if not even the smallest and the largest value do: fewer than 6 values at 95 %.
    """
    allowed = (1 - confidence) / 2 * 2**count
    fewer, rank = 0, 0
    while (fewer := fewer + math.comb(count, rank)) <= allowed:
        rank += 1
    return (rank, count + 1 - rank) if rank else None


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval of the median at 95 %; None if there are too few values."""
    ranks = median_ranks(len(values))
    if ranks is None:
        return None
    ordered = sorted(values)
    return ordered[ranks[0] - 1], ordered[ranks[1] - 1]
