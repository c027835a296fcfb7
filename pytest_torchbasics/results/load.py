"""Reading results back: `load(path)` of run folders, results folders, Parquet files and journals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from .collect import RUN_JSON, collect
from .errors import ResultError
from .files import sha256_of
from .journal import read_journal
from .rows import Row
from .safe import PARQUET_BYTES, is_there
from .store import ROWS_PARQUET, RunFolder, status_of

if TYPE_CHECKING:
    import pandas as pd

    from .columns import Columns

Source = Union[str, "Path", "Iterable[str | Path]"]


def load(path: Source, long: bool = False) -> pd.DataFrame:
    """The rows of one or several runs as a tidy frame.

    Args:
        path: a run folder, a results folder (with runs/) or the URL of one (`s3://...`, by fsspec), a
            rows.parquet, a rows.jsonl journal, a CSV that `torchbasics show` wrote, a JSON of pytest-benchmark, or
            several of them.
            A run that was killed is read from its journals: what was running is `crashed`, the rest `not_run`.
        long: one row per metric instead of one per check or phase.

    Returns:
        Keys, outcome, metrics with the unit in the column's name (`median_s`), and the facts of the run. Phase,
        device, dtype and outcome are ordered.

    Raises:
        ResultError: something cannot be read; the message says what, where and what to do.
    """
    from .wide import long_frame, wide_frame

    found = [read_columns(source) for source in sources(path)]
    return long_frame(found) if long else wide_frame(found)


def sources(path: Source) -> list[Path]:
    """The run folders and files that a path, or each of several, stands for.

    Raises:
        ResultError: there is nothing.
    """
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    found = [source for item in paths for source in _expand(local(item))]
    unique = list(dict.fromkeys(Path(os.path.realpath(source)) for source in found))
    if not unique:
        raise ResultError("no results were given: name a run folder, a results folder, or a file")
    return unique


def local(path: str | Path) -> Path:
    """The path; of a URL its mirror, brought up to date.

    Raises:
        ResultError: the URL cannot be reached.
    """
    from .remote import fetched, is_url

    return fetched(str(path)) if is_url(str(path)) else Path(path)


def _expand(path: Path) -> Sequence[Path]:
    if not is_there(path):
        raise ResultError("is not there", path)
    if not path.is_dir() or (path / RUN_JSON).exists():
        return [path]
    inner = path / "runs" if (path / "runs").is_dir() else path
    runs = sorted(folder for folder in inner.iterdir() if not folder.is_symlink() and (folder / RUN_JSON).is_file())
    if not runs:
        raise ResultError("holds no run: there is no run.json in it, nor in a folder of runs/", path)
    return runs


def read_columns(path: Path) -> Columns:
    """The rows of one run folder or file.

    Raises:
        ResultError: it cannot be read.
    """
    from .columns import columns_of
    from .importing import read_benchmark_json, read_csv

    if path.is_dir():
        return _of_folder(RunFolder.open(path))
    if path.suffix == ".parquet":
        return _of_parquet(path)
    if path.suffix == ".jsonl":
        return _of_journal(path)
    if path.name == RUN_JSON:
        return _of_folder(RunFolder.open(path.parent))
    if path.suffix == ".csv":
        return columns_of(read_csv(path), path)
    if path.suffix == ".json":
        record, rows = read_benchmark_json(path)
        return _of_rows(rows, record, path)
    raise ResultError(
        f"is of no kind that is read ({path.suffix or 'no ending'}); give a run folder, a .parquet, a .jsonl, a .csv "
        "or the .json of pytest-benchmark",
        path,
    )


def _of_parquet(path: Path) -> Columns:
    """A table; one that still stands in the folder of its run must be the one that the run wrote."""
    is_of_run = path.name == ROWS_PARQUET and (path.parent / RUN_JSON).is_file()
    return _written(path, _entry(RunFolder.open(path.parent)) if is_of_run else None)


def _of_folder(folder: RunFolder) -> Columns:
    path = folder.path / ROWS_PARQUET
    entry = _entry(folder)
    if entry is None or not path.exists():
        return _from_journals(folder, folder.journals())
    return _written(path, entry)


def _entry(folder: RunFolder) -> Mapping[str, Any] | None:
    """What run.json says of the table that the run wrote."""
    entry: Mapping[str, Any] | None = (folder.read().get("files") or {}).get(ROWS_PARQUET)
    return entry


def _written(path: Path, entry: Mapping[str, Any] | None) -> Columns:
    from .columns import open_parquet

    if entry is not None and sha256_of([path], PARQUET_BYTES) != entry.get("sha256"):
        raise ResultError(
            f"is not the file that the run wrote (its hash differs). The journal beside it has the rows: "
            f"delete {path.name} and load the folder again",
            path,
        )
    return open_parquet(path)


def _of_journal(path: Path) -> Columns:
    """A journal with what the run.json beside it knows; alone, only its rows and what was running."""
    if (path.parent / RUN_JSON).is_file():
        folder = RunFolder.open(path.parent)
        worker_only = len(folder.journals()) > 1
        return _from_journals(folder, [path], planned=not worker_only)
    record = {"run_id": read_journal(path).run_id or path.stem}
    return _of_rows(collect(record, path.parent, [path]).rows, record, path)


def _from_journals(folder: RunFolder, journals: Sequence[Path], planned: bool = True) -> Columns:
    record = folder.read()
    if not planned:
        record["plan"] = None
    told = record.get("status")
    running = told == "running" and status_of(folder) == "running"
    status = "interrupted" if told == "interrupted" else None
    return _of_rows(collect(record, folder.path, journals, status, running).rows, record, folder.path)


def _of_rows(rows: Sequence[Row], record: Mapping[str, Any], path: Path) -> Columns:
    from .columns import columns_of
    from .table import rows_table

    return columns_of(rows_table(rows, record), path)
