"""`--isolate` and `--item-timeout`: a fault has one culprit, and the rest goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from pytest_torchbasics.results.journal import read_journal
from pytest_torchbasics.results.load import load
from tests.environment import environment

from .inside import DISK
from .running import Server

PROJECT = """
import ctypes, os, pathlib, shutil, signal, time
import pytest, torch
from pytest_torchbasics import Tensor, op

def hang(x): time.sleep(600)
def hang_with_the_gil(x): ctypes.PyDLL(None).sleep(600)
def segfault(x): ctypes.string_at(0)
def exits(x): os._exit(0)
def killed(x): os.kill(os.getpid(), signal.SIGKILL)
def wrong(x): return x.sum()
def interrupted(x): raise KeyboardInterrupt
def ok(x): return x * 2
def deletes(x):
    shutil.rmtree("results/runs")
    return x * 2
def deletes_when_the_other_worker_is_done(x):
    while not pathlib.Path("done").exists(): time.sleep(0.01)
    return deletes(x)

CASES = [op(name, globals()[name.split("-")[0]], Tensor(2, 3), output=(2, 3)) for name in NAMES]

@pytest.mark.cases(CASES)
@pytest.mark.checks("shape")
def test_it(check):
    check()

def test_of_others():
    with open("pid", "w") as file:
        file.write(str(os.getpid()))
