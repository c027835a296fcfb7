"""What is known of the cells, as the frame that `compare` makes, so that all reports and gates take it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..analysis.compare import in_categories
from ..analysis.rules import Rules
from ..results.rows import CELL_KEYS
from .equality import TOLERANCES
from .session import SIDES, Contest

if TYPE_CHECKING:
    import pandas as pd

#: Names of the metrics of a block in the tables.
TIMES = {"median": "median_s", "host": "host_s"}
DIFFERENT = "different results"
#: What is counted, and how much more of it is worth a word.
COUNTED = {"peak_bytes": 0.05, "error": 0.5}
#: An error below what rounding in another order may change is none that one side has more of.
FLOORS = {"error": TOLERANCES}


def table(contests: Sequence[Contest], rules: Rules | None = None) -> pd.DataFrame:
    """One row per cell and metric, as `analysis.compare.compare` returns them.

    `low` and `high` are the 95 % interval, `base_n` and `head_n` the blocks of each side.
    """
    import pandas as pd

    rows = [row for contest in contests for row in _rows(contest)]
    columns = [*(key for key in CELL_KEYS if key != "process"), "metric", "base", "head", "ratio", "change", "low"]
    columns += ["high", "p", "q", "base_outcome", "head_outcome", "base_n", "head_n", "threshold", "gate", "obstacle"]
    found: pd.DataFrame = pd.DataFrame(rows, columns=[*columns, "verdict", "reason"])
    found["gate"] = [rule.gate for rule in (rules or Rules()).of(found)] if len(found) else []
    return in_categories(found)


def _rows(contest: Contest) -> list[dict[str, Any]]:
    cell = contest.cells.get("head") or contest.cells["base"]
    outcomes = {f"{side}_outcome": contest.outcomes.get(side, "") for side in SIDES}
    keys = {**{key: cell[key] for key in CELL_KEYS if key != "process"}, **outcomes}
    keys |= {"threshold": 0.05, "obstacle": "", "p": math.nan, "q": math.nan}
    if len(contest.outcomes) < len(SIDES) or not contest.runs:
        return [{**keys, "metric": "median_s", "base_n": 0, "head_n": 0, **_outcome(contest)}]
    rows = []
    changed = "" if contest.hashes["base"] == contest.hashes["head"] else "the case was changed (its hash differs)"
    if contest.different:
        reason = contest.different + (f"; {changed}" if changed else "")
        rows.append({**keys, "metric": "results", "base_n": 1, "head_n": 1, "verdict": DIFFERENT, "reason": reason})
    for metric, name in TIMES.items():
        if metric in contest.decisions:
            rows.append({**keys, "metric": name, **_time(contest, metric), "reason": changed})
    if not contest.decisions:
        reason = "no block was measured in the time that there was"
        rows.append(
            {**keys, "metric": "median_s", "base_n": 0, "head_n": 0, "verdict": "inconclusive", "reason": reason}
        )
    return [*rows, *({**keys, **row} for row in _counted(contest))]


def _time(contest: Contest, metric: str) -> dict[str, Any]:
    decision = contest.decisions[metric]
    values = {side: sorted(contest.seconds[side][metric]) for side in SIDES}
    middles = {side: found[len(found) // 2] for side, found in values.items()}
    return {
        **middles,
        "ratio": decision.ratio,
        "change": decision.ratio - 1,
        "low": decision.low,
        "high": decision.high,
        "base_n": len(values["base"]),
        "head_n": len(values["head"]),
        "verdict": decision.verdict,
    }


def _counted(contest: Contest) -> list[dict[str, Any]]:
    rows = []
    for name, least in COUNTED.items():
        base, head = (contest.costs.get(side, {}).get(name) for side in SIDES)
        if base is None or head is None:
            continue
        ratio = head / base if base else 1.0 if head == base else math.nan
        floor = FLOORS.get(name, {}).get(str(contest.cells["base"]["dtype"]), 0.0)
        if max(base, head) <= floor:
            verdict = "unchanged"
        else:
            verdict = "worse" if not ratio <= 1 + least else "better" if ratio < 1 - least else "unchanged"
        rows.append(
            {
                "metric": name,
                "base": base,
                "head": head,
                "ratio": ratio,
                "change": ratio - 1,
                "base_n": 1,
                "head_n": 1,
                "verdict": verdict,
                "reason": "",
            }
        )
    return rows


def _outcome(contest: Contest) -> dict[str, Any]:
    """The verdict of a cell that does not run on both sides."""
    base, head = (contest.outcomes.get(side, "") for side in SIDES)
    reason = contest.reasons.get("head") or contest.reasons.get("base", "")
    step = f"{base or 'absent'} -> {head or 'absent'}"
    bad = ("failed", "crashed")
    if base == head:
        return {"verdict": "still failing" if base in bad else "same", "reason": reason}
    if head in bad:
        verdict = "new failure"
    elif base in bad:
        verdict = "fixed" if head == "passed" else "missing"
    elif head == "passed":
        verdict = "added"
    else:
        verdict = "missing" if base == "passed" else "same"
    return {"verdict": verdict, "reason": f"{step}: {reason}" if reason else step}
