"""The rows of two sides, brought together cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..results.schema import KEYS
from .naming import apart_in_runs
from .summary import SEVERITY

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: Facts of a cell that must be the same on both sides before values compare.
FACTS = ("case_hash", "timer", "machine_key")
#: Of the baseline's outcomes: what passed in some run is what the head is held to.
BEST = (*(outcome for outcome in SEVERITY if outcome != "passed"), "passed")
#: A cell has a fact more than once.
SEVERAL = "(several)"


@dataclass(frozen=True)
class Side:
    """What one side says of every cell, in the order of `Cells.keys`.

    Attributes:
        outcome: the gravest of its runs, but `passed` for a baseline that ever passed; empty for a cell that it lacks.
        reason: of that one.
        facts: each of `FACTS`; `SEVERAL` if its runs differ.
        twice: the cell stands several times in one run.
        values: of each metric, (cells, runs): those of the runs that passed, NaN where there are fewer.
    """

    outcome: NDArray[np.object_]
    reason: NDArray[np.object_]
    facts: dict[str, NDArray[np.object_]]
    twice: NDArray[np.bool_]
    values: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Cells:
    """The cells of either side.

    Attributes:
        keys: a row per cell, as the baseline has them, then those that only the head has.
        base, head: the sides.
        threads_differ: the sides were timed with different numbers of threads, and matched all the same.
    """

    keys: pd.DataFrame
    base: Side
    head: Side
    threads_differ: bool


def matched(base: pd.DataFrame, head: pd.DataFrame, metrics: Sequence[str], ignore: Sequence[str] = ()) -> Cells:
    """Bring the rows of two frames of `load` together.

    Args:
        base, head: the sides.
        metrics: columns whose values are wanted.
        ignore: keys that do not tell cells apart.
    """
    import pandas as pd

    differ = _threads_differ(base, head) and "threads" not in ignore
    keys = [key for key in KEYS if key not in ("process", *ignore) and not (key == "threads" and differ)]
    frames = [_plain(frame, keys, metrics) for frame in (base, head)]
    if any(frame.duplicated([*keys, "process", "run_id"]).any() for frame in frames):
        frames = [_plain(frame, keys, metrics) for frame in apart_in_runs([base, head])]
    rows = pd.concat(frames, ignore_index=True)
    cell = rows.groupby(keys, sort=False).ngroup().to_numpy()
    first = ~rows.assign(cell=cell).duplicated("cell").to_numpy()
    split = len(frames[0])
    parts = ((slice(split), BEST), (slice(split, None), SEVERITY))
    sides = [_side(rows.iloc[part], cell[part], int(first.sum()), metrics, order) for part, order in parts]
    found: pd.DataFrame = rows.loc[first, keys].reset_index(drop=True)
    return Cells(found, sides[0], sides[1], differ)


def _threads_differ(base: pd.DataFrame, head: pd.DataFrame) -> bool:
    """True if each side has one number of threads, and another one."""
    used = [set(frame.loc[frame["kind"].astype(str) == "timing", "threads"]) for frame in (base, head)]
    return len(used[0]) == len(used[1]) == 1 and used[0] != used[1]


def _plain(frame: pd.DataFrame, keys: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """The columns that are needed, as text and numbers: categories would multiply into cells that nobody asked for."""
    import numpy as np
    import pandas as pd

    texts = (*(key for key in keys if key != "threads"), "outcome", "reason", *FACTS, "run_id")
    columns: dict[str, Any] = {name: frame[name].astype(str).to_numpy() if name in frame else "" for name in texts}
    for name in ("threads", "process"):
        columns[name] = frame[name].to_numpy(dtype="int64")
    passed = columns["outcome"] == "passed"
    for name in metrics:
        values = frame[name].to_numpy(dtype="float64", na_value=np.nan) if name in frame else np.nan
        columns[f"value {name}"] = np.where(passed, values, np.nan)
    plain: pd.DataFrame = pd.DataFrame(columns, index=range(len(frame)))
    return plain


def _side(rows: pd.DataFrame, cell: NDArray[Any], count: int, metrics: Sequence[str], outcomes: Sequence[str]) -> Side:
    """One side; of outcomes that differ from run to run, the last one in the order of `outcomes` is the cell's."""
    import numpy as np

    rank = rows["outcome"].map({outcome: rank for rank, outcome in enumerate(outcomes)}).fillna(99).to_numpy()
    order = np.argsort(rank, kind="stable")
    gravest = np.full(count, -1)
    gravest[cell[order]] = order  # of a cell that stands there several times, the last one stays
    there = gravest >= 0

    def of_gravest(name: str) -> NDArray[np.object_]:
        found = np.full(count, "", dtype=object)
        found[there] = rows[name].to_numpy(dtype=object)[gravest[there]]
        return found

    twice = np.zeros(count, bool)
    repeated = rows[["process", "run_id"]].assign(cell=cell).duplicated(keep=False).to_numpy()
    twice[cell[repeated]] = True
    facts = {name: _fact(rows[name].to_numpy(dtype=object), cell, count) for name in FACTS}
    values = {name: _values(rows[f"value {name}"].to_numpy(), cell, count) for name in metrics}
    return Side(of_gravest("outcome"), of_gravest("reason"), facts, twice, values)


def _fact(texts: NDArray[np.object_], cell: NDArray[Any], count: int) -> NDArray[np.object_]:
    import numpy as np
    import pandas as pd

    codes, words = pd.factorize(texts)
    lowest, highest = np.full(count, len(words)), np.full(count, -1)
    np.minimum.at(lowest, cell, codes)
    np.maximum.at(highest, cell, codes)
    named = np.array([*words, ""], dtype=object)
    found: NDArray[np.object_] = np.where(lowest == highest, named[np.minimum(highest, len(words))], SEVERAL)
    found[highest < 0] = ""
    return found


def _values(values: NDArray[Any], cell: NDArray[Any], count: int) -> NDArray[np.float64]:
    """The values of each cell side by side."""
    import numpy as np
    import pandas as pd

    known = ~np.isnan(values)
    values, cell = values[known], cell[known]
    place = pd.Series(cell).groupby(cell).cumcount().to_numpy()
    table = np.full((count, int(place.max()) + 1 if len(place) else 1), np.nan)
    table[cell, place] = values
    return table
