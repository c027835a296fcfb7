"""`torchbasics ab` with real processes: two revisions of a small project."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_torchbasics.ab.worker import Side, Worker
from pytest_torchbasics.results.load import load
from tests.environment import environment

from .test_sides import git

LAYER = """
import torch
from torch import nn

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(64, 64))

    def forward(self, x):
        for _ in range({rounds}):
            y = x @ self.weight
        return y{more}
"""
TEST = """
import pytest
from pytest_torchbasics import Tensor, layer, op
from mine import Mine
import torch

CASES = [layer("mine", Mine, Tensor(64, 64)), op("other", torch.tanh, Tensor(64, 64))]

@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()

@pytest.mark.skipif(True, reason="not here")
@pytest.mark.cases([op("skipped", torch.tanh, Tensor(64))])
def test_skipped(measure):
    measure()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_mine.py").write_text(TEST)
    git(folder, "init", "-q", "-b", "main")
    for rounds, more, tag in ((1, "", "fast"), (6, "", "slow"), (1, " + 0.5", "wrong")):
        (folder / "mine.py").write_text(LAYER.format(rounds=rounds, more=more))
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", tag)
        git(folder, "tag", tag)
    return folder


#: Ctrl-C reaches it even where the tests themselves were started in the background, which ignores it.
COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from pytest_torchbasics.cli import main
main()
"""


def ab(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND, "ab", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=280, check=False
    )


def test_two_revisions_are_told_apart(project: Path, tmp_path: Path) -> None:
    words = ["fast", "slow", "--phase=forward", "--format=json", "--only=all", "--fail-on=regression"]
    done = ab(project, *words, "--results", str(tmp_path / "kept"), "--", "test_mine.py", "-p", "no:playwright")
    assert done.returncode == 1, done.stderr
    rows = {(row["case"], row["metric"]): row for row in json.loads(done.stdout)}
    assert rows["mine", "median_s"]["verdict"] == "slower"
    assert rows["mine", "median_s"]["ratio"] > 2
    assert rows["other", "median_s"]["verdict"] != "slower"
    assert rows["skipped", "median_s"]["verdict"] == "same"
    assert rows["skipped", "median_s"]["reason"] == "skipped: not here"
    assert len(git(project, "worktree", "list").splitlines()) == 1
    assert load(tmp_path / "kept")["run_id"].nunique() == 2


def test_results_that_differ_are_told_before_times(project: Path) -> None:
    words = ["fast", "wrong", "--phase=forward", "-k", "mine", "--fail-on=different-results"]
    done = ab(project, *words, "--", "test_mine.py", "-p", "no:playwright")
    assert done.returncode == 1, done.stderr
    assert "different results: mine · forward · cpu float32" in done.stdout
    assert "4096 of 4096 values differ" in done.stdout


def test_tests_that_the_baseline_lacks_are_new(project: Path) -> None:
    (project / "test_new.py").write_text(TEST)
    done = ab(project, "fast", ".", "--phase=forward", "--format=json", "--only=all", "--", "test_new.py")
    assert done.returncode == 0, done.stderr
    verdicts = {row["case"]: row["verdict"] for row in json.loads(done.stdout)}
    assert verdicts == {"mine": "added", "other": "added", "skipped": "added"}


def test_two_cases_get_the_same_inputs(project: Path) -> None:
    cases = 'CASES = [op("naive", lambda x: x * x * x, Tensor(64)), op("clever", lambda x: x**3, Tensor(64))]'
    (project / "test_cases.py").write_text(TEST.replace("CASES = [", f"{cases}\nOTHERS = ["))
    words = [".", ".", "--base-case=naive", "--head-case=clever", "--phase=forward", "--budget=1s"]
    done = ab(project, *words, "--fail-on=different-results", "--", "test_cases.py", "-p", "no:playwright")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "clever" in done.stdout


def test_a_case_that_is_not_there_is_one_error(project: Path) -> None:
    done = ab(project, ".", ".", "--base-case=nothing", "--head-case=mine", "--", "test_mine.py", "-p", "no:playwright")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "torchbasics: exit 2: --base-case: 'nothing' is no case that is timed there"


def test_what_was_measured_is_shown_though_it_cannot_be_kept(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = [".", ".", "--phase=forward", "--budget=1s", "--format=markdown", "--results", str(tmp_path / "file")]
    done = ab(project, *words, "--", "test_mine.py", "-p", "no:playwright")
    assert done.returncode == 2
    assert done.stdout.startswith("## torchbasics ab")
    assert "the blocks differ too much, or were too few, to tell" in done.stdout


def test_what_cannot_be_collected_is_one_error(project: Path) -> None:
    (project / "test_broken.py").write_text("import nothing_like_that")
    done = ab(project, ".", ".", "--", "test_broken.py", "-p", "no:playwright")
    assert done.returncode == 2
    assert "before it was ready" in done.stderr
    assert "nothing_like_that" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == "torchbasics: exit 2: the project as it is: the process ended with 2 before it was ready"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM that could be caught")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("when", "said"), [("", "before anything was known"), ("round 2 ", "known by then")])
def test_what_is_ended_leaves_no_worktree(project: Path, number: int, when: str, said: str) -> None:
    words = ["fast", "slow", "--phase=forward", "--", "test_mine.py", "-p", "no:playwright"]
    command = [sys.executable, "-c", COMMAND, "ab", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=project, env=environment(), stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        if when:
            next(line for line in process.stderr if when in line)
        else:
            while len(git(project, "worktree", "list").splitlines()) < 3:
                time.sleep(0.02)
        process.send_signal(number)
        last = process.stderr.read().splitlines()[-1]
        shown = process.stdout.read()
    assert process.returncode == 4
    assert last.startswith("torchbasics: exit 4: it was interrupted")
    assert said in last
    assert ("mine" in shown) == bool(when)
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_code_of_the_working_tree_is_not_taken_for_a_revisions(project: Path) -> None:
    (project / "python").mkdir()
    git(project, "mv", "mine.py", "python/mine.py")
    git(project, "commit", "-q", "-m", "moved")
    command = [sys.executable, "-c", "from pytest_torchbasics.cli import main; main()", "ab", "HEAD", "HEAD"]
    found = environment()
    paths = os.pathsep.join(filter(None, (str(project / "python"), found.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [*command, "--", "test_mine.py", "-p", "no:playwright"],
        cwd=project,
        env={**found, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "imports mine (1 modules in all) from the working tree" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no personality(2)")
def test_a_worker_has_fixed_addresses_where_the_system_allows_it(project: Path) -> None:
    allowed = "import ctypes, sys; sys.exit(ctypes.CDLL(None).personality(0x0040000) == -1)"
    code = subprocess.run([sys.executable, "-c", allowed], check=False).returncode
    side = Side("base", "the base", sys.executable, project, ("test_mine.py", "-p", "no:playwright"))
    facts = []
    for layout in (0, None):
        worker = Worker(dataclasses.replace(side, layout=layout))
        worker.connect()
        facts.append(worker.facts["fixed"])
        worker.stop()
    assert facts == [code == 0, False]


def test_ctrl_c_which_reaches_the_workers_of_a_terminal_too_is_left_to_the_command(project: Path) -> None:
    worker = Worker(Side("base", "the base", sys.executable, project, ("test_mine.py", "-p", "no:playwright")))
    worker.connect()
    worker._process.send_signal(signal.SIGINT)
    assert worker.ask({"do": "items"})["items"] == worker.items
    worker.stop()
    assert worker._process.returncode == 0
