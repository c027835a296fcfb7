"""The check `device_parity`, on a second device that is the CPU under another name, with kernels of its own."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from pytest_torchbasics import Case, Tensor, layer, op
from pytest_torchbasics.checks import Status
from pytest_torchbasics.checks.running import run_check
from pytest_torchbasics.trials import Trial

X = Tensor("N", 6)
RUNNING = {"device": "cpu"}


@pytest.fixture(autouse=True)
def _kernels_know_their_device(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded = Trial.seeded

    def noted(self, seed=None):
        RUNNING["device"] = self.device
        return seeded(self, seed)

    monkeypatch.setattr(Trial, "seeded", noted)


def elsewhere() -> bool:
    return RUNNING["device"] != "cpu"


class WrongBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.cos() * (1.01 if elsewhere() else 1.0)


class Rounds(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        return y.to(torch.bfloat16).to(y.dtype) if elsewhere() else y


def outcome(case: Case, device: str = "cpu:0", dtype: str = "float32"):
    return run_check(Trial(case, device, dtype), "device_parity")


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (op("other-value", lambda x: x * (1.001 if elsewhere() else 1.0), X), "output on cpu:0 in evaluation mode"),
        (op("wrong-backward", WrongBackward.apply, X), r"gradient by input\[0\] on cpu:0"),
        (layer("rounds", lambda: Rounds(6, 2), X), "output on cpu:0 in evaluation mode: 6 of 6 elements are wrong"),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_a_kernel_that_computes_something_else_is_found(case: Case, says: str) -> None:
    found = outcome(case)
    assert found.status is Status.FAILED
    assert re.search(says, found.message), found.message


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_equal_kernels_pass(dtype: str) -> None:
    case = layer("linear", lambda: nn.Sequential(nn.Linear(6, 4), nn.Dropout(), nn.BatchNorm1d(4)), X)
    assert outcome(case, dtype=dtype).status is Status.PASSED


def test_on_the_cpu_there_is_nothing_to_compare_with() -> None:
    found = outcome(op("sine", torch.sin, X), device="cpu")
    assert found.status is Status.NOT_APPLICABLE
    assert "CPU itself" in found.message
