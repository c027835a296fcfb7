"""Many runs in one results folder: their union by run id, whatever order they come in.

A run is never changed, nothing is averaged and no samples are pooled. Merging is commutative, associative and
idempotent. Of a leg's shard that a CI ran again the highest attempt counts; what it supersedes is kept beside. What a
plan expects and what never arrived becomes rows that say `not_run`: a hole must be a row.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .collect import RUN_JSON, planned_cells
from .errors import ResultError
from .files import replace_file, sha256, sha256_of, to_json
from .plan import Expected, Plan
from .rows import Cell, Row
from .safe import JOURNAL_BYTES, check_name, is_there
from .store import LATEST, ROWS_PARQUET, SAMPLES_PARQUET, SCHEMA, RunFolder, ci_run, seal, status_of

RUNS, SUPERSEDED = "runs", "superseded"
#: Begins the ids of runs that never arrived; sorts before every run, so that none of them is the latest.
PLACEHOLDER = "0-missing-"
#: Of a results folder; more than any fleet has, fewer than would take minutes to look through.
MOST_RUNS = 100_000


class Contradiction(ResultError):
    """Two results of the same run that cannot both be true."""


@dataclass(frozen=True)
class Merged:
    """What a merge came to.

    Attributes:
        runs: ids of the runs in the folder now.
        rows: how many rows the finished ones of them have.
        duplicates: how many of the sources were there twice, or in the folder already.
        superseded: ids of runs that a higher attempt replaced.
        expected: how many legs' shards the plan names.
        missing: the (leg, shard) of those that did not arrive.
        removed: ids that were among the runs of the folder and are not any more: superseded, or arrived.
        unfinished: ids of runs that did not end as planned, and their status.
    """

    runs: tuple[str, ...]
    rows: int
    duplicates: int
    superseded: tuple[str, ...]
    expected: int
    missing: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]
    unfinished: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Found:
    """A run in one of the sources.

    Attributes:
        folder: where it is.
        record: its run.json.
        digest: of its rows.
        place: where the user finds it, for messages.
    """

    folder: RunFolder
    record: dict[str, Any]
    digest: str
    place: Path

    @property
    def is_placeholder(self) -> bool:
        """True for the rows of a leg that did not arrive."""
        return self.record.get("placeholder") is True

    @property
    def is_imported(self) -> bool:
        """True if it was read from a table, which says less than the folder of the run."""
        return self.record.get("imported") is True

    @property
    def slot(self) -> tuple[str, str, str]:
        """Where it belongs: the CI's run, the leg and the shard."""
        ci, leg, shard = (str(self.record.get(key) or "") for key in ("ci_run", "leg", "shard"))
        return ci, leg, shard

    @property
    def kinds(self) -> frozenset[str]:
        """What it is of: `check`, `timing`; a leg makes a run of each."""
        told = self.record.get("kinds")
        if isinstance(told, list):
            return frozenset(map(str, told))
        return frozenset(cell.kind for cell, _ in planned_cells(self.record, self.folder.path) or [])

    @property
    def attempt(self) -> int:
        """Which attempt of the CI it was."""
        attempt = self.record.get("attempt")
        return attempt if isinstance(attempt, int) else 1

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Of two states of one run the later one is larger: whole, ended, and how much of it."""
        status, ended = self.record.get("status"), self.record.get("ended")
        return status == "complete", status != "running", ended if isinstance(ended, int) else 0


def merge(sources: Sequence[Path], out: Path, plan: Plan | None = None) -> Merged:
    """Put the runs of all sources into one results folder.

    Args:
        sources: results folders, run folders, or folders of artifacts, which are searched for runs; files that `load`
            reads, pytest-benchmark's JSON too.
        out: the results folder; what is in it already stays.
        plan: what must have arrived, in the sources.

    Raises:
        Contradiction: a run is there in two versions.
        ResultError: something cannot be read or written.
    """
    with _workshop(out) as workshop:
        given = [run for source in sources for run in _runs_of(source, workshop)]
        there = list(_folders(out))
        if not given:
            raise ResultError(f"no run was found in {', '.join(map(str, sources)) or 'nothing'}")
        placeholders = [] if plan is None else list(_placeholders(plan, given, workshop))
        renewed = {run.folder.run_id for run in placeholders}
        chosen = [run for run in _united([*given, *there]) if run.folder.run_id not in renewed]
        kept, superseded = _latest_attempts([*chosen, *placeholders])
        for run in kept:
            _place(run, out / RUNS, workshop)
        for run in superseded:
            _place(run, out / SUPERSEDED, workshop)
        removed = _remove_others(out, kept)
    ids = tuple(sorted(run.folder.run_id for run in kept))
    replace_file(out / LATEST, f"{ids[-1]}\n".encode())
    records = {run_id: RunFolder.open(out / RUNS / run_id).read() for run_id in ids}
    states = [(run_id, str(record.get("status"))) for run_id, record in records.items() if "placeholder" not in record]
    return Merged(
        runs=ids,
        rows=sum(_rows_told(record) for record in records.values()),
        duplicates=len(given) - len({run.folder.run_id for run in given}),
        superseded=tuple(sorted(run.folder.run_id for run in superseded if not run.is_placeholder)),
        expected=0 if plan is None else len(plan.legs),
        missing=tuple(sorted(run.slot[1:] for run in placeholders)),
        removed=removed,
        unfinished=tuple(sorted((run_id, status) for run_id, status in states if status != "complete")),
    )


def _rows_told(record: Mapping[str, Any]) -> int:
    """How many rows a run.json says that its table has; it may say nothing."""
    entry = (record.get("files") or {}).get(ROWS_PARQUET) or {}
    return int(entry.get("rows") or 0)


def _united(runs: Iterable[Found]) -> list[Found]:
    """Each run once, in its latest state."""
    found: dict[str, Found] = {}
    for run in runs:
        other = found.setdefault(run.folder.run_id, run)
        if other.is_imported != run.is_imported:
            found[run.folder.run_id] = other if run.is_imported else run
            continue
        if other.digest != run.digest and other.rank == run.rank and not run.is_placeholder:
            raise Contradiction(
                f"the run {run.folder.run_id} is there twice with different rows: {other.place} and {run.place}. "
                "Leave out the one that was changed"
            )
        found[run.folder.run_id] = max(other, run, key=lambda found: (found.rank, found.digest))
    return list(found.values())


def _latest_attempts(runs: Sequence[Found]) -> tuple[list[Found], list[Found]]:
    """The runs that count, and those that a higher attempt supersedes; a placeholder yields to any run."""
    highest: dict[tuple[str, str, str, str], int] = {}
    for run in runs:
        for kind in () if run.is_placeholder else run.kinds:
            place = (*run.slot, kind)
            highest[place] = max(run.attempt, highest.get(place, 0))
    counts, superseded = [], []
    for run in runs:
        if run.is_placeholder:
            arrived = {place[3] for place in highest if place[:3] == run.slot}
            counts += [run] if not arrived or run.kinds - arrived else []
        elif not run.slot[1] or not run.kinds or run.attempt in _of(highest, run):
            counts.append(run)
        else:
            superseded.append(run)
    return counts, superseded


def _of(highest: Mapping[tuple[str, str, str, str], int], run: Found) -> set[int]:
    """The highest attempts of what a run is of."""
    return {attempt for place, attempt in highest.items() if place[:3] == run.slot and place[3] in run.kinds}


# Finding runs


def _runs_of(source: Path, workshop: Path) -> list[Found]:
    if not is_there(source):
        raise ResultError("is not there", source)
    if source.is_dir():
        return list(_folders(source))
    if source.name == RUN_JSON:
        return [_found(source.parent)]
    from .importing import as_runs

    return [_found(folder, source) for folder in as_runs(source, workshop)]


def _folders(folder: Path) -> Iterable[Found]:
    """The run folders below a folder, those of hidden folders and behind links left out."""
    count = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RUN_JSON in files:
            folders.clear()
            count += 1
            if count > MOST_RUNS:
                raise ResultError(f"holds more than {MOST_RUNS:,} runs; merge a part of it", folder)
            yield _found(Path(parent))


def _found(path: Path, place: Path | None = None) -> Found:
    folder = RunFolder.open(path)
    check_name(folder.run_id, "the run id")
    record = folder.read()
    if status_of(folder) == "damaged":
        raise ResultError("its files are not those that the run wrote; merge a copy without its rows.parquet", path)
    entry = (record.get("files") or {}).get(ROWS_PARQUET)
    if isinstance(entry, dict) and (path / ROWS_PARQUET).is_file():
        return Found(folder, record, str(entry.get("sha256")), place or path)
    return Found(folder, record, sha256_of(folder.journals(), JOURNAL_BYTES), place or path)


# Writing


@contextlib.contextmanager
def _workshop(out: Path) -> Any:
    """A hidden folder on the same disk, where runs are made whole before they get their name."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        workshop = out / f".merging-{secrets.token_hex(4)}"
        workshop.mkdir()
    except OSError as error:
        raise ResultError(f"cannot be written: {error.strerror or error}", out) from None
    try:
        yield workshop
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _place(run: Found, root: Path, workshop: Path) -> None:
    """The run as a folder of `root`, whole or not at all."""
    target = root / run.folder.run_id
    is_there = RunFolder.is_at(target) and _found(target).digest == run.digest
    # One that was killed is finished now; one that goes on is its own process's to finish.
    if is_there and ((target / ROWS_PARQUET).is_file() or status_of(target) == "running"):
        return
    copy = workshop / f"{run.folder.run_id}-{secrets.token_hex(4)}"
    copy.mkdir()
    try:
        for name in (RUN_JSON, ROWS_PARQUET, SAMPLES_PARQUET):
            if (run.folder.path / name).is_file():
                shutil.copyfile(run.folder.path / name, copy / name)
        for journal in run.folder.journals():
            shutil.copyfile(journal, copy / journal.name)
        made = RunFolder.open(copy)
        if not (copy / ROWS_PARQUET).is_file():
            seal(made)
        root.mkdir(exist_ok=True)
        if target.exists():  # an earlier state of the same run
            os.replace(target, workshop / f"{target.name}-old-{secrets.token_hex(4)}")
        os.replace(copy, target)
    except OSError as error:
        raise ResultError(f"cannot be written: {error.strerror or error}", target) from None


