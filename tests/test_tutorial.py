"""Every step of the tutorial is a case; the suite itself runs as any test of a user."""

from __future__ import annotations

import pytest
import torch

from pytest_torchbasics.checks import Status
from pytest_torchbasics.checks.running import run_check
from pytest_torchbasics.trials import Trial
from suites.tutorial.cnn import AsWritten, structure
from suites.tutorial.test_tutorial import CASES

STEPS = [
    "tensor/from-list",
    "tensor/from-list-float",
    "tensor/from-list-bool",
    "tensor/from-numpy",
    "tensor/from-tensor",
    "tensor/zeros",
    "tensor/reshape",
    "tensor/add-scalar",
    "tensor/transpose",
    "tensor/matmul",
    "tensor/cat-0",
    "tensor/cat-1",
    "autograd/square",
    "layer/linear",
    "layer/linear-documented",
    "layer/sigmoid",
    "layer/sequential",
    "layer/conv2d",
    "layer/relu",
    "layer/max-pool",
    "layer/dropout",
    "layer/mse-loss",
    "layer/conv-relu-pool",
    "cnn/features",
    "cnn/flatten",
    "cnn/head",
    "cnn/as-written",
    "cnn/corrected",
    "cnn/structure",
    "image/to-tensor-l",
    "image/to-tensor-rgb",
    "image/to-tensor-rgba",
]

BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_a_case(step: str) -> None:
    assert step in BY_NAME


def test_documented_values_are_asserted() -> None:
    """A wrong documented value must fail: the property of the case is what is tested here."""
    case = BY_NAME["layer/linear-documented"]
    assert run_check(Trial(case, "cpu", "float32"), "properties").status is Status.PASSED
    spoiled = Trial(BY_NAME["layer/linear-documented"], "cpu", "float32").subject()
    with torch.no_grad():
        spoiled.module.bias += 1e-3
    with pytest.raises(AssertionError, match="instead of"):
        case.properties[0](spoiled.module, torch.ones(2, 3, 4))


def test_the_network_as_written_is_reproduced() -> None:
    assert AsWritten()(torch.randn(3, 5, 4, 2)).shape == (10,)
    assert structure() == [6, 1, 126, 100, 970]
    with pytest.raises(RuntimeError):
        AsWritten()(torch.randn(2, 5, 4, 2))
