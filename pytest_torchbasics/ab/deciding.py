"""When a cell is slower, faster or the same: a rule in two stages, on log ratios of blocks that were taken in turn.

Screen: one pair of processes. What is the same within 5 % and no candidate for more is decided. Confirm, the rest, on
fresh pairs: slower if the median of each exceeds 2 %, that of the first pair 1 %, and the pooled 0.5 % quantile of the
fresh ones is above 0. A pair is measured in batches of rounds, until more of them would not change what it says.

One pair cannot tell a slow process from slow code, nor can more rounds of it. Where the addresses of libraries are
fixed, processes of identical code differ by less than 1 %, and two fresh pairs are enough; where they are random, one
process in six is 7 to 12 % slower in all it does, and three are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Rounds of a batch, and how many batches of one pair at most: of the first pair, and of each fresh one.
SCREEN_ROUNDS, SCREEN_BATCHES = 8, 2
CONFIRM_ROUNDS, CONFIRM_BATCHES = 8, 5
#: Fresh pairs that must agree, where addresses are fixed and where they are random.
PAIRS_FIXED, PAIRS_RANDOM = 2, 3
#: What each fresh pair must exceed, and what a cell is the same within; as log ratios.
LEAST, SAME = float(np.log(1.02)), float(np.log(1.05))
#: What the first pair, which chose the candidates, must exceed.
FIRST = LEAST / 2
#: Of the bootstrapped median: to go on, and to decide.
LOOK_QUANTILE, DECIDING_QUANTILE = 0.05, 0.005
RESAMPLES = 2000
#: Of cells: measured by benchmarks/ab, rounded up.
FALSE_ALARMS = 0.001

Pairs = Sequence[Sequence[float]]


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


def decide(pairs: Pairs, needed: int) -> Decision:
    """What all pairs so far say.

    Args:
        pairs: log ratios, pair by pair; the first one screened.
        needed: how many fresh pairs a claim needs.
    """
    fresh = pairs[1:] or pairs
    pooled = [value for logs in fresh for value in logs]
    low, high = quantiles(pooled, DECIDING_QUANTILE)
    sign = candidate(pairs) if len(pairs) > needed else 0
    if sign > 0 and low > 0:
        verdict = "slower"
    elif sign < 0 and high < 0:
        verdict = "faster"
    else:
        verdict = "unchanged" if low > -SAME and high < SAME else "inconclusive"
    ratio = float(np.exp(np.median(pooled)))
    return Decision(verdict, ratio, float(np.exp(low)), float(np.exp(high)), len(pooled), len(fresh))


def candidate(pairs: Pairs) -> int:
    """1 if all pairs may yet say slower, -1 faster, 0 neither."""
    medians = [float(np.median(logs)) for logs in pairs]
    for sign in (1, -1):
        if sign * medians[0] > FIRST and all(sign * median > LEAST for median in medians[1:]):
            return sign
    return 0


def undecided(pairs: Pairs, needed: int) -> bool:
    """True if a fresh pair may tell more."""
    if len(pairs) > needed:
        return False
    if decide(pairs, needed).verdict != "unchanged":
        return True
    low, high = quantiles(pairs[0], LOOK_QUANTILE)
    suspicious = (low > 0 and high > LEAST) or (high < 0 and low < -LEAST)
    return suspicious if len(pairs) == 1 else candidate(pairs) != 0


def unclear(pairs: Pairs, needed: int) -> bool:
    """True if more rounds of the last pair may tell more."""
    low, high = quantiles(pairs[-1], LOOK_QUANTILE)
    if len(pairs) == 1:
        return undecided(pairs, needed) and not (low > LEAST or high < -LEAST)
    sign = candidate(pairs[:-1])
    if sign * low > LEAST and sign * high > LEAST:
        return False  # one more pair that agrees
    within = max(sign * low, sign * high) < LEAST
    return not within or decide(pairs, needed).verdict != "unchanged"


def quantiles(logs: Sequence[float], quantile: float) -> tuple[float, float]:
    """The bootstrap quantile of the median, and its mirror; seeded, so that the same numbers decide the same."""
    values = np.asarray(logs, dtype=float)
    draws = np.random.default_rng(len(values)).integers(0, len(values), (RESAMPLES, len(values)))
    medians = np.median(values[draws], axis=1)
    low, high = np.quantile(medians, [quantile, 1 - quantile])
    return float(low), float(high)