def _remove_others(out: Path, kept: Sequence[Found]) -> tuple[str, ...]:
    """Take out of runs/ what was superseded and now stands beside, and placeholders of what has arrived."""
    names = {run.folder.run_id for run in kept}
    others = [path for path in sorted((out / RUNS).iterdir()) if path.name not in names and RunFolder.is_at(path)]
    for folder in others:
        shutil.rmtree(folder)
    return tuple(folder.name for folder in others)


# What never arrived


def _placeholders(plan: Plan, given: Sequence[Found], workshop: Path) -> Iterable[Found]:
    """A run of `not_run` rows for each leg's shard that is not there, or whose checks or times are not."""
    runs = [run for run in given if not run.is_placeholder]
    # Which run of the CI it is about: what the plan or the machine says, else that of the newest run.
    newest = max(runs, key=lambda run: run.folder.run_id).slot[0] if runs else ""
    of = plan.ci_run or ci_run() or newest
    arrived: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        if run.slot[0] == of:
            arrived.setdefault(run.slot[1:], set()).update(run.kinds)
    for expected in plan.legs:
        here = arrived.get((expected.leg, expected.shard))
        missing = [kind for kind in expected.kinds if here is not None and kind not in here]
        if here is None or missing:
            cells = _cells(expected, [run for run in runs if run.slot[0] == of])
            kept = [cell for cell in cells if here is None or cell.kind in missing]
            yield _placeholder(expected, of, kept or _whole(expected, missing), missing, workshop)


