"""Comparing two sides, the baseline first. One run a side shows a difference, and never proves one.

Identical code measured twice differs by more than 5 % in 14 % of cells. So the run is the unit: with five or more a
side, an exact test over them with a correction for the number of cells, and a threshold, decide (`significance`). With
fewer, the words stop at `suspect`, and only beyond a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from ..results.errors import ResultError
from ..results.load import load
from ..results.schema import KEYS, ORDERED, ordered_values
from .rules import Rules
from .summary import require_columns
from .verdicts import BAD, EXACT, OBSTACLES, UNCHANGED, VERDICTS, obstacles, reasons, verdicts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["BAD", "EXACT", "OBSTACLES", "UNCHANGED", "VERDICTS", "Geomean", "compare", "geomean", "verdict_counts"]

#: Compared by the commands: time, and what a faster layer may have paid for it.
METRICS = ("median_s", "peak_bytes", "error")
Side = Union["pd.DataFrame", str, "Path", "Iterable[str | Path]"]


def compare(
    base: Side,
    head: Side,
    *,
    metric: str | Sequence[str] = "median_s",
    rules: Rules | None = None,
    better: str | None = None,
    ignore: Sequence[str] = (),
) -> pd.DataFrame:
    """Compare the cells of two sides.

    Args:
        base: the baseline: what `load` reads, or a frame of it. Several runs count as repetitions.
        head: what is compared with it.
        metric: a metric column of the wide frame, or several. Of all but the first only values of cells that passed on
            both sides are compared, and only where there are any.
        rules: how large a change must be; `Rules()` by default.
        better: `lower`, `higher` or `none`; by default what the results say of each metric.
        ignore: keys that do not tell cells apart: `["device"]` compares across devices.

    Returns:
        One row per cell of either side and metric: the keys, empty where they are ignored; `metric`; `base`, `head`
        (the median over runs), `ratio`
        (head / base), `change` (ratio - 1), `low` and `high` (the 95 % interval of the ratio, with four or more runs a
        side), `p` and `q` (exact Mann-Whitney, and adjusted for the number of cells); `base_outcome`, `head_outcome`,
        `base_n`, `head_n`; `threshold`, `gate` (False: the rules say that the cell never fails a gate); `verdict`,
        `reason`, and `obstacle`: what forbids to compare the values (`case`, `machine`, `threads`, `timer`, `several`).

    Raises:
        ResultError: a side cannot be read, or neither has the metric.
    """
    import pandas as pd

    from .sides import matched

    rules = Rules() if rules is None else rules
    metrics = [metric] if isinstance(metric, str) else list(dict.fromkeys(metric))
    if not metrics:
        raise ResultError("no metric is named: median_s is one")
    if unknown := [key for key in ignore if key not in KEYS or key in ("kind", "process")]:
        raise ResultError(f"{unknown[0]!r} cannot be ignored; there are {', '.join(k for k in KEYS if k != 'process')}")
    frames = [require_columns(_frame(side)) for side in (base, head)]
    ways = {name: better or _direction(frames, name, name == metrics[0]) for name in metrics}
    used = [name for name in metrics if ways[name]]
    cells = matched(frames[0], frames[1], used, ignore)
    # What does not tell cells apart is empty, so that every comparison has the same columns.
    keys = cells.keys.assign(**{key: 0 if key == "threads" else "" for key in KEYS if key not in cells.keys})
    keys = keys[[key for key in KEYS if key != "process"]]
    rule = rules.of(keys)
    parts = []
    for name in used:
        part = keys.assign(metric=name)
        for column, values in _compared(cells.base.values[name], cells.head.values[name]).items():
            part[column] = values
        part["base_outcome"], part["head_outcome"] = cells.base.outcome, cells.head.outcome
        part["threshold"], part["gate"] = [each.threshold for each in rule], [each.gate for each in rule]
        part["obstacle"] = obstacles(cells, name)
        part["verdict"] = verdicts(part, rule, rules, name, ways[name])
        part["reason"] = reasons(part, cells)
        if name != metrics[0]:
            passed = (part["base_outcome"] == "passed") & (part["head_outcome"] == "passed")
            part = part[passed & part[["base", "head"]].notna().any(axis=1)]
        parts.append(part)
    result: pd.DataFrame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    result = result.drop(columns="apart")
    return in_categories(result)


def in_categories(comparison: pd.DataFrame) -> pd.DataFrame:
    """A comparison whose phases, devices, dtypes and verdicts have their order."""
    import pandas as pd

    ordered = {
        column: pd.Categorical(comparison[column], ordered_values(column, comparison[column].unique()), ordered=True)
        for column in ORDERED[:3]
    }
    verdicts_ = pd.Categorical(comparison["verdict"], VERDICTS, ordered=True)
    result: pd.DataFrame = comparison.assign(**ordered, verdict=verdicts_)
    return result


@dataclass(frozen=True)
class Geomean:
    """The geometric mean of the ratios, and what it leaves out.

    Attributes:
        ratio: head / base; NaN without cells.
        cells: how many cells it is of.
        excluded: how many cells are left out, by the reason.
    """

    ratio: float
    cells: int
    excluded: dict[str, int]


def geomean(comparison: pd.DataFrame) -> Geomean:
    """The geometric mean over the cells that passed on both sides with an equal case hash, of the first metric."""
    if len(comparison):
        comparison = comparison[comparison["metric"] == comparison["metric"].iloc[0]]
    values = comparison[["base", "head"]].notna().any(axis=1)
    about = comparison[values | (comparison["kind"].isin(comparison.loc[values, "kind"].unique()))]
    passed = (about["base_outcome"] == "passed") & (about["head_outcome"] == "passed")
    changed = passed & about["obstacle"].isin(["case", "several"])
    valued = about["ratio"].notna() & (about["ratio"] > 0)
    used = about[passed & ~changed & valued]
    idle = (about["base_outcome"] == about["head_outcome"]) & about["base_outcome"].isin(
        ["not_applicable", "unsupported"]
    )
    excluded = {
        "not passed on both sides": int((~passed & ~idle).sum()),
        "case changed": int(changed.sum()),
        "no value on both sides": int((passed & ~changed & ~valued).sum()),
    }
    ratio = math.exp(sum(map(math.log, used["ratio"])) / len(used)) if len(used) else math.nan
    return Geomean(ratio, len(used), {reason: count for reason, count in excluded.items() if count})


def verdict_counts(comparison: pd.DataFrame) -> dict[str, int]:
    """How many cells have each verdict, in the order of `VERDICTS`; those that occur."""
    found = comparison["verdict"].value_counts()
    return {verdict: int(found[verdict]) for verdict in VERDICTS if found.get(verdict, 0)}


def _compared(base: NDArray[np.float64], head: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """The columns that the values of both sides come to."""
    import numpy as np

    from .significance import p_values, q_values, ratio_interval, separated

    ours, theirs = _medians(base), _medians(head)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = theirs / ours
    ratio[(theirs == 0) & (ours == 0)] = 1.0
    ratio[~np.isfinite(ratio)] = np.nan
    low, high = ratio_interval(base, head)
    p = p_values(base, head)
    return {
        "base": ours,
        "head": theirs,
        "ratio": ratio,
        "change": ratio - 1,
        "low": low,
        "high": high,
        "apart": separated(base, head),
        "p": p,
        "q": q_values(p),
        "base_n": (~np.isnan(base)).sum(1),
        "head_n": (~np.isnan(head)).sum(1),
    }


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    found = np.full(len(values), np.nan)
    known = ~np.isnan(values).all(axis=1)
    found[known] = np.nanmedian(values[known], axis=1)
    return found


def _frame(side: Side) -> pd.DataFrame:
    import pandas as pd

    return side if isinstance(side, pd.DataFrame) else load(side)


def _direction(frames: list[pd.DataFrame], metric: str, required: bool) -> str:
    """Which way of a metric is better; empty for one that is not there and not required."""
    import pandas as pd

    if not any(metric in frame and pd.api.types.is_numeric_dtype(frame[metric].dtype) for frame in frames):
        if not required:
            return ""
        numeric = [c for c in frames[0].columns if pd.api.types.is_float_dtype(frames[0][c].dtype)]
        raise ResultError(f"no side has the metric {metric!r}; there are {', '.join(numeric)}")
    ways = [frame.attrs.get("better", {}).get(metric) for frame in frames]
    # A CSV does not tell; of times and sizes it is known all the same.
    known = metric in EXACT or metric.endswith(("_s", "_bytes"))
    return next((str(way) for way in ways if way), "lower" if known else "none")
