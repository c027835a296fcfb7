"""The line of the running cell: on a terminal, gone again before pytest writes on, and silent elsewhere."""

from __future__ import annotations

import os
import re
import sys
from types import SimpleNamespace

import pytest

from pytest_torchbasics.integration.progress import Progress
from pytest_torchbasics.report.units import clock_time
from pytest_torchbasics.results.rows import Cell
from tests.integration.conftest import TESTS, Run

CELLS = {
    f"t[{number}]": Cell("timing" if number % 2 else "check", f"case{number}", "", "", "eager", "cpu", "float32", 1)
    for number in range(4)
}


def made() -> tuple[Progress, list[str]]:
    written: list[str] = []
    file = SimpleNamespace(write=written.append, flush=lambda: None)
    writer = SimpleNamespace(fullwidth=80, width_of_current_line=9, flush=lambda: None, _file=file)
    writer.markup = lambda text, **_: text
    return Progress(SimpleNamespace(_tw=writer), CELLS), written  # type: ignore[arg-type]


def ends(progress: Progress, nodeid: str, seconds: float) -> None:
    for when in ("setup", "call", "teardown"):
        took = seconds if when == "call" else 0.0
        progress.pytest_runtest_logreport(SimpleNamespace(nodeid=nodeid, when=when, duration=took))  # type: ignore[arg-type]


def test_the_time_left_is_that_of_cells_of_the_same_kind() -> None:
    progress, written = made()
    assert progress.remaining_s() is None
    ends(progress, "t[0]", 10.0)
    assert progress.remaining_s() == 30.0  # nothing is known of timings yet
    ends(progress, "t[1]", 2.0)
    assert progress.remaining_s() == 12.0
    progress.pytest_runtest_logstart("t[2]")
    assert "3/4, 12 s left: case2 cpu float32" in written[-1]


def test_the_line_names_all_that_tells_cells_apart() -> None:
    progress, _ = made()
    cell = Cell("timing", "lstm", "", "forward", "compile", "cuda:1", "float16", 2, sizes="N=32")
    assert progress._line(cell).endswith(": lstm N=32 forward compile cuda:1 float16 2 threads")


def test_the_line_is_erased_before_pytest_writes_on() -> None:
    progress, written = made()
    progress.pytest_runtest_logstart("t[0]")
    shown = written[-1]
    assert shown.startswith("\x1b7")  # the cursor stays where pytest left it
    assert shown.endswith("\x1b8")
    ends(progress, "t[0]", 1.0)
    assert written[-1] == "\x1b[K"


def test_without_room_and_for_other_tests_nothing_is_shown() -> None:
    progress, written = made()
    progress.pytest_runtest_logstart("another")
    progress.writer.width_of_current_line = 65
    progress.pytest_runtest_logstart("t[0]")
    assert not written


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (7500, "2 h 5 min")]
)
def test_a_time_to_wait_is_said_roughly(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_a_file_gets_no_progress(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    assert " left" not in run("--checks=shape", "-m", "correctness").stdout.str()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty on Windows")
def test_a_terminal_gets_it(run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    import pty

    pytester.makepyfile(test_it=TESTS)
    monkeypatch.setenv("TERM", "xterm")
    words = ["-m", "pytest", "--checks=shape,gradient", "-m", "correctness", "--torchbasics-device=cpu"]
    written: list[bytes] = []

    def read(descriptor: int) -> bytes:
        written.append(os.read(descriptor, 4096))
        return written[-1]

    monkeypatch.chdir(pytester.path)
    assert pty.spawn([sys.executable, *words], read) == 0
    text = b"".join(written).decode()
    assert re.search(r"1/4: linear shape cpu float32", text)
    assert re.search(r"4/4, \d+ s left: matmul gradient cpu float32", text)
