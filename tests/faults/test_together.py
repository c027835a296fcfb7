"""Runs that end at once in one results folder, and shards that are merged in any order."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.merge import merge
from pytest_torchbasics.results.store import status_of

from ..results.making import CASES, check_cell, checked, timed, timing_cell, write_run

RUNS, ROUNDS, SHARDS = 8, 5, 4

AT_ONCE = """
import os, sys
import pyarrow.parquet, pandas
from pathlib import Path
from tests.results.making import *
from pytest_torchbasics.results import table

root, runs, rounds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for round in range(rounds):
    gate, opened = os.pipe()
    children = []
    for run in range(runs):
        if not (child := os.fork()):
            os.close(opened)
            os.read(gate, 1)  # all of them come back when the other end is closed
            write_run(root / str(round), [checked(check_cell(f"case{run}")), timed(timing_cell(f"case{run}"), 1e-3)])
            os._exit(7)
        children.append(child)
    os.close(gate)
    os.close(opened)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [7] * runs, codes
"""


def test_runs_that_end_at_once_in_one_folder_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path), str(RUNS), str(ROUNDS)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for results in (tmp_path / str(number) for number in range(ROUNDS)):
        runs = list((results / "runs").iterdir())
        assert len(runs) == RUNS
        assert {status_of(run) for run in runs} == {"complete"}
        frame = load(results)
        assert sorted(frame["case"].astype(str)) == sorted([f"case{run}" for run in range(RUNS)] * 2)
        assert (results / "LATEST").read_text().strip() in {run.name for run in runs}
        assert {path.name for path in results.iterdir()} == {"LATEST", "runs"}


def test_shards_make_the_same_folder_in_whatever_order_they_are_merged(tmp_path: Path) -> None:
    shards = []
    for number in range(1, SHARDS + 1):
        cases = CASES[number - 1 :: SHARDS]
        rows = [*(checked(check_cell(case)) for case in cases), *(timed(timing_cell(case), 1e-3) for case in cases)]
        shards.append(write_run(tmp_path / f"in{number}", rows, leg="cpu", shard=f"{number}/{SHARDS}").parents[1])
    orders = list(itertools.permutations(shards))
    assert len(orders) == 24
    merged = [merged_files(order, tmp_path / f"out{place}") for place, order in enumerate(orders)]
    assert len([name for name in merged[0] if name.endswith("rows.parquet")]) == SHARDS
    assert all(files == merged[0] for files in merged)
    assert len(load(tmp_path / "out0")) == 2 * len(CASES)


def merged_files(order: Sequence[Path], out: Path) -> dict[str, bytes]:
    merge(order, out)
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
