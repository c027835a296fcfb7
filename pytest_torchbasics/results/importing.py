"""Files that are no run folder: our own tables as CSV, and pytest-benchmark's JSON."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import safe
from .collect import RUN_JSON
from .errors import ResultError
from .files import replace_file, sha256, to_json
from .rows import CELL_KEYS, CELL_TEXTS, Cell, MetricValue, Row
from .schema import CATEGORIES, HEADLINE, METADATA, MetricColumn, arrow_types, metric_field

#: Units at the end of a metric column's name.
UNITS = ("s", "bytes", "Hz", "W", "degC")
#: What pytest-benchmark calls its statistics and what they are here.
STATISTICS = {"median": HEADLINE, "min": "min", "mean": "mean", "max": "max", "stddev": "stddev"}


def read_csv(path: Path) -> Any:
    """A wide table that `torchbasics show --format csv` or pandas wrote, as an Arrow table.

    Text stays text: a commit `1234e56`, a version `2.10`, a case `NA`.

    Raises:
        ResultError: it cannot be read, or lacks columns.
    """
    import pyarrow as pa
    from pyarrow import csv

    from .table import unreadable

    safe.check_size(path, safe.JSON_BYTES)
    try:
        with path.open("rb") as file:
            names = csv.read_csv(
                pa.BufferReader(file.readline(safe.MIB) or b"\n"),
                parse_options=csv.ParseOptions(newlines_in_values=True),
            ).column_names
        texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
        table = csv.read_csv(path, csv.ReadOptions(), csv.ParseOptions(newlines_in_values=True), texts)
    except Exception as error:  # Arrow raises several types for a broken byte; only the read is here
        raise unreadable(path, error, "CSV") from None
    if {"metric", "value"} <= set(names):
        raise ResultError("has a row for each metric; write the table without --long to read it again", path)
    if len(set(names)) < len(names) or not {"case", "kind", "outcome"} <= set(names):
        raise ResultError("is no table of torchbasics: it needs the columns kind, case and outcome, each once", path)
    fields, arrays = [], []
    for name, type_ in arrow_types().items():
        values = table[name].to_pylist() if name in names else [_absent(name)] * len(table)
        fields.append(pa.field(name, type_))
        arrays.append(_column(values, name, type_, path))
    for name in names:
        if name not in arrow_types() and name != "better":
            field = metric_field(_metric(name), name)
            fields.append(field)
            arrays.append(pa.array([_number(value, name, path) for value in table[name].to_pylist()], field.type))
    return pa.table(arrays, schema=pa.schema(fields, metadata=METADATA))


def read_benchmark_json(path: Path) -> tuple[dict[str, Any], list[Row]]:
    """The record and the rows of a JSON file of pytest-benchmark.

    Benchmarks of our `measure` carry their cell in `extra_info`; of others, the test's name is the case and the axes
    that are not known are empty.

    Raises:
        ResultError: it cannot be read, or is no such file.
    """
    data = safe.read_bytes(path, safe.JSON_BYTES)
    from .table import instant

    # It writes NaN, which strict JSON has not.
    found = safe.parse_json(data.replace(b": NaN", b": null"), path)
    if not isinstance(found, dict) or not isinstance(found.get("benchmarks"), list) or "machine_info" not in found:
        raise ResultError("is no JSON of pytest-benchmark: it has no 'benchmarks' and 'machine_info'", path)
    machine, commit = _object(found, "machine_info"), _object(found, "commit_info")
    cpu = _object(machine, "cpu")
    written = instant(str(found.get("datetime") or "")) or instant("1970-01-01T00:00:00+00:00")
    record = {
        "run_id": f"{written:%Y%m%dT%H%M%SZ}-{sha256(data)[:8]}",
        "status": "complete",
        "environment": {
            "cpu": {"name": str(cpu.get("brand_raw") or machine.get("processor") or "")},
            "python": {"version": str(machine.get("python_version") or "")},
            "os": {"platform": str(machine.get("system") or "")},
            "git": {"commit": str(commit.get("id") or ""), "dirty": commit.get("dirty")},
        },
        "machine_key": sha256(repr((machine.get("machine"), cpu.get("brand_raw"), cpu.get("count"))).encode())[:12],
    }
    return record, [_benchmark(entry, path) for entry in found["benchmarks"]]


def _object(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def as_runs(path: Path, folder: Path) -> list[Path]:
    """The runs of a file as run folders below a folder.

    Raises:
        ResultError: it cannot be read, or written.
    """
    import pyarrow.compute as pc

    from .load import read_columns

    table = read_columns(path).table()
    names = table["run_id"].unify_dictionaries().combine_chunks().dictionary.to_pylist() if len(table) else []
    made = [_as_run(table.filter(pc.equal(table["run_id"].cast("string"), name)), folder) for name in names]
    return [run for run in made if run is not None]


def _as_run(rows: Any, folder: Path) -> Path | None:
    """One run of a table that has the facts of the run in every row."""
    from .store import ROWS_PARQUET, SCHEMA
    from .table import parquet_bytes

    if not len(rows):
        return None
    facts = {name: rows[name][0].as_py() for name in ("run_id", "leg", "shard", "attempt", "machine_key", "env_id")}
    name = safe.check_name(str(facts["run_id"]), "the run id")
    outcomes = set(rows["outcome"].cast("string").to_pylist())
    data = parquet_bytes(rows)
    path = folder / name
    path.mkdir(exist_ok=True)
    replace_file(path / ROWS_PARQUET, data)
    replace_file(
        path / RUN_JSON,
        to_json(
            {
                "schema": SCHEMA,
                **facts,
                "status": "incomplete" if outcomes & {"not_run", "crashed"} else "complete",
                "imported": True,
                "ended": len(rows),
                "kinds": sorted(set(rows["kind"].cast("string").to_pylist())),
                "files": {ROWS_PARQUET: {"sha256": sha256(data), "rows": len(rows), "bytes": len(data)}},
            }
        ),
    )
    return path


# CSV


def _absent(name: str) -> str:
    return {"kind": "check", "run_id": "csv", "threads": "0", "process": "0"}.get(name, "")


def _column(values: list[str], name: str, type_: Any, path: Path) -> Any:
    import pyarrow as pa

    if name in CATEGORIES:
        return pa.array([safe.unescape_csv(value) for value in values]).cast(pa.string()).dictionary_encode()
    if pa.types.is_timestamp(type_):
        from .table import instant

        return pa.array([instant(value) for value in values], type_)
    if pa.types.is_boolean(type_):
        return pa.array([{"true": True, "false": False}.get(value.lower()) for value in values], type_)
    numbers = [_number(value, name, path) for value in values]
    if pa.types.is_integer(type_):
        whole = [None if number is None else _short(number, name, path) for number in numbers]
        return pa.array(whole, type_)
    return pa.array(numbers, type_)


def _number(value: str, name: str, path: Path) -> float | None:
    if not value:
        return None
    with contextlib.suppress(ValueError):
        found = float(value)
        return None if math.isnan(found) else found
    raise ResultError(f"the column {name!r} must hold numbers, found {value!r:.60}", path)


def _short(number: float, name: str, path: Path) -> int:
    if not number.is_integer() or abs(number) >= 1 << 31:  # false for an infinite one too
        raise ResultError(f"the column {name!r} must hold whole numbers of at most 32 bits, found {number!r}", path)
    return int(number)


def _metric(name: str) -> MetricColumn:
    """What a wide table's column is of; which way is better a CSV does not tell."""
    if name in ("low_s", "high_s", "n"):
        return MetricColumn(HEADLINE, "s", "lower", name.removesuffix("_s"))
    stem, _, unit = name.rpartition("_")
    return MetricColumn(stem, unit, "", "value") if stem and unit in UNITS else MetricColumn(name, "", "", "value")


