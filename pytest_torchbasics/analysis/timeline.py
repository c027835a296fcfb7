"""Cells over many runs, all at once: each on one machine, in order of time, with what changed beside the code.

Where `history` follows a few cells and finds their levels, this is a table of all, also of the runs that failed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..results.schema import KEYS
from .naming import told_apart
from .summary import SEVERITY, TIMES, require_columns

if TYPE_CHECKING:
    import pandas as pd

#: What a line of the history is of.
SERIES = ("title", *(key for key in KEYS if key not in ("kind", "check", "process")), "machine_key")
#: A change of these makes times incomparable, and what readers call them.
BREAKS = {"torch_version": "torch", "driver": "driver", "case_hash": "the case"}
#: Those whose values tell a reader nothing.
UNREADABLE = ("case_hash",)


def timelines(frame: pd.DataFrame, records: Mapping[str, Mapping[str, Any]] | None = None) -> pd.DataFrame:
    """The times of each timed cell that several runs have, run by run.

    Args:
        frame: of `load` of a results folder.
        records: the content of run.json by run id, for what the rows do not repeat: the driver.

    Returns:
        One row per series and run, the oldest run first: the columns of `SERIES` (the title is the case's name, told
        apart from others), `run_id`, `started_at`, `outcome`,
        `median_s`, `low_s`, `high_s`, `commit`, and `changed`: what changed since the run before of the same series,
        `torch 2.13.0 -> 2.14.1, the case`.

    Raises:
        ResultError: the frame lacks columns.
    """
    import pandas as pd

    require_columns(frame, (*SERIES[1:], "run_id", "outcome", *TIMES))
    timed = frame.assign(title=told_apart(frame)["case"].astype(str))
    timed = timed[frame["kind"].astype(str) == "timing"]
    texts = (*SERIES, "run_id", "outcome", "started_at", "commit", "torch_version", "case_hash")
    plain = pd.DataFrame({name: timed[name].astype(str) if name in timed else "" for name in texts})
    plain[list(TIMES)] = timed[list(TIMES)].astype("float64").where(plain["outcome"] == "passed")
    drivers = {run: driver(record) for run, record in (records or {}).items()}
    plain["driver"] = plain["run_id"].map(drivers).fillna("")
    runs = _one_row_a_run(plain)
    several = runs.groupby(list(SERIES), sort=False)["run_id"].transform("nunique") > 1
    found = runs[several].copy()
    found["_series"] = found.groupby(list(SERIES), sort=False).ngroup()
    found = found.sort_values(["_series", "run_id"], kind="stable")
    found["changed"] = _changes(found)
    listed: pd.DataFrame = found.drop(columns=["_series", *BREAKS]).reset_index(drop=True)
    return listed


def driver(record: Mapping[str, Any]) -> str:
    """The drivers of the accelerators of a run; empty where there are none."""
    environment = record.get("environment")
    gpus = environment.get("gpus") if isinstance(environment, Mapping) else None
    found = [gpu.get("driver") for gpu in gpus or [] if isinstance(gpu, Mapping)] if isinstance(gpus, list) else []
    return ", ".join(dict.fromkeys(str(name) for name in found if name))


def _one_row_a_run(plain: pd.DataFrame) -> pd.DataFrame:
    """Where a run has a cell several times: the median, and the gravest outcome."""
    keys = [*SERIES, "run_id"]
    if not plain.duplicated(keys).any():
        return plain
    rank = plain["outcome"].map({outcome: number for number, outcome in enumerate(SEVERITY)}).fillna(len(SEVERITY))
    gravest = plain.assign(_rank=rank).sort_values("_rank", kind="stable").drop_duplicates(keys, keep="last")
    medians = plain.groupby(keys, sort=False)[list(TIMES)].median()
    others = gravest.drop(columns=["_rank", *TIMES])
    rows: pd.DataFrame = others.sort_index().merge(medians, how="left", left_on=keys, right_index=True)
    return rows


def _changes(found: pd.DataFrame) -> pd.Series[str]:
    """What changed since the last run of the series of which it is known."""
    import pandas as pd

    told = pd.Series("", index=found.index, dtype=object)
    for name, title in BREAKS.items():
        known = found[name].where(found[name] != "").groupby(found["_series"]).ffill()
        before = known.groupby(found["_series"]).shift()
        changed = before.notna() & known.notna() & (known != before)
        words = title if name in UNREADABLE else title + " " + before[changed] + " -> " + known[changed]
        told[changed] = (told[changed] + ", ").where(told[changed] != "", "") + words
    return told


def change_places(runs: pd.DataFrame) -> list[int] | None:
    """The rows of one series in which a new level begins; None where ruptures, which finds them, is not installed.

    A level ends where something changed beside the code, and before a run without a time.
    """
    from .history import change_points

    found: list[int] = []
    times = runs["median_s"].to_numpy()
    borders = [place for place, changed in enumerate(runs["changed"]) if changed or not math.isfinite(times[place])]
    try:
        for start, end in itertools.pairwise([0, *borders, len(runs)]):
            first = start if start < len(runs) and math.isfinite(times[start]) else start + 1
            found += [first + place for place in change_points(times[first:end])]
    except ImportError:
        return None
    return found
