"""Runs that are killed at random moments: what a test has acknowledged, its row is kept."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from pytest_torchbasics.results.journal import read_journal
from pytest_torchbasics.results.store import RunFolder

from .conftest import KILLS
from .running import PATIENCE_S, PROJECT, Server, verify

TESTS = 40
MANY = PROJECT.replace("for name in CASES", f"for name in map('case{{:02}}'.format, range({TESTS}))")

#: However late the kill comes, it comes before the end.
MANY += """
def test_that_waits_to_be_killed():
    import time
    time.sleep(600)
"""


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_run_that_is_killed_loses_no_acknowledged_row(server: Server, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    count, delay = chance.randint(1, TESTS), chance.uniform(0, 0.005)

    def kill(witnesses: Path, pid: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        acknowledged = witnesses / "acknowledged"
        while time.monotonic() < deadline:
            if acknowledged.exists() and acknowledged.read_bytes().count(b"\n") >= count:
                break
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)

    left = server.run(tmp_path, project=MANY, kill=kill)
    assert left.code == -signal.SIGKILL, left.output
    acknowledged = set(left.said("acknowledged"))
    assert count <= len(acknowledged) <= TESTS
    rows = left.rows()
    assert len(rows) == TESTS
    at_its_end = rows["reason"].astype(str).str.contains("after its passed row")
    passed = set(rows.loc[(rows["outcome"] == "passed") | at_its_end, "nodeid"].astype(str))
    assert acknowledged - passed == set(), "rows are lost"
    assert len(passed - acknowledged) <= 1  # the row comes before its acknowledgement
    assert left.run is not None
    (journal,) = RunFolder.open(left.run).journals()
    assert len(read_journal(journal).problems) <= 1
    assert verify(left.run) == 4
    assert left.processes == ()
