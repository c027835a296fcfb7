"""A small project and a way to run pytest on it in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

CASES = """
import pytest, torch
from torch import nn
from pytest_torchbasics import Tensor, layer, op

LINEAR = layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4), output=("N", 2))
MATMUL = op("matmul", torch.matmul, Tensor(2, 3), Tensor(3, 2), output=(2, 2))
CASES = [LINEAR, MATMUL]
"""

TESTS = """
from cases import *

@pytest.mark.cases(CASES)
def test_correct(check):
    check()

@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
"""

Run = Callable[..., pytest.RunResult]

#: Plugins that are installed for the coexistence tests, and switched off in all others.
OTHERS = ("playwright", "pytest_torch", "codspeed", "CodSpeedPlugin", "randomly")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(*arguments)` runs pytest in a process of its own, on the CPU, on `cases.py` and the tests that are there."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytester.makepyfile(cases=CASES)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")

    def run(*arguments: str, device: str | None = "cpu", others: tuple[str, ...] = ()) -> pytest.RunResult:
        off = [word for name in OTHERS if name not in others for word in ("-p", f"no:{name}")]
        chosen = [f"--torchbasics-device={device}"] if device else []
        return pytester.runpytest_subprocess(*off, *chosen, *arguments, timeout=240)

    return run
