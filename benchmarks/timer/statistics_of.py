"""What the answers of many processes come to."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence


def spread(values: Sequence[float]) -> float:
    """The coefficient of variation: the standard deviation over the processes by their mean."""
    return statistics.stdev(values) / statistics.fmean(values)


def bias(values: Sequence[float], lengths: Sequence[float]) -> float:
    """The median over the processes of the reported time by the known length, less 1."""
    return statistics.median(value / length for value, length in zip(values, lengths, strict=True)) - 1


def beyond(base: Sequence[float], head: Sequence[float], threshold: float) -> float:
    """The share of pairs of two processes in which the head takes longer than the base by more than a threshold.

    With the same work on both sides these are false alarms, with a planted slowdown they are detections. Process i of
    one side is paired with every other process of the other one, as the two runs that a user compares.
    """
    pairs = [(b, h) for (i, b), (j, h) in itertools.product(enumerate(base), enumerate(head)) if i != j]
    return sum(h / b > 1 + threshold for b, h in pairs) / len(pairs)
