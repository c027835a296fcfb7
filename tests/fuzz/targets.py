"""The readers of files that others wrote, one target each: hypothesis and atheris call the same ones.

A target may raise the one documented error, `ResultError`. Anything else that it raises is a fault.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_torchbasics.analysis.environments import compared
from pytest_torchbasics.analysis.rules import read_rules
from pytest_torchbasics.analysis.support import read_support
from pytest_torchbasics.analysis.timeline import timelines
from pytest_torchbasics.pipeline.config import read_config
from pytest_torchbasics.results.errors import ResultError
from pytest_torchbasics.results.journal import read_journal
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.plan import read_plan
from pytest_torchbasics.results.samples import load_samples, run_records
from pytest_torchbasics.results.store import status_of
from tests.hostile.making import small_run

Reader = Callable[[Path], object]

PYPROJECT = """\
[tool.torchbasics.compare]
threshold = "5%"
floor = "500ns"
min_runs = 5
[[tool.torchbasics.compare.rule]]
match = "linear and not backward"
gate = false
[tool.torchbasics.ci]
paths = ["tests"]
torch = ["2.6.*", "latest"]
devices = ["cpu", { device = "cuda", name = "h100", runs_on = ["self-hosted"], gpus = 2 }]
exclude = [{ device = "cpu", torch = "2.6.*" }]
[tool.torchbasics.ci.profiles.quick]
torch = ["latest"]
"""
SUPPORT = '[[unsupported]]\nmatch = "linear and bfloat16"\nreason = "no kernel"\n'
PLAN = {
    "schema": 1,
    "ci_run": "7",
    "legs": [
        {
            "leg": "linux-cpu",
            "shard": "1/2",
            "device": "cpu",
            "speed": True,
            "cells": [
                {
                    "kind": "check",
                    "case": "linear",
                    "check": "shape",
                    "phase": "",
                    "mode": "eager",
                    "device": "cpu",
                    "dtype": "float32",
                    "sizes": "",
                    "threads": 0,
                    "process": 0,
                }
            ],
        }
    ],
}
BENCHMARK = {
    "machine_info": {
        "machine": "x86_64",
        "processor": "",
        "python_version": "3.11",
        "system": "Linux",
        "cpu": {"brand_raw": "EPYC", "count": 2},
    },
    "commit_info": {"id": "abc", "dirty": False},
    "datetime": "2026-01-01T00:00:00+00:00",
    "version": "5",
    "benchmarks": [
        {
            "name": "a",
            "fullname": "test_it.py::a",
            "extra_info": {**PLAN["legs"][0]["cells"][0], "kind": "timing", "phase": "forward"},  # type: ignore[index]
            "stats": {"median": 1.0, "min": 1.0, "mean": 1.0, "max": 1.0, "stddev": 0.1, "rounds": 2, "data": [1.0]},
        }
    ],
}


def _whole_run(folder: Path) -> None:
    """All that is read of a run folder."""
    status_of(folder)
    frame = load(folder)
    load(folder, long=True)
    records = run_records([folder])
    compared([list(records.values())])
    timelines(frame, records)


def _configuration(path: Path) -> None:
    read_config(path)
    read_rules(path)


#: The name of the file that is read, and what reads it; a run folder is around it.
TARGETS: dict[str, Reader] = {
    "run.json": lambda path: _whole_run(path.parent),
    "rows.jsonl": lambda path: (read_journal(path), load(path)),
    "rows.parquet": lambda path: load(path),
    "samples.parquet": lambda path: load_samples([path.parent]),
    "alone.parquet": lambda path: load(path),
    "rows.csv": lambda path: load(path),
    "bench.json": lambda path: load(path),
    "plan.json": read_plan,
    "pyproject.toml": _configuration,
    "support.toml": read_support,
}


def make_seeds(folder: Path) -> dict[str, bytes]:
    """A valid file for each target, in the folder of a run whose final table is gone, as after a kill."""
    run = small_run(folder)
    found = {name: (run / name).read_bytes() for name in ("rows.jsonl", "rows.parquet", "samples.parquet")}
    found["alone.parquet"] = found["rows.parquet"]
    record = json.loads((run / "run.json").read_bytes())
    found["run.json"] = json.dumps({**record, "files": {}}).encode()
    found["rows.csv"] = load(run).to_csv(index=False).encode()
    found["bench.json"] = json.dumps(BENCHMARK).encode()
    found["plan.json"] = json.dumps(PLAN).encode()
    found["pyproject.toml"] = PYPROJECT.encode()
    found["support.toml"] = SUPPORT.encode()
    assert found.keys() == TARGETS.keys()
    return found


def lay_out(folder: Path, seeds: Mapping[str, bytes]) -> None:
    """The folder in which targets read: a run with its journal, whose run.json names no final file."""
    for name in ("run.json", "rows.jsonl"):
        (folder / name).write_bytes(seeds[name])


def read(name: str, data: bytes, folder: Path) -> bool:
    """Let a target read these bytes; False if it refuses them.

    Args:
        name: of `TARGETS`.
        data: what the file holds.
        folder: of `lay_out`; the file is there afterwards.
    """
    path = folder / name
    path.write_bytes(data)
    with contextlib.suppress(ResultError):
        TARGETS[name](path)
        return True
    return False
