"""Whether two sets of runs differ: exact, without a distribution assumed, with the process run as the unit.

Samples of one process are no replicas: a rank test on them calls 92 % of identical code different. With five runs a
side, an exact rank test, Benjamini and Hochberg's correction and a threshold, 0.2 to 0.4 % of identical cells are.

scipy has the test (mannwhitneyu), but takes 0.65 s to import and a loop over cells; a table of 10,000 has to be there
in less. The counts are Mann and Whitney's (1947); tests hold them against scipy's.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

#: With fewer runs on a side no result of the test is below 5 %.
LEAST_RUNS = 4
#: Of the intervals.
CONFIDENCE = 0.95


def p_values(base: Floats, head: Floats) -> Floats:
    """The two-sided exact p of the Mann-Whitney test for each cell; NaN without values on both sides.

    Args:
        base: the values of the runs, (cells, runs); NaN where there are fewer.
        head: the same of the other side.
    """
    found = np.full(len(base), np.nan)
    for rows, ours, theirs in _by_counts(base, head):
        runs = ours.shape[1], theirs.shape[1]
        greater = (theirs[:, :, None] > ours[:, None, :]).sum((1, 2))
        ties = (theirs[:, :, None] == ours[:, None, :]).sum((1, 2))
        # A tie counts half; what is between two counts is taken as the one nearer to no difference.
        statistic = np.maximum(greater + ties / 2, runs[0] * runs[1] - greater - ties / 2)
        found[rows] = np.minimum(1.0, 2 * _upper_tail(*runs)[np.floor(statistic).astype(int)])
    return found


def separated(base: Floats, head: Floats) -> NDArray[np.bool_]:
    """Whether all runs of one side lie on one side of all of the other's; True where there is nothing to say so of."""
    lowest = [np.where(np.isnan(side), np.inf, side).min(1) for side in (base, head)]
    highest = [np.where(np.isnan(side), -np.inf, side).max(1) for side in (base, head)]
    found: NDArray[np.bool_] = (highest[0] < lowest[1]) | (highest[1] < lowest[0])
    return found


def runs_for(cells: int, alpha: float) -> int:
    """How many runs a side it takes that one change among so many cells can pass the correction."""
    runs = LEAST_RUNS
    while 2 * cells / math.comb(2 * runs, runs) >= alpha:
        runs += 1
    return runs


def q_values(p: Floats) -> Floats:
    """Benjamini and Hochberg's adjusted p (1995): below alpha, at most that share of the differences found is none."""
    found = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    scaled = p[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return found


def ratio_interval(base: Floats, head: Floats) -> tuple[Floats, Floats]:
    """The interval of head / base for each cell, which inverts the test (Hodges and Lehmann, 1963).

    Of all ratios of a run of the head to one of the baseline, those that the test would not tell from none; NaN where
    there are too few runs for the confidence, or a value is not above 0.
    """
    low, high = np.full(len(base), np.nan), np.full(len(base), np.nan)
    for rows, ours, theirs in _by_counts(base, head):
        pairs = ours.shape[1] * theirs.shape[1]
        cut = int((_upper_tail(ours.shape[1], theirs.shape[1]) <= (1 - CONFIDENCE) / 2).sum())
        positive = (ours > 0).all(1) & (theirs > 0).all(1)
        if not cut:
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.sort((theirs[:, :, None] / ours[:, None, :]).reshape(len(rows), pairs))
        low[rows] = np.where(positive, ratios[:, cut - 1], np.nan)
        high[rows] = np.where(positive, ratios[:, pairs - cut], np.nan)
    return low, high


@functools.cache
def _upper_tail(first: int, second: int) -> Floats:
    """P(U >= u) for every u of two samples of these sizes, if all orders are equally likely."""
    counts = _orders(first, second)
    tail: Floats = counts[::-1].cumsum()[::-1] / counts.sum()
    return tail


@functools.cache
def _orders(first: int, second: int) -> Floats:
    """How many orders of the two samples have each u: those that end in the first one, and the others."""
    if first == 0 or second == 0:
        return np.ones(1)
    counts = np.zeros(first * second + 1)
    ends_first, ends_second = _orders(first - 1, second), _orders(first, second - 1)
    counts[second : second + len(ends_first)] += ends_first
    counts[: len(ends_second)] += ends_second
    return counts


def _by_counts(base: Floats, head: Floats) -> list[tuple[Ints, Floats, Floats]]:
    """The cells that have values on both sides, in groups of equally many; without what is missing."""
    base, head = np.sort(base), np.sort(head)  # NaN goes to the end
    counts = np.stack([(~np.isnan(side)).sum(1) for side in (base, head)], axis=1)
    groups = []
    for first, second in np.unique(counts, axis=0):
        if first and second:
            rows = np.flatnonzero((counts == (first, second)).all(1))
            groups.append((rows, base[rows, :first], head[rows, :second]))
    return groups
