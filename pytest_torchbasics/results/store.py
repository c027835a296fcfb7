"""The folder of a run: made and checked before anything is measured, finished from the journals at the end.

    <root>/runs/<run_id>/run.json        environment, plan of expected cells, status, hashes of the files
                         rows.jsonl      the journal (rows-gw0.jsonl ... under xdist); it stays
                         rows.parquet    all rows, written at the end
                         samples.parquet raw times
    <root>/LATEST                        the id of the run that finished last

Green is a positive record: a run is `complete` only if every cell of its plan ended.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .collect import RUN_JSON, collect, planned_cells
from .environment import env_id, environment, machine_key
from .errors import ResultError
from .files import replace_file, sha256, sha256_of, to_json
from .journal import read_journal
from .process import identity, is_alive
from .record import check_record
from .rows import CELL_KEYS, OUTCOMES, Cell
from .safe import PARQUET_BYTES, check_name, is_schema, read_json, without_home

SCHEMA = 1
ROWS_PARQUET, SAMPLES_PARQUET, LATEST = "rows.parquet", "samples.parquet", "LATEST"
#: Less than this free, and a run would end in a rescue file.
FREE_BYTES = 10 << 20
#: Variables in which CIs tell which run the legs belong to; the first is for those that have none.
CI_RUNS = ("TORCHBASICS_CI_RUN", "GITHUB_RUN_ID", "CI_PIPELINE_ID", "CIRCLE_WORKFLOW_ID", "BUILD_BUILDID")
#: `running` is what run.json says until the end; `damaged` is what `status_of` says of altered files.
STATUSES = ("running", "complete", "incomplete", "interrupted", "crashed", "damaged")


def new_run_id() -> str:
    """An id that sorts by time and needs no coordination: `20261123T100102Z-5f3a9c1e`."""
    return f"{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run.

    Attributes:
        path: the folder.
        run_id: its id.
    """

    path: Path
    run_id: str

    @classmethod
    def create(
        cls,
        root: Path | str,
        run_id: str | None = None,
        *,
        argv: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        leg: str = "",
        shard: str = "",
        attempt: int | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> RunFolder:
        """Make `<root>/runs/<run_id>/` with its run.json, which also proves that it can be written to.

        Args:
            root: the results folder.
            run_id: a new one by default.
            argv: the command line.
            settings: what the options came to.
            leg: the leg of a CI matrix.
            shard: `1/4`.
            attempt: of a CI job that is run again; by default GitHub's number, else 1.
            record: of the environment; made if it is not given.

        Raises:
            ResultError: it cannot be written to; nothing was measured yet.
        """
        root = Path(os.path.abspath(root))
        run_id = check_name(run_id or new_run_id(), "the run id")
        if leg:
            check_name(leg, "the leg")
        folder = cls(root / "runs" / run_id, run_id)
        _make(folder.path)
        record = environment() if record is None else record
        folder.write(
            {
                "schema": SCHEMA,
                "run_id": run_id,
                "status": "running",
                "started_at": _now(),
                "argv": [without_home(word) for word in argv],
                "settings": dict(settings or {}),
                "leg": leg,
                "shard": shard,
                "attempt": attempt or _attempt(),
                "ci_run": ci_run(),
                **identity(),
                "machine_key": machine_key(record),
                "env_id": env_id(record),
                "environment": dict(record),
                "plan": None,
            }
        )
        return folder

    @staticmethod
    def is_at(path: Path) -> bool:
        """True if a run was begun in this folder."""
        return (path / RUN_JSON).is_file()

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """An existing run folder.

        Raises:
            ResultError: there is no run in it.
        """
        folder = cls(Path(os.path.abspath(path)), "")
        return cls(folder.path, str(folder.read()["run_id"]))

    def journal_path(self, worker: str = "") -> Path:
        """Where a process journals: `rows.jsonl`, or `rows-gw0.jsonl` for an xdist worker."""
        return self.path / (f"rows-{check_name(worker, 'the worker')}.jsonl" if worker else "rows.jsonl")

    def journals(self) -> list[Path]:
        """The journals that are there."""
        return sorted(path for path in self.path.glob("rows*.jsonl") if path.is_file() and not path.is_symlink())

    def write_plan(self, cells: Sequence[Cell], nodeids: Sequence[str] = ()) -> None:
        """Write which cells are expected, and of which tests if that is known, in place of an earlier plan.

        Raises:
            ResultError: run.json cannot be written.
        """
        tests = nodeids or [""] * len(cells)
        planned = [
            [*(getattr(cell, key) for key in CELL_KEYS), nodeid] for cell, nodeid in zip(cells, tests, strict=True)
        ]
        plan = {"columns": [*CELL_KEYS, "nodeid"], "cells": planned}
        self.write({**self.read(), "plan": plan})

    def read(self) -> dict[str, Any]:
        """The content of run.json.

        Raises:
            ResultError: it is not there, not readable, of a newer version, or a field of it is of the wrong type.
        """
        path = self.path / RUN_JSON
        if not path.exists():
            raise ResultError("is no run folder: it has no run.json", self.path)
        record = read_json(path)
        if not isinstance(record, dict) or not isinstance(record.get("run_id"), str):
            raise ResultError("is not the record of a run: it has no 'run_id'", path)
        if not is_schema(record.get("schema"), SCHEMA):
            raise ResultError(
                f"written with schema {record.get('schema')!r:.20}, this version reads up to {SCHEMA}: "
                "pip install --upgrade pytest-torchbasics",
                path,
            )
        check_record(record, path)
        return record

    def write(self, record: Mapping[str, Any]) -> None:
        """Replace run.json."""
        replace_file(self.path / RUN_JSON, to_json(record))

    def has_rows(self) -> bool:
        """True if the run planned or journaled anything."""
        return bool(planned_cells(self.read(), self.path)) or any(
            contents.rows or contents.open_cells or contents.problems for contents in map(read_journal, self.journals())
        )

    def discard(self) -> None:
        """Remove the folder of a run that had nothing to do."""
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # other runs are in it
            self.path.parent.rmdir()


def finalise(folder: RunFolder, status: str | None = None, extra_journals: Sequence[Path] = ()) -> str:
    """Write the final files of a run in a results folder, and note it there as the one that finished last.

    Args, returns, raises: as `seal`.
    """
    status = seal(folder, status, extra_journals)
    replace_file(folder.path.parent.parent / LATEST, f"{folder.run_id}\n".encode())
    return status


def seal(folder: RunFolder, status: str | None = None, extra_journals: Sequence[Path] = ()) -> str:
    """Write the final files of a run from its journals; also of one that was killed, and again if asked to.

    Args:
        folder: the run.
        status: `interrupted` if it was; by default what the journals show.
        extra_journals: rescue files outside the folder.

    Returns:
        The status. `complete` only if every planned cell ended.

    Raises:
        ResultError: a file cannot be written. The journals are still there.
    """
    from .table import parquet_bytes, parquet_rows, rows_table, samples_table

    record = folder.read()
    for torn in folder.path.glob(".*.tmp"):  # of a process that died here
        torn.unlink(missing_ok=True)
    if "files" in record:  # a death between the new tables and the new record must not look like damage
        record = {key: value for key, value in record.items() if key != "files"}
        folder.write({**record, "status": "running"})
    collected = collect(record, folder.path, [*folder.journals(), *extra_journals], status)
    files: dict[str, dict[str, Any]] = {}
    tables = {ROWS_PARQUET: rows_table(collected.rows, record)}
    if any(row.samples_ns for row in collected.rows):
        tables[SAMPLES_PARQUET] = samples_table(collected.rows, folder.run_id)
    for name, table in tables.items():
        data = parquet_bytes(table)
        replace_file(folder.path / name, data)
        if parquet_rows(folder.path / name) != len(table):
            raise ResultError("has fewer rows than were written to it", folder.path / name)
        files[name] = {"sha256": sha256(data), "rows": len(table), "bytes": len(data)}
    counts = Counter(row.outcome for row in collected.rows)
    final = {
        **record,
        "status": collected.status,
        "finished_at": _now(),
        "planned": collected.planned,
        "ended": collected.ended,
        "counts": {outcome: counts[outcome] for outcome in OUTCOMES if counts[outcome]},
        "problems": list(collected.problems),
        "kinds": sorted({row.cell.kind for row in collected.rows}),
        "files": files,
    }
    folder.write(final)
    return collected.status


def status_of(folder: RunFolder | Path | str) -> str:
    """The true status of a run.

    `crashed` for one that says `running` and whose process is gone; `damaged` if a final file is not the one that
    was written; else what run.json says.

    Raises:
        ResultError: there is no run.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder.open(folder)
    record = folder.read()
    status = record.get("status")
    if status == "running":
        return "running" if is_alive(record) else "crashed"
    if status not in STATUSES or any(_differs(folder.path / name, entry) for name, entry in _files(record).items()):
        return "damaged"
    return str(status)


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True)
        free = shutil.disk_usage(path).free
    except (FileExistsError, NotADirectoryError):
        found = next(parent for parent in (path, *path.parents) if _is_there(parent))
        message = "is there already" if found == path else "is a file; results need a folder of that name"
        raise ResultError(f"{message}; nothing was measured. Choose another folder with --results", found) from None
    except OSError as error:
        raise ResultError(
            f"cannot be made: {error.strerror or error}; nothing was measured. Choose a folder that can be written to",
            path,
        ) from None
    if free < FREE_BYTES:
        path.rmdir()
        raise ResultError(f"only {free / 2**20:.1f} MiB of disk are free; nothing was measured. Free some first", path)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except NotADirectoryError:
        return False


def _differs(path: Path, entry: Mapping[str, Any]) -> bool:
    try:
        return sha256_of([path], PARQUET_BYTES) != entry.get("sha256")
    except ResultError:
        return True


def _files(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    files = record.get("files")
    known = (ROWS_PARQUET, SAMPLES_PARQUET)
    if not isinstance(files, dict):
        return {}
    return {name: entry for name, entry in files.items() if name in known and isinstance(entry, dict)}


def ci_run() -> str:
    """The number that this machine's CI gives the run that all its legs belong to; empty outside a CI."""
    found = next((os.environ[name] for name in CI_RUNS if os.environ.get(name)), "")
    return found if found.isascii() and found.isprintable() and len(found) < 100 else ""


def _attempt() -> int:
    given = os.environ.get("GITHUB_RUN_ATTEMPT", "1")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 1


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
