"""When a cell is slower, faster or the same: the rule of two stages, on log ratios of blocks that were taken in turn.

Screen: one pair of processes, eight rounds; suspicious if the bootstrap 5 % quantile of the median log ratio is above 0
(or its mirror below); what looks the same and is not surely so gets more rounds. Confirm, what is left: three fresh
pairs, twelve rounds; slower if the medians of all four pairs exceed 2 % and the pooled 0.5 % quantile is above 0.

Processes of identical code differ, in everything they do: by 0.3 to 1 % on one machine, and on another one in five by
7 to 10 %. One pair cannot see that, nor can more rounds of it; four pairs agree by chance in 1 of 1000 sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Rounds of the first pair and of each fresh one; how many fresh pairs.
SCREEN_ROUNDS, CONFIRM_ROUNDS, PAIRS = 8, 12, 3
#: What is neither suspicious nor surely the same gets more rounds of the first pair, and is looked at again.
MORE_ROUNDS, MORE_LOOKS = 4, 2
#: What all pairs must exceed, and what a cell is the same within.
LEAST, SAME = 0.02, 0.05
SCREEN_QUANTILE, CONFIRM_QUANTILE = 0.05, 0.005
RESAMPLES = 2000
#: Of cells: four pairs in each of which one side alone has a slow process, by chance the same side.
FALSE_ALARMS = 0.0013


@dataclass(frozen=True)
class Decision:
    """What is known of a cell.

    Attributes:
        verdict: `slower`, `faster`, `unchanged`, `inconclusive`.
        ratio: head by base.
        low, high: its 99 % interval.
        rounds: how many.
        pairs: of how many pairs of processes.
    """

    verdict: str
    ratio: float
    low: float
    high: float
    rounds: int
    pairs: int


def suspicious(logs: Sequence[float]) -> bool:
    """True if a cell is worth fresh pairs: a difference in the screen, or no sameness."""
    low, high = quantiles(logs, SCREEN_QUANTILE)
    return low > 0 or high < 0


def screened(logs: Sequence[float]) -> Decision:
    """What the screen alone says: unchanged or inconclusive, never more."""
    low, high = quantiles(logs, CONFIRM_QUANTILE)
    same = -np.log1p(SAME) < low and high < np.log1p(SAME)
    return _decision("unchanged" if same else "inconclusive", [logs], low, high)


def confirmed(first: Sequence[float], fresh: Sequence[Sequence[float]]) -> Decision:
    """What fresh pairs say, and whether the first pair agrees."""
    pooled = [value for logs in fresh for value in logs]
    low, high = quantiles(pooled, CONFIRM_QUANTILE)
    medians = [float(np.median(logs)) for logs in (first, *fresh)]
    if len(fresh) >= PAIRS and min(medians) > np.log1p(LEAST) and low > 0:
        return _decision("slower", fresh, low, high)
    if len(fresh) >= PAIRS and max(medians) < -np.log1p(LEAST) and high < 0:
        return _decision("faster", fresh, low, high)
    same = -np.log1p(SAME) < low and high < np.log1p(SAME)
    return _decision("unchanged" if same else "inconclusive", fresh, low, high)


def quantiles(logs: Sequence[float], quantile: float) -> tuple[float, float]:
    """The bootstrap quantile of the median, and its mirror; seeded, so that the same numbers decide the same."""
    values = np.asarray(logs, dtype=float)
    draws = np.random.default_rng(len(values)).integers(0, len(values), (RESAMPLES, len(values)))
    medians = np.median(values[draws], axis=1)
    low, high = np.quantile(medians, [quantile, 1 - quantile])
    return float(low), float(high)


def _decision(verdict: str, pairs: Sequence[Sequence[float]], low: float, high: float) -> Decision:
    pooled = [value for logs in pairs for value in logs]
    ratio = float(np.exp(np.median(pooled)))
    return Decision(verdict, ratio, float(np.exp(low)), float(np.exp(high)), len(pooled), len(pairs))
