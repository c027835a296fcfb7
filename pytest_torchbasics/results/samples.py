"""Reading back the raw times of runs, and what their run.json tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import safe
from .collect import RUN_JSON, collect
from .columns import LIMITS, check_metadata
from .errors import ResultError
from .schema import KEYS
from .store import SAMPLES_PARQUET, RunFolder
from .table import unreadable

if TYPE_CHECKING:
    import pandas as pd

#: More samples than this are not read from one file.
SAMPLES = 100_000_000
COLUMNS = ("run_id", *KEYS, "nodeid", "samples_ns")


def load_samples(paths: Sequence[Path]) -> pd.DataFrame:
    """The raw times of run folders: a row per timed cell, with its keys, run and test, and `samples_ns` in order.

    Args:
        paths: of `sources`. Only folders have samples; those of a run that did not finish are in its journals.

    Raises:
        ResultError: a file cannot be read, or asks for too much.
    """
    import pandas as pd

    tables = [_samples(RunFolder.open(path)) for path in paths if path.is_dir()]
    frames = [table.to_pandas(ignore_metadata=True) for table in tables if table is not None]
    plain = [frame.astype({name: str for name in (*KEYS, "run_id") if name not in _NUMBERS}) for frame in frames]
    found: pd.DataFrame = pd.concat(plain, ignore_index=True) if plain else pd.DataFrame(columns=list(COLUMNS))
    return found


def run_records(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """What is in the run.json of run folders, or beside files of runs, by run id; without the plan.

    Raises:
        ResultError: a run.json cannot be read.
    """
    records = {}
    for path in paths:
        folder = path if path.is_dir() else path.parent
        if (folder / RUN_JSON).is_file():
            record = RunFolder.open(folder).read()
            record.pop("plan", None)
            records[str(record["run_id"])] = record
    return records


_NUMBERS = ("threads", "process")


def _samples(folder: RunFolder) -> Any:
    path = folder.path / SAMPLES_PARQUET
    if path.is_file():
        return _read(path)
    record = folder.read()
    if SAMPLES_PARQUET in (record.get("files") or {}):
        raise ResultError("is gone; the run wrote it", path)
    from .table import samples_table

    record["plan"] = None
    rows = [row for row in collect(record, folder.path, folder.journals()).rows if row.samples_ns]
    return samples_table(rows, folder.run_id) if rows else None


def _read(path: Path) -> Any:
    import pyarrow.parquet as pq

    size = safe.check_size(path, safe.PARQUET_BYTES)
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, **LIMITS) as file:
            check_metadata(file, path, size)
            _check(file, path)
            table = file.read(list(COLUMNS))
            table.validate(full=True)
            return table
    except ResultError:
        raise
    except Exception as error:  # Arrow raises a dozen types, and others, for one broken byte; only the read is here
        raise unreadable(path, error) from None


def _check(file: Any, path: Path) -> None:
    missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
    if missing:
        raise ResultError(f"lacks the columns {', '.join(missing)}", path)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    values = sum(group.column(number).num_values for group in groups for number in range(group.num_columns))
    if values > SAMPLES:
        raise ResultError(f"holds {values:,} values; at most {SAMPLES:,} are read", path)
