"""Reading results back: `load(path)` of run folders, results folders, Parquet files and journals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from .collect import RUN_JSON, collect
from .errors import ResultError
from .files import sha256
from .journal import read_journal
from .rows import Row
from .safe import read_bytes
from .store import ROWS_PARQUET, RunFolder, status_of

if TYPE_CHECKING:
    import pandas as pd

Source = Union[str, "Path", "Iterable[str | Path]"]


def load(path: Source, long: bool = False) -> pd.DataFrame:
    """The rows of one or several runs as a tidy frame.

    Args:
        path: a run folder, a results folder (with runs/), a rows.parquet, a rows.jsonl journal, or several of them.
            A run that was killed is read from its journals: what was running is `crashed`, the rest `not_run`.
        long: one row per metric instead of one per check or phase.

    Returns:
        Keys, outcome, metrics with the unit in the column's name (`median_s`), and the facts of the run. Phase,
        device, dtype and outcome are ordered.

    Raises:
        ResultError: something cannot be read; the message says what, where and what to do.
    """
    import pyarrow as pa

    from .wide import long_frame, wide_frame

    tables = [table for source in sources(path) for table in [_table(source)]]
    table = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="default")
    table = table.unify_dictionaries()
    return long_frame(table) if long else wide_frame(table)


def sources(path: Source) -> list[Path]:
    """The run folders and files that a path, or each of several, stands for.

    Raises:
        ResultError: there is nothing.
    """
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    found = [source for item in paths for source in _expand(Path(item))]
    unique = list(dict.fromkeys(source.resolve() for source in found))
    if not unique:
        raise ResultError("no results were given: name a run folder, a results folder, or a file")
    return unique


def _expand(path: Path) -> Sequence[Path]:
    if not path.exists():
        raise ResultError("is not there", path)
    if not path.is_dir() or (path / RUN_JSON).exists():
        return [path]
    inner = path / "runs" if (path / "runs").is_dir() else path
    runs = sorted(folder for folder in inner.iterdir() if not folder.is_symlink() and (folder / RUN_JSON).is_file())
    if not runs:
        raise ResultError("holds no run: there is no run.json in it, nor in a folder of runs/", path)
    return runs


def _table(path: Path) -> Any:
    from .table import read_parquet

    if path.is_dir():
        return _folder_table(RunFolder.open(path))
    if path.suffix == ".parquet":
        return read_parquet(path)
    if path.suffix == ".jsonl":
        return _journal_table(path)
    if path.name == RUN_JSON:
        return _folder_table(RunFolder.open(path.parent))
    raise ResultError(
        f"is of no kind that is read ({path.suffix or 'no ending'}); give a run folder, a .parquet or a .jsonl", path
    )


def _folder_table(folder: RunFolder) -> Any:
    from .table import read_parquet

    path = folder.path / ROWS_PARQUET
    entry = (folder.read().get("files") or {}).get(ROWS_PARQUET)
    if not isinstance(entry, dict) or not path.exists():
        return _from_journals(folder, folder.journals())
    if sha256(read_bytes(path, 1 << 40)) != entry.get("sha256"):
        raise ResultError(
            f"is not the file that the run wrote (its hash differs). The journal beside it has the rows: "
            f"delete {path.name} and load the folder again",
            path,
        )
    return read_parquet(path)


def _journal_table(path: Path) -> Any:
    """A journal with what the run.json beside it knows; alone, only its rows and what was running."""
    if (path.parent / RUN_JSON).is_file():
        folder = RunFolder.open(path.parent)
        worker_only = len(folder.journals()) > 1
        return _from_journals(folder, [path], planned=not worker_only)
    from .table import rows_table

    record = {"run_id": read_journal(path).run_id or path.stem}
    return rows_table(collect(record, path.parent, [path]).rows, record)


def _from_journals(folder: RunFolder, journals: Sequence[Path], planned: bool = True) -> Any:
    from .table import rows_table

    record = folder.read()
    if not planned:
        record["plan"] = None
    told = record.get("status")
    running = told == "running" and status_of(folder) == "running"
    status = "interrupted" if told == "interrupted" else None
    rows: tuple[Row, ...] = collect(record, folder.path, journals, status, running).rows
    return rows_table(rows, record)
