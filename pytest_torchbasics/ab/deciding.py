"""When a cell is slower, faster or the same: a rule in two stages, on log ratios of blocks that were taken in turn.

Screen: one pair of processes. What is the same within 5 % and no candidate for more is decided. Confirm, the rest, on
fresh pairs: slower if the median of each exceeds 2 %, that of the first pair 0, and the middle of those of the fresh
ones exceeds 0 by 3.3 standard errors; the same if 5 % is 2.3 of them away from the middle of all. What goes on was
chosen for the ratio of the first pair: that one counts against sameness, and not for a change. The error is of the
blocks and of the pairs, which differ where code does not. Where that does not suffice, or one pair disagrees, there are
more pairs. Each is measured in batches of rounds, until more of them would not change what it says.

One pair cannot tell a slow process from slow code, nor can more rounds of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Rounds of a batch, and how many batches of one pair at most: of the first pair, and of each fresh one.
SCREEN_ROUNDS, SCREEN_BATCHES = 8, 2
CONFIRM_ROUNDS, CONFIRM_BATCHES = 8, 5
#: How many more fresh pairs there may be than a claim needs.
MORE_PAIRS = 2
#: What each fresh pair must exceed, and what a cell is the same within; as log ratios.
LEAST, SAME = float(np.log(1.02)), float(np.log(1.05))
#: In standard errors: half of the interval that is told, what a claim needs, what sameness, and what ends a batch.
INTERVAL, CLAIM, SURE, LOOK = 2.0, 3.3, 2.3, 1.645
RESAMPLES = 500
#: Fewer blocks of a pair, which was cut short, decide nothing: they tell too small an error, and one block none.
FEWEST = 5
#: Of cells of identical code: benchmarks/ab had none among 512, beside busy neighbours; half a one by Jeffreys' prior.
FALSE_ALARMS = 0.001

Pairs = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Layouts:
    """How processes lie in memory, and so how much identical code differs from pair to pair.

    Attributes:
        pairs: how many fresh pairs a claim needs.
        deviation: of the log ratio of a pair, from block noise apart.
        same: how many fresh pairs sameness needs.
        may_disagree: from how many fresh pairs on one may disagree.
    """

    pairs: int
    deviation: float
    same: int
    may_disagree: int


#: The same on both sides of a pair; and drawn anew for each process, of which one in six is 7 to 12 % slower: of four
#: pairs the middle is hardly ever off.
FIXED = Layouts(pairs=3, deviation=0.013, same=0, may_disagree=5)
RANDOM = Layouts(pairs=4, deviation=0.03, same=4, may_disagree=7)


@dataclass(frozen=True)
class Decision:
    """What is known of a cell.

    Attributes:
        verdict: `slower`, `faster`, `unchanged`, `inconclusive`.
        ratio: head by base; of a change by the fresh pairs alone.
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


def decide(pairs: Pairs, layouts: Layouts) -> Decision:
    """What all pairs so far say: of a change the fresh ones, which were not chosen for it, of sameness all of them.

    Args:
        pairs: log ratios, pair by pair; the first one screened.
        layouts: of their processes.
    """
    pairs = [logs for logs in pairs if len(logs) >= FEWEST] or pairs[:1]
    fresh = pairs[1:] or pairs
    sign = candidate(pairs) if len(pairs) > layouts.pairs else 0
    if sign and _dissenting(pairs, sign) and len(fresh) < layouts.may_disagree:
        sign = 0
    middle, error = _estimate(fresh, layouts)
    if sign * middle > CLAIM * error:
        return _decision("slower" if sign > 0 else "faster", middle, error, fresh)
    middle, error = _estimate(pairs, layouts)
    same = len(pairs) > layouts.same and abs(middle) + SURE * error < SAME
    return _decision("unchanged" if same else "inconclusive", middle, error, pairs)


def _estimate(pairs: Pairs, layouts: Layouts) -> tuple[float, float]:
    """The log ratio and its standard error."""
    pooled = [value for logs in pairs for value in logs]
    middle = float(np.median([np.median(logs) for logs in pairs]))
    return middle, math.hypot(error_of(pooled), layouts.deviation / math.sqrt(len(pairs)))


def _decision(verdict: str, middle: float, error: float, pairs: Pairs) -> Decision:
    low, high = middle - INTERVAL * error, middle + INTERVAL * error
    return Decision(verdict, math.exp(middle), math.exp(low), math.exp(high), sum(map(len, pairs)), len(pairs))


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


def undecided(pairs: Pairs, layouts: Layouts) -> bool:
    """True if a fresh pair may tell more."""
    fresh = len(pairs) - 1
    verdict = decide(pairs, layouts).verdict
    if fresh >= layouts.pairs + MORE_PAIRS or verdict in ("slower", "faster"):
        return False
    if verdict == "inconclusive" and fresh < layouts.pairs:
        return True
    if fresh:
        return candidate(pairs) != 0
    return abs(float(np.median(pairs[0]))) > max(LEAST / 2, LOOK * error_of(pairs[0]))


def unclear(pairs: Pairs, layouts: Layouts) -> bool:
    """True if more rounds of the last pair may tell more."""
    middle, error = float(np.median(pairs[-1])), LOOK * error_of(pairs[-1])
    if len(pairs) == 1:
        return undecided(pairs, layouts) and abs(middle) - error < LEAST
    sign = candidate(pairs[:-1])
    if sign and abs(sign * middle - LEAST) > error:
        return sign * middle < LEAST and decide(pairs, layouts).verdict == "inconclusive"
    return sign != 0 or decide(pairs, layouts).verdict == "inconclusive"


def error_of(logs: Sequence[float]) -> float:
    """The standard error of a median, by the bootstrap, NaN of too few; seeded: the same numbers decide the same."""
    if len(logs) < FEWEST:
        return math.nan
    values = np.asarray(logs)
    draws = np.random.default_rng(len(values)).integers(0, len(values), (RESAMPLES, len(values)))
    return float(np.median(values[draws], axis=1).std())
