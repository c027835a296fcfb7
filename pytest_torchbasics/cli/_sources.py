"""What the commands' arguments stand for: paths, ids of runs or the beginning of one, `latest`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..results.collect import RUN_JSON, runs_in
from ..results.errors import ResultError
from ..results.load import load, local, sources
from ..results.merge import PLACEHOLDER
from ..results.remote import is_url
from ..results.safe import is_there, safe_text
from ..results.store import RunFolder, status_of

if TYPE_CHECKING:
    import pandas as pd

RESULTS = Path("results")
#: The legs of one run of a CI are all begun within this time.
DAYS = 3
LISTED = 5


@dataclass(frozen=True)
class Runs:
    """Runs that an argument stands for.

    Attributes:
        frame: their rows.
        paths: where they were read from.
        label: how they are called in a report.
        incomplete: why they are no whole runs; empty if they are.
    """

    frame: pd.DataFrame
    paths: tuple[Path, ...]
    label: str
    incomplete: str

    @property
    def about(self) -> dict[str, str]:
        """What a report says of them in its header."""
        return {
            "status": f"incomplete: {self.incomplete}" if self.incomplete else "complete",
            "files": ", ".join(map(str, self.paths)),
        }


def read_runs(arguments: Sequence[str], results: Path, single: bool = False) -> Runs:
    """Read what arguments stand for.

    Args:
        arguments: paths, run ids, beginnings of run ids, `latest`; several in one argument with commas between.
        results: the folder where runs are looked for by id.
        single: a results folder stands for its latest run; of a CI for all legs of the latest.

    Raises:
        ResultError: nothing is there, an id is not unique, or something cannot be read.
    """
    words = [word for argument in arguments for word in _split(argument)]
    paths = sources([path for word in words for path in find_runs(word, results, single)])
    frame = load(paths)
    ids = list(dict.fromkeys(frame["run_id"].astype(str)))
    where = str(paths[0]) if len(paths) == 1 else f"{len(paths)} runs"
    label = f"{', '.join(ids[:LISTED])}{' ...' if len(ids) > LISTED else ''}  ({where})"
    return Runs(frame, tuple(paths), label, _incomplete(frame, paths))


def find_runs(word: str, results: Path, single: bool = False) -> list[Path]:
    """The paths that one word stands for.

    Raises:
        ResultError: nothing is there, or the beginning of an id is not unique.
    """
    if word == "latest":
        return _latest(results)
    path = local(word)
    if is_there(path):
        is_root = path.is_dir() and not (path / RUN_JSON).exists() and (path / "runs").is_dir()
        return _latest(path) if single and is_root else [path]
    folder = results / "runs"
    runs = sorted(run.name for run in folder.iterdir() if (run / RUN_JSON).is_file()) if folder.is_dir() else []
    found = [run for run in runs if run.startswith(word)]
    if word in found or len(found) == 1:
        return [folder / (word if word in found else found[0])]
    if found:
        raise ResultError(f"{safe_text(word)!r} begins the ids of {len(found)} runs: {_few(found)}; write more of it")
    there = f"; there are {_few(runs[::-1])}" if runs else "; there are none (--results names the folder)"
    raise ResultError(f"{safe_text(word)!r} is no path, and no run of {folder} begins so{there}")


def _split(argument: str) -> list[str]:
    if is_url(argument) or is_there(Path(argument)) or "," not in argument:
        return [argument]
    return [word for word in argument.split(",") if word]


def _latest(results: Path) -> list[Path]:
    """The newest run, whether it finished or not. With it the other legs of the same CI run."""
    runs = runs_in(results)
    if not runs:
        raise ResultError("holds no run yet; pytest --results=DIR makes one, --results names another folder", results)
    ci_run = RunFolder.open(runs[-1]).read().get("ci_run")
    if not ci_run:
        return _legs(runs)
    near = [run for run in runs if run.name.startswith(PLACEHOLDER) or _day(run.name) >= _day(runs[-1].name) - DAYS]
    return [run for run in near if RunFolder.open(run).read().get("ci_run") == ci_run]


def _legs(runs: Sequence[Path]) -> list[Path]:
    """The newest run, and if it is of a leg the newest ones of the other legs: a fleet that was merged without a CI."""
    newest: dict[tuple[str, ...], Path] = {}
    for run in runs:
        record = RunFolder.open(run).read()
        if record.get("leg") and not record.get("ci_run"):
            newest[tuple(str(record.get(key) or "") for key in ("leg", "shard", "kinds"))] = run
    return sorted(newest.values()) if runs[-1] in newest.values() else list(runs[-1:])


def _day(run_id: str) -> int:
    """The day of a run, counted from some day; 0 for an id that does not tell."""
    try:
        return datetime.strptime(run_id[:8], "%Y%m%d").toordinal()
    except ValueError:
        return 0


def _incomplete(frame: pd.DataFrame, paths: Sequence[Path]) -> str:
    for path in paths:
        if not path.is_dir():
            continue
        status = status_of(RunFolder.open(path))
        if status == "damaged":
            journals = ", ".join(str(journal) for journal in RunFolder.open(path).journals())
            raise ResultError(
                f"its files are not those that the run wrote; name its journal to read that: {journals}", path
            )
        if status != "complete":
            return f"the run {path.name} is {status}"
    absent = int(frame["outcome"].isin(["not_run", "crashed"]).sum())
    return f"{absent} cells did not run to their end" if absent else ""


def _few(runs: Sequence[str]) -> str:
    return ", ".join(runs[:LISTED]) + (" ..." if len(runs) > LISTED else "")