"""
DONE = """
import pathlib, pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    pathlib.Path("done").touch()
"""
#: Enough for what is no hang, however busy the machine.
LIMIT_S = 10


def project(folder: Path, *names: str) -> None:
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_it.py").write_text(f"NAMES = {names}\n{PROJECT}")


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "pytest", "--results=kept", "-p", "no:playwright", "-p", "no:randomly", *arguments)
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(server: Server, folder: Path, *arguments: str) -> tuple[int, str, pd.DataFrame]:
    left = server.run(folder, *arguments, project=(folder / "test_it.py").read_text())
    return left.code, left.output, load(left.results).set_index("case")


def test_deaths_and_hangs_are_named_once_and_the_rest_goes_on(server: Server, tmp_path: Path) -> None:
    project(tmp_path, "ok-1", "segfault", "ok-2", "exits", "wrong", "hang", "killed", "hang_with_the_gil", "ok-3")
    code, output, rows = run(server, tmp_path, "--isolate", f"--item-timeout={LIMIT_S}")
    assert code == 1, output
    assert rows["outcome"].astype(str).to_dict() == {
        **dict.fromkeys(("ok-1", "ok-2", "ok-3"), "passed"),
        **dict.fromkeys(("segfault", "exits", "killed"), "crashed"),
        **dict.fromkeys(("hang", "hang_with_the_gil"), "timeout"),
        "wrong": "failed",
    }
    assert rows["reason"]["segfault"].startswith("killed by SIGSEGV")
    assert rows["reason"]["killed"].startswith("killed by SIGKILL (the system kills so when memory runs out)")
    assert "ended with 0" in rows["reason"]["exits"]
    assert "it was at" in rows["reason"]["hang"]
    assert "in hang" in rows["reason"]["hang"]
    assert "6 failed, 4 passed" in output
    assert output.count("FAILED test_it.py::test_it[segfault") == 1
    assert 'test_it.py", line 7 in hang' in output, "the stack is not shown"
    assert "9 planned · 9 ran" in output
    assert [path.name for path in tmp_path.glob("results/runs/*/rows-*")] == ["rows-isolated.jsonl"], "one to hold open"


def test_others_run_where_they_always_do_and_maxfail_stops(tmp_path: Path) -> None:
    project(tmp_path, "ok-1", "wrong", "ok-2")
    process = started(tmp_path, "--isolate", "-x", "test_it.py::test_of_others", "test_it.py::test_it")
    output, _ = process.communicate(timeout=240)
    rows = load(tmp_path / "kept").set_index("case")["outcome"].astype(str).to_dict()
    assert process.returncode == 1, output
    assert (tmp_path / "pid").read_text() == str(process.pid)
    assert rows == {"ok-1": "passed", "wrong": "failed", "ok-2": "not_run"}


def test_an_interrupt_in_a_worker_interrupts_the_run(server: Server, tmp_path: Path) -> None:
    project(tmp_path, "ok-1", "interrupted", "ok-2")
    code, output, rows = run(server, tmp_path, "--isolate")
    assert code == 2, output
    assert rows["outcome"].astype(str).to_dict() == {"ok-1": "passed", "interrupted": "not_run", "ok-2": "not_run"}


def test_a_hang_ends_a_plain_run_with_its_stack_and_its_tables(server: Server, tmp_path: Path) -> None:
    project(tmp_path, "ok-1", "hang", "ok-2")
    code, output, rows = run(server, tmp_path, f"--item-timeout={LIMIT_S}")
    assert code == 1, output
    assert rows["outcome"].astype(str).to_dict() == {"ok-1": "passed", "hang": "timeout", "ok-2": "not_run"}
    assert "torchbasics: timeout: test_it.py::test_it[hang" in output
    assert 'test_it.py", line 7 in hang' in output


@pytest.mark.parametrize("name", ["segfault", "hang"])
def test_an_xdist_worker_that_dies_names_its_culprit(server: Server, tmp_path: Path, name: str) -> None:
    project(tmp_path, "ok-1", name, "ok-2", "ok-3")
    code, output, rows = run(server, tmp_path, "-n2", f"--item-timeout={LIMIT_S if name == 'hang' else 0}")
    assert code == 1, output
    expected = {name: "timeout" if name == "hang" else "crashed", **dict.fromkeys(("ok-1", "ok-2", "ok-3"), "passed")}
    assert rows["outcome"].astype(str).to_dict() == expected


@pytest.mark.parametrize(
    ("names", "outcomes"),
    [
        (("ok-1", "deletes", "ok-2"), ["passed"] * 3),
        # What it measured of the first ones is known to a process that is gone when the folder is deleted.
        (("ok-1", "killed", "deletes", "ok-2"), ["passed", "crashed", "passed", "passed"]),
        # No process can be started any more in a folder that is gone.
        (("ok-1", "deletes", "killed", "ok-2"), ["passed", "passed", "crashed"]),
    ],
)
def test_a_folder_that_is_deleted_loses_no_row_of_isolated_tests(
    server: Server, tmp_path: Path, names: tuple[str, ...], outcomes: list[str]
) -> None:
    project(tmp_path, *names)
    left = server.run(tmp_path, "--isolate", project=(tmp_path / "test_it.py").read_text())
    assert left.code == 3, left.output
    assert "the folder of the results is gone" in left.output
    assert ("no further process can be started" in left.output) == (len(outcomes) < len(names))
    assert outcomes_in((tmp_path / "tmp").glob("*rescue*")) == dict(zip(names, outcomes, strict=False))


def test_the_row_of_a_death_on_a_full_disk_is_rescued_and_its_file_is_named(server: Server, tmp_path: Path) -> None:
    project(tmp_path, "killed")
    left = server.run(tmp_path, "--isolate", project=(tmp_path / "test_it.py").read_text(), **{DISK: "10"})
    assert left.code == 3, left.output
    kept = [path for path in left.rescued if read_journal(path).rows]
    assert outcomes_in(kept) == {"killed": "crashed"}
    assert f"which are kept in {kept[0]}" in left.output


def test_a_folder_that_is_deleted_when_a_worker_of_xdist_is_done_loses_no_row(server: Server, tmp_path: Path) -> None:
    project(tmp_path, "ok-1", "deletes_when_the_other_worker_is_done")
    (tmp_path / "conftest.py").write_text(DONE)
    left = server.run(tmp_path, "-n2", project=(tmp_path / "test_it.py").read_text())
    assert left.code == 3, left.output
    expected = {"ok-1": "passed", "deletes_when_the_other_worker_is_done": "passed"}
    assert outcomes_in((tmp_path / "tmp").glob("*rescue*")) == expected


def test_sigterm_ends_a_run_as_ctrl_c_does(tmp_path: Path) -> None:
    project(tmp_path, "ok-1", "hang", "ok-2")
    process = started(tmp_path)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(
        b'"hang"' in p.read_bytes() for p in tmp_path.glob("kept/*/*/*.jsonl")
    ):
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    rows = load(tmp_path / "kept").set_index("case")["outcome"].astype(str).to_dict()
    assert rows == {"ok-1": "passed", "hang": "not_run", "ok-2": "not_run"}


def test_a_killed_run_leaves_no_worker_behind(tmp_path: Path) -> None:
    project(tmp_path, "ok-1", "hang")
    process = started(tmp_path, "--isolate")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(
        b'"hang"' in p.read_bytes() for p in tmp_path.glob("kept/*/*/*-*.jsonl")
    ):
        time.sleep(0.2)
    children = _children(process.pid)
    assert children, "there is no worker"
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(map(_runs, children)):
        time.sleep(0.2)
    assert not any(map(_runs, children))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--isolate", "-n2"], "leave out -n"),
        (["--isolate", "--benchmark-json=x.json"], "--benchmark-json sees nothing"),
        (["--isolate", "--pdb"], "--pdb needs the test in this process"),
        (["--item-timeout=soon"], "write seconds, such as 60"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path: Path, options: list[str], says: str) -> None:
    project(tmp_path, "ok-1")
    process = started(tmp_path, *options)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 4, output
    assert says in output


def outcomes_in(files: Iterable[Path]) -> dict[str, str]:
    rows = load(list(files))
    assert rows["case"].is_unique
    return dict(zip(rows["case"].astype(str), rows["outcome"].astype(str), strict=True))


def _children(pid: int) -> list[int]:
    text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    return [int(word) for word in text.split()]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return os.path.exists(f"/proc/{pid}")
