"""A check may never lie: every way in which one could pass without having looked, or fail somebody else."""

from __future__ import annotations

import os
import pickle
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pytest_torchbasics import Case, Tensor, layer, op
from pytest_torchbasics.checks import check_names
from pytest_torchbasics.checks.outcome import BAD, Outcome, Status
from pytest_torchbasics.checks.running import run_check
from pytest_torchbasics.global_state.watch import put_back
from pytest_torchbasics.trials import Trial

X = Tensor("N", 6)


def outcome_of(case: Case, check: str, dtype: str = "float32") -> Outcome:
    return run_check(Trial(case, "cpu", dtype), check)


def enter(context: Any) -> None:
    KEPT.append(context)  # else it would end with its last reference
    context.__enter__()


KEPT: list[Any] = []

#: What a layer may leave changed, and how the failure names it.
LEAKS: dict[str, tuple[Callable[[], Any], str]] = {
    "default-dtype": (
        lambda: torch.set_default_dtype(torch.float64),
        "default dtype .torch.float64, before torch.float32",
    ),
    "default-device": (lambda: torch.set_default_device("meta"), "default device .meta, before cpu"),
    "grad-mode": (lambda: torch.set_grad_enabled(False), "grad mode .False, before True"),
    "inference-mode": (lambda: enter(torch.inference_mode()), "inference mode .True, before False"),
    "anomaly-detection": (lambda: torch.autograd.set_detect_anomaly(True), "anomaly detection .True"),
    "threads": (lambda: torch.set_num_threads(torch.get_num_threads() + 1), "number of threads"),
    "deterministic": (lambda: torch.use_deterministic_algorithms(True), "deterministic algorithms"),
    "cudnn-benchmark": (lambda: setattr(torch.backends.cudnn, "benchmark", True), "cudnn.benchmark .True"),
    "tf32": (
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        "TF32 .*torch.backends.cudnn.allow_tf32: False, before True",
    ),
    "tf32-of-matmul": (lambda: torch.set_float32_matmul_precision("medium"), "TF32 .*medium, before highest"),
    "autocast": (lambda: torch.set_autocast_enabled("cpu", True), "autocast on cpu .True, before False"),
    "autocast-dtype": (
        lambda: torch.set_autocast_dtype("cpu", torch.float16),
        "dtype of autocast on cpu .torch.float16, before torch.bfloat16",
    ),
    "autocast-cache": (lambda: torch.set_autocast_cache_enabled(False), "autocast's cache .False, before True"),
    "sparse": (lambda: torch.sparse.check_sparse_tensor_invariants.enable(), "invariants of sparse tensors"),
    "directory": (lambda: os.chdir("/"), "the working directory"),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_layer_that_leaves_global_state_changed_fails_and_is_undone(name: str) -> None:
    change, says = LEAKS[name]

    def leaky(x: torch.Tensor) -> torch.Tensor:
        result = x * 2
        change()
        return result

    with torch.random.fork_rng(), put_back() as left:
        outcome = outcome_of(op("leaky", leaky, Tensor(3, 6, requires_grad=False), output=(3, 6)), "shape")
        while KEPT:
            KEPT.pop().__exit__(None, None, None)
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith("it changes what is global, and leaves it so: ")
    assert re.search(says, outcome.message), outcome.message
    assert left == []


@pytest.mark.parametrize("draw", [random.random, np.random.rand, lambda: random.seed(0), lambda: np.random.seed(0)])
def test_random_numbers_of_python_and_numpy_are_named_by_one_check_and_undone(draw: Callable[[], Any]) -> None:
    def foreign(x: torch.Tensor) -> torch.Tensor:
        draw()
        return x * 2

    case = op("foreign", foreign, X, output=("N", 6))
    before = random.getstate(), pickle.dumps(np.random.get_state())
    outcomes = {name: outcome_of(case, name) for name in check_names()}
    found = {name: str(outcome) for name, outcome in outcomes.items() if outcome.status in BAD}
    assert set(found) == {"determinism"}, found
    assert "draws from Python's or NumPy's generator" in found["determinism"]
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == before


def test_what_a_layer_puts_back_itself_is_no_leak() -> None:
    def careful(x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.random.fork_rng():
            torch.manual_seed(0)
            noise = torch.randn(6)
        return x + noise.to(x)

    assert outcome_of(op("careful", careful, X, output=("N", 6)), "shape").status is Status.PASSED


@pytest.mark.parametrize("check", ["reference", "gradient_reference"])
def test_a_dtype_silently_computed_in_another_is_found(check: str) -> None:
    case = op("narrow", lambda x: x.float().sin().to(x.dtype), X, output=("N", 6), reference=torch.sin)
    assert outcome_of(case, check, "float64").status is Status.FAILED
    assert outcome_of(case, check, "float32").status is Status.PASSED


class Frozen(nn.Linear):
    """Its weight is hidden from autograd."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight.detach(), self.bias)


def test_gradcheck_looks_at_parameters_though_no_input_requires_a_gradient() -> None:
    case = layer("frozen", lambda: Frozen(6, 2), Tensor("N", 6, requires_grad=False))
    outcome = outcome_of(case, "gradient")
    assert outcome.status is Status.FAILED
    assert "parameter weight" in outcome.message


def test_a_result_is_not_compared_with_itself_or_a_view_of_it() -> None:
    """The op doubles its input in place; a reference that returns its input would agree if they shared memory."""
    for returns in (lambda x: x, lambda x: x.view(-1).view(x.shape), lambda x: x[:]):
        case = op("doubles", lambda x: x.mul_(2), Tensor(3, 6, requires_grad=False), reference=returns)
        assert outcome_of(case, "reference").status is Status.FAILED


def test_a_call_is_not_compared_with_the_buffer_that_the_next_call_overwrites() -> None:
    kept = torch.zeros(6)

    def counts(x: torch.Tensor) -> torch.Tensor:
        kept.add_(1)
        return kept

    case = op("counts", counts, Tensor(6, requires_grad=False), dtypes="float32")
    for check in ("determinism", "mutation"):
        assert outcome_of(case, check).status is Status.FAILED, check


@pytest.mark.parametrize(
    "flipped", [lambda x: -x, lambda x: torch.where(torch.arange(40) == 7, -x, x), lambda x: 0 * x, lambda x: x.flip(0)]
)
def test_values_near_zero_are_not_all_within_tolerance_of_each_other(flipped: Callable[..., torch.Tensor]) -> None:
    small = Tensor(40, low=-1e-3, high=1e-3)
    wrong = op("small", flipped, small, reference=lambda x: 1 * x)
    right = op("small", lambda x: x * 1, small, reference=lambda x: 1 * x)
    for dtype in ("bfloat16", "float16", "float32", "float64"):
        assert outcome_of(wrong, "reference", dtype).status is Status.FAILED, dtype
        assert outcome_of(right, "reference", dtype).status is Status.PASSED, dtype


@pytest.mark.parametrize("name", check_names())
def test_an_exception_in_a_check_is_an_error_and_no_declaration_excuses_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(trial: Trial) -> Outcome:
        raise NotImplementedError("this check is not finished")

    monkeypatch.setattr("pytest_torchbasics.checks.running.find", lambda _: broken)
    for facts in ({}, {"known_failure": "known to be wrong"}):
        case = layer("linear", lambda: nn.Linear(6, 2), X, **facts)
        outcome = outcome_of(case, name)
        assert outcome.status is Status.ERROR
        assert outcome.status in BAD


def test_an_unsupported_check_is_refused_by_torch_and_by_nobody_else() -> None:
    def refuses(x: torch.Tensor) -> torch.Tensor:
        raise TypeError("input 0 has the wrong shape")

    class NoSecond(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError("no backward")

    shape_error = op("refuses", refuses, X, unsupported="torch has no kernel")
    assert outcome_of(shape_error, "shape").status is Status.ERROR
    runs = op("runs", lambda x: x * 2, X, unsupported={"gradient": "torch has no derivative"})
    assert outcome_of(runs, "gradient").status is Status.XPASSED
    refused = op("refused", NoSecond.apply, X, unsupported={"gradient": "it has no derivative"})
    assert outcome_of(refused, "gradient").status is Status.UNSUPPORTED


def test_the_statistics_of_a_batch_norm_are_those_of_the_layer_alone() -> None:
    """No check may see what another one left: each gets a module of its own, or an error says that it does not."""
    made: list[nn.Module] = []

    def fresh() -> nn.Module:
        made.append(nn.BatchNorm1d(6))
        return made[-1]

    case = layer("fresh", fresh, X, output=("N", 6))
    alone = [outcome_of(case, name) for name in check_names()]
    seen = [run_check(Trial(case, "cpu", "float32"), name) for name in reversed(check_names())]
    assert [str(outcome) for outcome in alone] == [str(outcome) for outcome in reversed(seen)]

    shared = nn.BatchNorm1d(6)
    outcome = outcome_of(layer("shared", lambda: shared, X, output=("N", 6)), "mutation")
    assert outcome.status is Status.ERROR
    assert "the factory returned the same module twice" in outcome.message
    assert int(shared.num_batches_tracked) == 0
