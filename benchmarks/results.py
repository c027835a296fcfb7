"""How fast results are read and compared: `python -m benchmarks.results [--rows N] [--cells N]`.

Each figure is of a fresh process, imports included, and of the largest memory it ever held.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CASES, ROWS_A_RUN = 500, 10_000
TIMED, CHECKED = ("median", "first_call", "wall_over_cpu", "flops", "bytes_moved", "peak"), ("error", "bound_share")
UNITS = {"median": "s", "first_call": "s", "peak": "bytes"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--inner", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        _inner(*options.inner)
        return
    with tempfile.TemporaryDirectory() as folder:
        one, base, head = (Path(folder) / f"{name}.parquet" for name in ("one", "base", "head"))
        one.write_bytes(synthetic(options.rows, 0))
        base.write_bytes(synthetic(5 * options.cells, 1, options.cells))
        head.write_bytes(synthetic(5 * options.cells, 2, options.cells))
        print(f"{options.rows:,} rows, {one.stat().st_size / 2**20:.0f} MiB of Parquet")
        _report("imports alone", "import")
        _report(f"load {options.rows:,} rows", "load", str(one))
        _report(f"compare {options.cells:,} cells, 5 runs a side", "compare", str(base), str(head))


def _report(what: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "benchmarks.results", "--inner", *arguments]
    found = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(5)]
    seconds, memory, frame = zip(*[map(float, words) for words in found], strict=True)
    print(
        f"{what:<40} {sorted(seconds)[2]:6.2f} s (median of 5, best {min(seconds):.2f})   "
        f"{max(memory):5.0f} MiB at most   frame {frame[0]:5.0f} MiB"
    )


def _inner(what: str, *paths: str) -> None:
    started = time.perf_counter()
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401

    import pytest_torchbasics

    frame = None
    if what == "load":
        frame = pytest_torchbasics.load(paths[0])
    elif what == "compare":
        frame = pytest_torchbasics.compare(*paths)
    seconds = time.perf_counter() - started
    size = 0 if frame is None else frame.memory_usage(deep=True).sum() / 2**20
    # Not ru_maxrss, which a child inherits from its parent.
    highest = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(seconds, int(highest.split()[1]) / 1024, size)


def synthetic(rows: int, seed: int, rows_a_run: int = ROWS_A_RUN) -> bytes:
    """A Parquet file of runs, most rows checks."""
    import numpy as np
    import pyarrow as pa

    from pytest_torchbasics.results.schema import METADATA, MetricColumn, arrow_types, metric_field
    from pytest_torchbasics.results.table import parquet_bytes

    rng = np.random.default_rng(seed)
    index = np.arange(rows)
    in_run = index % rows_a_run
    timing = in_run % 10 >= (0 if rows_a_run != ROWS_A_RUN else 7)

    def word(values: list[str], places: Any = None) -> Any:
        places = np.zeros(rows, int) if places is None else places
        return pa.DictionaryArray.from_arrays(pa.array(places.astype("int32")), pa.array(values))

    varied = {
        "run_id": word([f"run{seed}-{run}" for run in range(rows // rows_a_run + 1)], index // rows_a_run),
        "kind": word(["check", "timing"], timing.astype(int)),
        "case": word([f"layer-{case}" for case in range(CASES)], in_run // 20 % CASES),
        "check": word(["", *(f"check{check}" for check in range(20))], np.where(timing, 0, 1 + in_run % 20)),
        "phase": word(["", "forward", "backward"], np.where(timing, 1 + in_run % 2, 0)),
        "sizes": word(["", *(f"N={size}" for size in range(100))], np.where(timing, in_run // 2 % 100, 0)),
        "dtype": word(["float32", "float64", "bfloat16", "float16"], in_run // 20 // CASES % 4),
        "outcome": word(["passed", "failed"], (rng.random(rows) < 0.01).astype(int)),
        "case_hash": word([f"{case:012x}" for case in range(CASES)], in_run // 20 % CASES),
        "nodeid": word([f"suites/test_it.py::test_correct[{place}]" for place in range(rows_a_run)], in_run),
        "threads": pa.array(np.ones(rows, "int32")),
        "process": pa.array(np.zeros(rows, "int32")),
        "attempt": pa.array(np.ones(rows, "int32")),
        "duration_s": pa.array(rng.random(rows)),
        "dirty": pa.array(np.zeros(rows, bool)),
        "started_at": pa.array(1_790_000_000 + index, pa.timestamp("s", "UTC")),
    }
    constant = {"mode": "eager", "device": "cpu", "timer": "hybrid", "machine_key": "0" * 12}
    types = arrow_types()
    columns = {name: varied.get(name, word([constant.get(name, "")])) for name in types}
    columns = {name: column if name in varied else word([constant.get(name, "")]) for name, column in columns.items()}
    fields = [pa.field(name, type_) for name, type_ in types.items()]
    base = 1e-4 * (1 + in_run % 97)
    for metric in (*TIMED, *CHECKED):
        parts = ("value", "low", "high", "n") if metric == "median" else ("value",)
        for part in parts:
            column = MetricColumn(metric, UNITS.get(metric, ""), "lower", part)
            fields.append(metric_field(column, column.name))
            numbers = np.full(rows, 40) if part == "n" else base * (1 + 0.01 * rng.standard_normal(rows))
            columns[column.name] = pa.array(numbers, fields[-1].type, mask=timing != (metric in TIMED))
    arrays = [columns[field.name].cast(field.type) for field in fields]
    return parquet_bytes(pa.table(arrays, schema=pa.schema(fields, metadata=METADATA)))


if __name__ == "__main__":
    main()
