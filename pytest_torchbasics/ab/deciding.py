"""When a cell is slower, faster or the same: a rule in two stages, on log ratios of blocks that were taken in turn.

Screen: one pair of processes. What is the same within 5 % and no candidate for more is decided. Confirm, the rest, on
fresh pairs: slower if the median of each exceeds 2 %, that of the first pair 0, and that of all blocks exceeds 0 by 3.3
standard errors. The error is of the blocks and of the pairs: identical code differs by 1.5 % from pair to pair.
Where that does not suffice, or one pair disagrees, there are more pairs. Each is measured in batches of rounds, until
more of them would not change what it says.

One pair cannot tell a slow process from slow code, nor can more rounds of it. Where the addresses of libraries are
fixed, two fresh pairs may be enough; where they are random, one process in six is 7 to 12 % slower in all it does, and
three are the least.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Rounds of a batch, and how many batches of one pair at most: of the first pair, and of each fresh one.
SCREEN_ROUNDS, SCREEN_BATCHES = 8, 2
CONFIRM_ROUNDS, CONFIRM_BATCHES = 8, 5
#: Fresh pairs that a claim needs, where addresses are fixed and where they are random; how many more there may be, and
#: from how many on one may disagree.
PAIRS_FIXED, PAIRS_RANDOM = 2, 3
MORE_PAIRS, MAY_DISAGREE = 2, 4
#: Standard deviation of a ratio of identical code over pairs of processes with fixed addresses.
PROCESSES = 0.015
#: What each fresh pair must exceed, and what a cell is the same within; as log ratios.
LEAST, SAME = float(np.log(1.02)), float(np.log(1.05))
#: In standard errors: half of the interval that is told, what a claim needs, and what ends a batch.
INTERVAL, CLAIM, LOOK = 2.0, 3.3, 1.645
RESAMPLES = 500
#: Of cells: measured by benchmarks/ab, rounded up.
FALSE_ALARMS = 0.001

Pairs = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Decision:
    """What is known of a cell.

    Attributes:
        verdict: `slower`, `faster`, `unchanged`, `inconclusive`.
        ratio: head by base.
        low, high: its 95 % interval.
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
    middle, error = float(np.median(pooled)), math.hypot(error_of(pooled), PROCESSES / math.sqrt(len(fresh)))
    low, high = middle - INTERVAL * error, middle + INTERVAL * error
    sign = candidate(pairs) if len(pairs) > needed else 0
    if sign and _dissenting(pairs, sign) and len(fresh) < MAY_DISAGREE:
        sign = 0
    if sign * middle > CLAIM * error:
        verdict = "slower" if sign > 0 else "faster"
    else:
        verdict = "unchanged" if low > -SAME and high < SAME else "inconclusive"
    return Decision(verdict, math.exp(middle), math.exp(low), math.exp(high), len(pooled), len(fresh))


def candidate(pairs: Pairs) -> int:
    """1 if the pairs may yet say slower, -1 faster, 0 neither: at most one of the fresh ones disagrees."""
    for sign in (1, -1):
        medians = [sign * float(np.median(logs)) for logs in pairs]
        if medians[0] > 0 and (len(pairs) == 1 or np.mean(medians[1:]) > LEAST) and _dissenting(pairs, sign) <= 1:
            return sign
    return 0


def _dissenting(pairs: Pairs, sign: int) -> int:
    """How many fresh pairs do not exceed the least change in a direction."""
    return sum(sign * float(np.median(logs)) <= LEAST for logs in pairs[1:])


def undecided(pairs: Pairs, needed: int) -> bool:
    """True if a fresh pair may tell more."""
    fresh = len(pairs) - 1
    verdict = decide(pairs, needed).verdict
    if fresh >= needed + MORE_PAIRS or verdict in ("slower", "faster"):
        return False
    if verdict == "inconclusive" and fresh < needed:
        return True
    if fresh:
        return candidate(pairs) != 0
    return abs(float(np.median(pairs[0]))) > max(LEAST / 2, LOOK * error_of(pairs[0]))


def unclear(pairs: Pairs, needed: int) -> bool:
    """True if more rounds of the last pair may tell more."""
    middle, error = float(np.median(pairs[-1])), LOOK * error_of(pairs[-1])
    if len(pairs) == 1:
        return undecided(pairs, needed) and abs(middle) - error < LEAST
    sign = candidate(pairs[:-1])
    if sign and abs(sign * middle - LEAST) > error:
        return sign * middle < LEAST and decide(pairs, needed).verdict == "inconclusive"
    return sign != 0 or decide(pairs, needed).verdict == "inconclusive"


def error_of(logs: Sequence[float]) -> float:
    """The standard error of a median, by the bootstrap; seeded, so that the same numbers decide the same."""
    values = np.asarray(logs, dtype=float)
    draws = np.random.default_rng(len(values)).integers(0, len(values), (RESAMPLES, len(values)))
    return float(np.median(values[draws], axis=1).std())
