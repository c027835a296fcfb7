"""A process that dies while it writes the final files: the old ones or the new ones are there, and none is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_torchbasics.results.journal import Journal
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.store import RunFolder, finalise, status_of

from ..results.making import RECORD, check_cell, checked, timed, timing_cell

ROWS = [checked(check_cell("a")), timed(timing_cell("b"), 1e-3), timed(timing_cell("c"), 1e-3)]
TABLES = ("rows.parquet", "samples.parquet")

#: Counts each call that changes a file; before the n-th, or after a half of what it syncs, the process is gone.
FINALISE = """
import os, sys
import pyarrow.parquet, pandas
from pathlib import Path
from pytest_torchbasics.results import table
from pytest_torchbasics.results.store import RunFolder, finalise

def attempt(path, n):
    calls = 0
    def step(before=lambda: None):
        nonlocal calls
        calls += 1
        if calls == n:
            before()
            os._exit(9)
    open_, fsync, replace = os.open, os.fsync, os.replace
    def hook(event, args):
        if event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
            step()
    def torn(handle):
        size = os.fstat(handle).st_size
        if os.path.isfile(f"/proc/self/fd/{handle}") and os.access(f"/proc/self/fd/{handle}", os.W_OK):
            step(lambda: os.truncate(f"/proc/self/fd/{handle}", size // 2))
        fsync(handle)
        step()
    def replaced(*args):
        step()
        replace(*args)
        step()
    sys.addaudithook(hook)
    os.fsync, os.replace = torn, replaced
    finalise(RunFolder.open(path))
    return calls

for line in sys.stdin:
    path, n = line.split()
    child = os.fork()
    if child == 0:
        attempt(Path(path), int(n))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def begun(root: Path, rows: int) -> RunFolder:
    folder = RunFolder.create(root, record=RECORD)
    folder.write_plan([row.cell for row in ROWS])
    folder.write({**folder.read(), "pid": 1, "pid_started": -1})  # of a process that is gone
    write(folder, rows)
    return folder


def write(folder: RunFolder, rows: int) -> None:
    book = Journal(folder.journal_path())
    book.header(folder.run_id)
    for row in ROWS[:rows]:
        book.start(row.cell, row.nodeid)
        book.end(row)
    book.close()


def tables(folder: RunFolder) -> dict[str, bytes]:
    return {name: (folder.path / name).read_bytes() for name in TABLES if (folder.path / name).exists()}


@pytest.mark.parametrize("finished_before", [False, True], ids=["first", "again"])
def test_a_crash_at_each_step_of_the_end_of_a_run(tmp_path: Path, finished_before: bool) -> None:
    command = [sys.executable, "-c", FINALISE]
    root = Path(__file__).parents[2]
    crashes = 0
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for n in range(1, 200):
            folder = begun(tmp_path / str(n), 2 if finished_before else 3)
            if finished_before:
                assert finalise(folder) == "incomplete"
                write(folder, 3)
            old = tables(folder)
            server.stdin.write(f"{folder.path} {n}\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
            if code == 0:
                break
            assert code == 9
            crashes += 1
            assert_recovered(folder, old)
    assert code == 0, "the finaliser never came to its end"
    assert crashes >= 15  # opened, synced (before, torn, after) and replaced: each of three files
    assert status_of(folder) == "complete"


def assert_recovered(folder: RunFolder, old: dict[str, bytes]) -> None:
    left = tables(folder)
    assert status_of(folder) in ("crashed", "incomplete", "complete")
    assert load(folder.path)["outcome"].tolist() in (["passed"] * 3, ["passed", "passed", "not_run"])
    assert finalise(folder) == "complete"
    new = tables(folder)
    assert finalise(folder) == "complete"
    assert tables(folder) == new, "recovering twice gives other bytes"
    for name in TABLES:
        assert left.get(name) in (old.get(name), new[name]), f"{name} is neither the old one nor the new one"
    assert folder.read()["counts"] == {"passed": 3}
    assert not [name for name in os.listdir(folder.path) if name.endswith(".tmp")]
