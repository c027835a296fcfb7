"""Processes that are started and asked: one that cannot start is told, and one that still starts can be ended."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pytest_torchbasics.workers import Worker, WorkerDied


def test_what_the_system_cannot_start_is_told(tmp_path: Path) -> None:
    nothing = tmp_path / "python"
    nothing.write_text("no program")
    nothing.chmod(0o755)
    with pytest.raises(WorkerDied, match="the head: it cannot be started: "):
        Worker([str(nothing)], "the head", tmp_path, {})


def test_one_that_is_not_connected_yet_is_ended_at_once(tmp_path: Path) -> None:
    worker = Worker([sys.executable, "-c", "import time; time.sleep(600)"], "the base", tmp_path, {})
    begun = time.monotonic()
    worker.stop()
    worker.stop()
    assert time.monotonic() - begun < 5
    assert worker._process.returncode is not None


def test_one_that_ends_before_it_is_ready_is_told_with_what_it_printed(tmp_path: Path) -> None:
    worker = Worker([sys.executable, "-c", "raise SystemExit('no such module')"], "the head", tmp_path, {})
    with pytest.raises(WorkerDied, match="ended with 1 before it was ready\n  no such module") as died:
        worker.connect()
    assert died.value.code == 1
    worker.stop()


def test_one_that_takes_its_time_to_end_is_killed_on_a_second_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker([sys.executable, "-c", "import time; time.sleep(600)"], "the base", tmp_path, {})
    wait = worker._process.wait

    def interrupted(timeout: float | None = None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return wait()

    monkeypatch.setattr(worker._process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        worker._end()
    assert worker._process.returncode is not None
    worker._log.close()
    worker._server.close()
