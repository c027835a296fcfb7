"""Earlier runs: a results folder of complete runs of legs, a few of each on each machine.

Which machine that was is measured (`machine_key`): a runner's label says little of its processor.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..results.collect import RUN_JSON, runs_in
from ..results.errors import ResultError
from ..results.files import replace_file, to_json
from ..results.load import load
from ..results.safe import PARQUET_BYTES, check_name, is_there, read_bytes
from ..results.store import ROWS_PARQUET, SAMPLES_PARQUET, RunFolder, status_of

if TYPE_CHECKING:
    import pandas as pd

#: How many runs of a shard are kept on each machine. A leg makes two: its checks, and its times.
KEPT = 20
#: Runs that have these in common can be compared.
PLACE = ("machine_key", "leg", "shard")


@dataclass(frozen=True)
class Baseline:
    """What a leg is compared with.

    Attributes:
        rows: of its newest earlier runs on the same machines; None if there are none.
        why_not: why there are none.
    """

    rows: pd.DataFrame | None
    why_not: str = ""


def keep(sources: Sequence[Path], history: Path) -> list[Path]:
    """Copy the complete runs of legs into the history, and drop the oldest ones there.

    Args:
        sources: folders below which the runs are.
        history: made if it is not there.

    Returns:
        Where they are now.

    Raises:
        ResultError: one cannot be read or written.
    """
    for source in sources:
        if not is_there(source) or not source.is_dir():
            raise ResultError("is no folder of runs", source)
    kept = []
    for path in sorted(record.parent for source in sources for record in source.rglob(RUN_JSON)):
        folder = RunFolder.open(path)
        record = folder.read()
        if record.get("leg") and status_of(folder) == "complete":
            target = history / "runs" / check_name(folder.run_id, "the run id")
            _copy(path, {**record, "plan": None}, target)
            kept.append(target)
    _drop_oldest(history)
    return kept


def baselines(frame: pd.DataFrame, history: Path) -> dict[str, Baseline]:
    """For each leg, what it is compared with.

    Args:
        frame: of `load`: the runs that are to be compared.
        history: of `keep`.
    """
    import pandas as pd

    plain = pd.DataFrame({name: frame[name].astype(object).fillna("").astype(str) for name in PLACE}).drop_duplicates()
    plain = plain[(plain["leg"] != "") & (plain["machine_key"] != "")]  # what never arrived was on no machine
    ids = set(frame["run_id"].astype(str))
    earlier = [(path, place) for path, place in _runs(history) if path.name not in ids]
    return {
        str(leg): _baseline(set(places[list(PLACE)].itertuples(index=False, name=None)), earlier)
        for leg, places in plain.groupby("leg", sort=False)
    }


def _baseline(places: set[tuple[str, ...]], earlier: Sequence[tuple[Path, tuple[str, ...]]]) -> Baseline:
    try:
        newest = [pair for place in places for pair in _newest([path for path, its in earlier if its == place])]
        return Baseline(_rows(newest)) if newest else Baseline(None, "no earlier run on this machine")
    except ResultError as error:  # written by another version, perhaps; the next run is kept in a form that is read
        return Baseline(None, f"an earlier run cannot be read ({error})")


def _newest(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """The newest run that has checks and the newest that has timings, each with the kind that it is taken for."""
    wanted = {"check", "timing"}
    for path in paths:
        if wanted:
            has = wanted & set(load(path)["kind"].astype(str))
            yield from ((path, kind) for kind in sorted(has))
            wanted -= has


def _rows(pairs: Sequence[tuple[Path, str]]) -> pd.DataFrame:
    frame = load(sorted({path for path, _ in pairs}))
    wanted = {(path.name, kind) for path, kind in pairs}
    taken = [pair in wanted for pair in zip(frame["run_id"].astype(str), frame["kind"].astype(str), strict=True)]
    chosen: pd.DataFrame = frame[taken]
    return chosen


def _copy(path: Path, record: Mapping[str, Any], target: Path) -> None:
    """The final files of a run; its record comes last, and makes them a run."""
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(f"cannot be made: {error.strerror or error}", target) from None
    for name in (ROWS_PARQUET, SAMPLES_PARQUET):
        if (path / name).is_file():
            replace_file(target / name, read_bytes(path / name, PARQUET_BYTES))
    replace_file(target / RUN_JSON, to_json(record))


def _drop_oldest(history: Path) -> None:
    found: Counter[tuple[str, ...]] = Counter()
    for path, place in _runs(history):
        found[place] += 1
        if found[place] > KEPT:
            shutil.rmtree(path)


def _runs(history: Path) -> list[tuple[Path, tuple[str, ...]]]:
    """The runs that are kept and the place of each, the newest first: their ids sort by time."""
    if not is_there(history):
        return []
    paths = runs_in(history)[::-1]
    records = ((path, RunFolder.open(path).read()) for path in paths)
    return [(path, tuple(str(record.get(name) or "") for name in PLACE)) for path, record in records]
