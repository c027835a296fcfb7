"""A tiny project of somebody, whose cases fall into two shards."""

from __future__ import annotations

from pathlib import Path

TESTS = """\
import pytest
import torch
from pytest_torchbasics import Tensor, op

CASES = [
    op("matmul", torch.matmul, Tensor(2, 3), Tensor(3, 2), output=(2, 2)),
    op("relu", torch.relu, Tensor(2, 3), output=(2, 3)),
    op("add", torch.add, Tensor(2, 3), Tensor(2, 3), output=(2, 3)),
]


@pytest.mark.cases(CASES)
def test_correct(check):
    check()


@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
"""
SETTINGS = """\
[tool.pytest.ini_options]
torchbasics_phase = "forward"
torchbasics_timer_quality = "quick"
torchbasics_checks = "shape,gradient"
[tool.torchbasics.ci]
paths = ["tests"]
"""


def write_project(folder: Path) -> Path:
    (folder / "tests").mkdir()
    (folder / "tests" / "test_tiny.py").write_text(TESTS)
    (folder / "pyproject.toml").write_text(SETTINGS)
    return folder
