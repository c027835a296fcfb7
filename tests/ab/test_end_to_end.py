"""`torchbasics ab` with real processes: two revisions of a small project."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


def ab(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pytest_torchbasics.cli import main; main()", "ab", *arguments]
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
    assert len(git(project, "worktree", "list").splitlines()) == 1
    assert load(tmp_path / "kept")["run_id"].nunique() == 2


def test_results_that_differ_are_told_before_times(project: Path) -> None:
    words = ["fast", "wrong", "--phase=forward", "-k", "mine", "--fail-on=different-results"]
    done = ab(project, *words, "--", "test_mine.py", "-p", "no:playwright")
    assert done.returncode == 1, done.stderr
    assert "different results: mine · forward · cpu float32" in done.stdout
    assert "4096 of 4096 values differ" in done.stdout


def test_what_cannot_be_collected_is_one_error(project: Path) -> None:
    (project / "test_broken.py").write_text("import nothing_like_that")
    done = ab(project, ".", ".", "--", "test_broken.py", "-p", "no:playwright")
    assert done.returncode == 2
    assert "before it had collected" in done.stderr
    assert "nothing_like_that" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("torchbasics: exit 2: the project as it is: pytest ended with 2")