def _cells(expected: Expected, given: Sequence[Found]) -> list[Cell]:
    """What the leg should have measured: as planned, else what others planned of the same shard, on its device."""
    if expected.cells:
        return list(expected.cells)
    others = [run for run in given if run.slot[2] == expected.shard]
    planned = [cell for run in others for cell, _ in planned_cells(run.record, run.folder.path) or []]
    moved = (replace(cell, device=expected.device or cell.device) for cell in planned)
    return list(dict.fromkeys(moved))


def _whole(expected: Expected, kinds: Sequence[str]) -> list[Cell]:
    """Cells that stand for a leg of which nothing more is known."""
    return [Cell(kind, "(the whole leg)", "", "", "", expected.device, "", 0) for kind in kinds or ["check"]]


def _placeholder(expected: Expected, of: str, cells: Sequence[Cell], missing: Sequence[str], workshop: Path) -> Found:
    """The run of what is missing of a leg's shard: all of it, or its checks or its times."""
    from .table import parquet_bytes, rows_table

    shard = f", shard {expected.shard}," if expected.shard else ""
    what = f" ({' and '.join(missing)})" if missing else ""
    reason = f"the leg {expected.leg}{shard} never arrived{what}"
    rows = [Row(cell, "not_run", reason=reason, reason_code="never_arrived") for cell in sorted(cells, key=_key)]
    named = hashlib.sha256(repr((of, expected.leg, expected.shard)).encode()).hexdigest()[:12]
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "run_id": f"{PLACEHOLDER}{named}",
        "status": "incomplete",
        "placeholder": True,
        "kinds": list(missing),
        "ci_run": of,
        "leg": expected.leg,
        "shard": expected.shard,
        "planned": len(rows),
        "ended": 0,
        "counts": {"not_run": len(rows)},
    }
    data = parquet_bytes(rows_table(rows, record))
    record["files"] = {ROWS_PARQUET: {"sha256": sha256(data), "rows": len(rows), "bytes": len(data)}}
    folder = workshop / record["run_id"]
    folder.mkdir()
    replace_file(folder / ROWS_PARQUET, data)
    replace_file(folder / RUN_JSON, to_json(record))
    return _found(folder)


def _key(cell: Cell) -> tuple[Any, ...]:
    return tuple(vars(cell).values())
