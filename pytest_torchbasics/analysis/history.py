"""A cell over many runs on one machine, and where it changed for good.

Change points are found by ruptures (Truong, Oudre and Vayatis, 2020): PELT on the logarithm, with the absolute
deviation as its cost, which single bad runs do not move. Of 30 runs with 3 % of noise, 1 in 75 histories without a
change shows one (1 in 20 where every tenth run is 20 % off), and a step of 10 % is found in 99 of 100 (9 of 10).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..results.schema import KEYS
from .summary import require_columns

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: What one history is of: a cell, on a machine, as long as the case stays the same.
SERIES = (*(key for key in KEYS if key not in ("kind", "process")), "machine_key")
#: Facts of a run that may explain a change.
FACTS = ("torch_version", "python_version", "device_name", "platform", "commit")
#: A level is of at least so many runs.
LEAST = 3
#: Of PELT, in units of the noise and of the logarithm of the number of runs.
PENALTY = 2.0
#: The penalty of as many runs is that of fewer too, in which noise looks like levels.
LONG = 30
#: A smaller step is none.
THRESHOLD = 0.03


@dataclass(frozen=True)
class Change:
    """Where a history changed.

    Attributes:
        place: of the first run of the new level.
        ratio: the new level by the old one.
        facts: what else is different from there on: `torch_version 2.13 -> 2.14`.
        case_changed: the case itself is another one, so the levels do not compare.
    """

    place: int
    ratio: float
    facts: tuple[str, ...]
    case_changed: bool = False


@dataclass(frozen=True)
class History:
    """One cell on one machine.

    Attributes:
        keys: of the cell, and the machine.
        runs: a row per run in order of time: `run_id`, `started_at`, `value`, `low`, `high`, `case_hash` and `FACTS`.
        changes: in order.
    """

    keys: dict[str, str]
    runs: pd.DataFrame
    changes: tuple[Change, ...]

    @property
    def levels(self) -> list[tuple[int, int, float]]:
        """Stretches without a change: the first run, the one behind the last, the median."""
        ends = [0, *(change.place for change in self.changes), len(self.runs)]
        values = self.runs["value"].to_numpy()
        return [(a, b, float(_median(values[a:b]))) for a, b in itertools.pairwise(ends)]


def histories(frame: pd.DataFrame, metric: str = "median_s") -> Iterator[History]:
    """The history of every cell with values, on every machine.

    Args:
        frame: of `load`, many runs; those that passed count.
        metric: a metric column.
    """
    import pandas as pd

    require_columns(frame)
    if metric not in frame:
        return
    chosen = frame[(frame["outcome"].astype(str) == "passed") & frame[metric].notna()]
    if chosen.empty:
        return
    plain = pd.DataFrame({name: chosen[name].astype(str) for name in (*SERIES, "run_id", "case_hash", *FACTS)})
    plain["started_at"] = chosen["started_at"]
    plain["value"] = chosen[metric].astype("float64")
    bounds = ("low_s", "high_s") if metric == "median_s" else (metric, metric)
    plain["low"], plain["high"] = (chosen[name].astype("float64") for name in bounds)
    for keys, rows in plain.groupby(list(SERIES), sort=False):
        groups = rows.groupby("run_id", sort=True)  # run ids sort by time
        runs = groups[["value", "low", "high"]].median()
        runs = runs.join(groups[["started_at", "case_hash", *FACTS]].first()).reset_index()
        yield History(dict(zip(SERIES, map(str, keys), strict=True)), runs, tuple(_changes(runs)))


def _changes(runs: pd.DataFrame) -> Iterator[Change]:
    """Where the case became another one, and between those places where its level changed."""
    hashes = runs["case_hash"].to_numpy()
    borders = [0, *(place for place in range(1, len(runs)) if hashes[place] != hashes[place - 1]), len(runs)]
    values = runs["value"].to_numpy()
    for start, end in itertools.pairwise(borders):
        if start:
            yield Change(start, float(values[start] / values[start - 1]), _differing(runs, start), case_changed=True)
        places = [start, *(start + place for place in change_points(values[start:end])), end]
        for before, place, after in zip(places, places[1:], places[2:], strict=False):
            ratio = float(_median(values[place:after]) / _median(values[before:place]))
            yield Change(place, ratio, _differing(runs, place))


def change_points(values: NDArray[np.float64]) -> list[int]:
    """The places of the first values of new levels; none for fewer than six values, or one that is not above 0."""
    import numpy as np

    if len(values) < 2 * LEAST or not (values > 0).all():
        return []
    import ruptures

    logs = np.log(values)
    steps = np.diff(logs)
    # Of the differences, which a change of level touches in one place only.
    noise = max(1.4826 * float(_median(np.abs(steps - _median(steps)))) / math.sqrt(2), 1e-4)
    scaled = ((logs - _median(logs)) / noise).reshape(-1, 1)
    search = ruptures.Pelt(model="l1", min_size=LEAST, jump=1).fit(scaled)
    found = [int(place) for place in search.predict(pen=PENALTY * math.log(max(len(values), LONG)))[:-1]]
    return _large(logs, found)


def _large(logs: NDArray[np.float64], places: list[int]) -> list[int]:
    """Without the steps that are smaller than the threshold, the smallest taken out first."""
    places = list(places)
    while places:
        ends = [0, *places, len(logs)]
        levels = [_median(logs[a:b]) for a, b in itertools.pairwise(ends)]
        steps = [abs(after - before) for before, after in itertools.pairwise(levels)]
        smallest = min(range(len(steps)), key=steps.__getitem__)
        if steps[smallest] >= math.log1p(THRESHOLD):
            break
        del places[smallest]
    return places


def _differing(runs: pd.DataFrame, place: int) -> tuple[str, ...]:
    before, after = runs.iloc[place - 1], runs.iloc[place]
    return tuple(f"{name} {before[name]} -> {after[name]}" for name in FACTS if before[name] != after[name])


def _median(values: Any) -> Any:
    import numpy as np

    return np.median(values)
