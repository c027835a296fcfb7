"""The only list of verdicts, and when a cell has which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .rules import Rule, Rules
from .sides import SEVERAL, Cells

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


#: Every verdict, the one to look at first at the top.
VERDICTS = (
    "different results",
    "new failure",
    "missing",
    "slower",
    "worse",
    "suspect slower",
    "suspect worse",
    "not comparable",
    "still failing",
    "inconclusive",
    "fixed",
    "faster",
    "better",
    "suspect faster",
    "suspect better",
    "added",
    "within noise",
    "unchanged",
    "same",
)
#: Verdicts that tell of no change.
UNCHANGED = ("within noise", "unchanged", "same")
BAD = ("failed", "error", "timeout", "crashed", "xpassed")
#: Metrics that are counted and not timed: without noise, so that one run of each side tells.
EXACT = ("peak_bytes", "flops", "bytes_moved", "parameters", "flop_per_byte", "error", "bound_share")

OBSTACLES = {
    "case": "the case was changed (its hash differs)",
    "several": "the cell stands several times in one run",
    "machine": "measured on different machines",
    "threads": "measured with different numbers of threads",
    "timer": "measured with different timers",
}


def obstacles(cells: Cells, metric: str) -> NDArray[np.object_]:
    """What forbids to compare the values of a cell that passed on both sides; else empty."""
    base, head = cells.base, cells.head
    both = (base.outcome == "passed") & (head.outcome == "passed")
    timing = (cells.keys["kind"] == "timing").to_numpy()
    valued = both & timing & _has(base.values[metric]) & _has(head.values[metric])
    exact = metric in EXACT

    def differs(fact: str) -> Any:
        return (base.facts[fact] != head.facts[fact]) | (base.facts[fact] == SEVERAL)

    conditions: list[Any] = [
        both & differs("case_hash"),
        both & (base.twice | head.twice),
        valued & differs("machine_key") & (not exact),
        valued & cells.threads_differ & (not exact),
        valued & (base.facts["timer"] != head.facts["timer"]) & (not exact),
    ]
    return np.select(conditions, ["case", "several", "machine", "threads", "timer"], default="").astype(object)


def verdicts(found: pd.DataFrame, rules: Sequence[Rule], general: Rules, metric: str, better: str) -> NDArray[Any]:
    """The verdict of every row of a comparison, in the making: all of its columns but this one.

    Outcomes outrank values. With fewer runs than a claim takes, a change is at most suspect.
    """
    base, head = found["base_outcome"].to_numpy(), found["head_outcome"].to_numpy()
    ratio, q = found["ratio"].to_numpy(), found["q"].to_numpy()
    threshold = np.array([rule.threshold for rule in rules])
    screen = np.array([rule.screen for rule in rules])
    floor = np.array([rule.floor_s for rule in rules]) if metric.endswith("_s") else np.zeros(len(found))
    enough = np.minimum(found["base_n"].to_numpy(), found["head_n"].to_numpy()) >= general.min_runs
    low, high = found["low"].to_numpy(), found["high"].to_numpy()
    size = np.maximum(ratio, 1 / np.where(ratio > 0, ratio, np.nan)) - 1
    large = np.abs(found["head"].to_numpy() - found["base"].to_numpy()) > floor
    beyond, screened = (size > threshold) & large, (size > screen) & large
    exact = np.full(len(found), metric in EXACT)
    if metric in EXACT:
        beyond = screened = np.abs(ratio - 1) > threshold
    # What no correction for many cells can leave of so few runs: no run of one side among those of the other, and all
    # of the interval beyond the threshold.
    apart = found["apart"].to_numpy() & ((low > 1 + threshold) | (high < 1 / (1 + threshold)))
    claimed = exact | (enough & ((q < general.alpha) | apart))
    within = (low > 1 / (1 + threshold)) & (high < 1 + threshold)
    up, down = ratio > 1, ratio < 1
    if metric in EXACT:
        from_nothing = (found["base"].to_numpy() == 0) & (found["head"].to_numpy() > 0)
        up, beyond = up | from_nothing, beyond | from_nothing
    if better == "higher":
        up, down = down, up
    elif better == "none":
        up = down = np.zeros(len(found), bool)
    timed = metric.endswith("_s") and better == "lower"
    worse, improved = ("slower", "faster") if timed else ("worse", "better")
    base_absent, head_absent = np.isin(base, ["", "not_run"]), np.isin(head, ["", "not_run"])
    one_value = found["base"].notna() != found["head"].notna()
    idle = np.isin(base, ["", "not_run", "not_applicable", "skipped", "unsupported"])
    ways: list[tuple[Any, str]] = [
        (head_absent & idle, "same"),
        (head_absent, "missing"),
        (np.isin(head, BAD) & np.isin(base, BAD), "still failing"),
        (np.isin(head, BAD), "new failure"),
        (base_absent, "added"),
        (np.isin(base, [*BAD, "xfailed", "unsupported"]) & (head == "passed"), "fixed"),
        (~np.isin(base, ["passed", *BAD]) & (head == "passed"), "added"),
        (np.isin(base, ["passed", *BAD]) & (head != "passed"), "missing"),
        (head != "passed", "same"),  # of those that are left the baseline has not passed either
        (found["obstacle"] != "", "not comparable"),
        (one_value, "not comparable"),
        (claimed & beyond & up, worse),
        (claimed & beyond & down, improved),
        (np.isnan(ratio) & found["base"].notna(), "not comparable"),
        (np.isnan(ratio), "same"),
        (exact, "unchanged"),
        (enough & within, "unchanged"),
        (screened & up, f"suspect {worse}"),
        (screened & down, f"suspect {improved}"),
        (enough & (better != "none"), "inconclusive"),
    ]
    conditions, words = zip(*ways, strict=True)
    return np.select([np.asarray(condition) for condition in conditions], words, default="within noise")


def reasons(found: pd.DataFrame, cells: Cells) -> list[str]:
    """Why a verdict is not plain: the change of the outcome with the reason of the side that is not well."""
    told = []
    columns = ("verdict", "obstacle", "base_outcome", "head_outcome", "base", "head")
    sides = zip(cells.base.reason, cells.head.reason, strict=True)
    for (verdict, obstacle, base, head, low, high), (before, after) in zip(
        found[list(columns)].itertuples(index=False, name=None), sides, strict=True
    ):
        why = after or before
        if obstacle:
            told.append(OBSTACLES[obstacle])
        elif base == head == "passed":
            lacking = verdict == "not comparable" and np.isnan(low) != np.isnan(high)
            told.append(f"{'the baseline' if np.isnan(low) else 'the head'} has no value" if lacking else "")
        elif base == head:
            told.append(why)
        else:
            step = f"{base or 'absent'} -> {head or 'absent'}"
            told.append(f"{step}: {why}" if why else step)
    return told


def _has(values: NDArray[np.float64]) -> Any:
    return ~np.isnan(values).all(axis=1)