# pytest-benchmark


def _benchmark(entry: Any, path: Path) -> Row:
    if not isinstance(entry, dict) or not isinstance(entry.get("stats"), dict):
        raise ResultError(f"an entry of 'benchmarks' has no 'stats': {entry!r:.80}", path)
    stats, info = entry["stats"], entry.get("extra_info")
    metrics = tuple(
        MetricValue(name, "s", "lower", stats.get(key), n=stats.get("rounds") if name == HEADLINE else None)
        for key, name in STATISTICS.items()
        if stats.get(key) is not None
    )
    samples = stats.get("data") if isinstance(stats.get("data"), list) else []
    return Row(
        _cell(entry, info if isinstance(info, dict) else {}),
        "passed",
        nodeid=str(entry.get("fullname") or ""),
        timer="pytest-benchmark",
        metrics=metrics,
        samples_ns=tuple(value * 1e9 for value in samples if isinstance(value, (int, float))),  # type: ignore[misc]
    )


def _cell(entry: Mapping[str, Any], info: Mapping[str, Any]) -> Cell:
    if all(name in info for name in CELL_KEYS) and info["kind"] == "timing":
        texts = {name: str(info[name]) for name in CELL_TEXTS}
        return Cell(**texts, threads=_whole(info["threads"]), process=_whole(info["process"]))
    return Cell("timing", str(entry.get("fullname") or entry.get("name") or ""), "", "", "", "", "", 0)


def _whole(value: object) -> int:
    with contextlib.suppress(TypeError, ValueError):
        return int(str(value))
    return 0
