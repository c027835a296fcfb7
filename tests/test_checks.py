"""The checks as functions: their registry, what they say of healthy layers, and that they never lie."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest
import torch
from torch import nn

from pytest_torchbasics import CheckFailure, Tensor, assert_case, layer, op
from pytest_torchbasics.checks import CheckError, Status, check_names, describe, find, parse_checks
from pytest_torchbasics.checks.running import run_check
from pytest_torchbasics.trials import Trial

X = Tensor("N", 6)


@dataclasses.dataclass(frozen=True)
class Masked:
    values: torch.Tensor
    mask: torch.Tensor


class LlamaNorm(nn.Module):
    """The usual root mean square norm, which computes in float32 inside whatever it is given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(6) + 0.5)

    def forward(self, x):
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def masked_samples(device, dtype, generator):
    values = torch.randn(3, 4, device=device, generator=generator).to(dtype)
    return [(Masked(values, values > 0), torch.randn(4, device=device, generator=generator).to(dtype))]


class Spare(nn.Module):
    """A layer with an option that is off: its parameter has no elements."""

    def __init__(self):
        super().__init__()
        self.weight, self.spare = nn.Parameter(torch.rand(6) + 0.5), nn.Parameter(torch.zeros(0))

    def forward(self, x):
        return x * self.weight + self.spare.sum()


HEALTHY = [
    layer("llama-norm", LlamaNorm, X, output=("N", 6)),
    op("float32-softmax", lambda x: x.softmax(-1, dtype=torch.float32).to(x.dtype), X, output=("N", 6)),
    op("dataclass", lambda m, w: (m.values * m.mask) @ w, samples=masked_samples, output=(3,)),
    op("constant-first", lambda w, x: w * x, Tensor(6, fill=1), X, output=("N", 6), reference=lambda w, x: x * w),
    layer("few-dropped", lambda: nn.Dropout(0.1), Tensor("N", 2), output=("N", 2), random_in_training=True),
    layer("loss", nn.MSELoss, X, X, output=()),
    op(
        "sine-of-integers",
        torch.sin,
        Tensor("N", 3, dtype="int64"),
        output_dtype="float32",
        reference=lambda x: x.double().sin(),
    ),
    op("classes", lambda x: x.argmax(-1), X, output=("N",), output_dtype=torch.int64),
    layer("linear", lambda: nn.Linear(6, 3), X, output=("N", 3)),
    layer("batch-norm", lambda: nn.BatchNorm1d(6), X, output=("N", 6)),
    layer("layer-norm", lambda: nn.LayerNorm(6), X, output=("N", 6)),
    layer("rms-norm", lambda: nn.RMSNorm(6), X, output=("N", 6)),
    layer("dropout", nn.Dropout, Tensor("N", 40), output=("N", 40), random_in_training=True),
    layer("embedding", lambda: nn.Embedding(7, 4), Tensor("N", 5, dtype="int64", high=7), output=("N", 5, 4)),
    layer("lstm", lambda: nn.LSTM(6, 4, batch_first=True), Tensor("N", 5, 6), batch=()),
    layer("attention", lambda: nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), Tensor("N", 5, 8)),
    layer("conv", lambda: nn.Conv2d(3, 4, 3, padding=1), Tensor("N", 3, 5, 4), output=("N", 4, 5, 4)),
    layer("lazy", lambda: nn.LazyLinear(2), X, output=("N", 2)),
    op("softmax", lambda x: x.softmax(-1), X, output=("N", 6)),
    op("sort", lambda x: tuple(x.sort(-1)), X, output=[("N", 6), ("N", 6)], output_dtype=(None, "int64")),
    op("complex", lambda x: x * x.conj(), Tensor("N", 6, dtype="complex64"), output=("N", 6), output_dtype="complex64"),
    op("complex-in-any-run", lambda z: z.abs() ** 2, Tensor("N", 6, dtype="complex64"), output=("N", 6)),
    op("integers", lambda x: x + 1, Tensor("N", 3, dtype="int32"), output=("N", 3), reference=lambda x: 1 + x),
    layer("empty-parameter", Spare, X, output=("N", 6)),
    op("empty-input", lambda x, more: torch.cat([x, more]), X, Tensor(0, 6), batch=()),
    op("mapping", lambda x: {"twice": 2 * x, "sum": x.sum(-1)}, X),
]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("case", HEALTHY, ids=lambda case: case.name)
def test_no_check_fails_on_a_healthy_case(case, dtype: str) -> None:
    outcomes = assert_case(case, dtype=dtype)
    assert any(outcome.status is Status.PASSED for outcome in outcomes)
    assert all(outcome.message for outcome in outcomes if outcome.status is Status.NOT_APPLICABLE)


class Centred(nn.Module):
    """Its bias has a gradient of zero, by cancellation, of which rounding leaves something."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3)

    def forward(self, x):
        y = self.conv(x)
        return y - y.mean(-1, keepdim=True)


class MaskedAttention(nn.Module):
    """Masked by the lowest number, as usual: a row without any key has a softmax over equal ones."""

    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)

    def forward(self, x, mask):
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-1, -2) / 2).masked_fill(~mask[:, None, None], torch.finfo(x.dtype).min)
        return x + self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))


def with_masked_rows(device, dtype, generator):
    x = torch.randn(16, 2, 8, device=device, generator=generator).to(dtype)
    mask = torch.ones(16, 2, dtype=torch.bool, device=device)
    mask[::2] = False
    return [(x, mask)]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_a_mask_of_the_lowest_number_raises_no_alarm(dtype: str, number: int) -> None:
    case = layer(f"attention-{number}", MaskedAttention, samples=with_masked_rows, batch=(0, 1))
    outcomes = assert_case(case, dtype=dtype, checks=["reference", "gradient_reference", "strides", "autocast"])
    assert any(outcome.status is Status.PASSED for outcome in outcomes)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_a_gradient_that_cancels_to_zero_raises_no_alarm(dtype: str) -> None:
    names = ["gradient", "gradient_reference", "forward_gradient", "second_gradient", "strides", "autocast"]
    outcomes = assert_case(layer("centred", Centred, Tensor("N", 3, 9)), dtype=dtype, checks=names)
    assert any(outcome.status is Status.PASSED for outcome in outcomes)


@pytest.mark.parametrize("name", check_names())
def test_a_check_is_found_by_its_name_and_says_what_it_finds(name: str) -> None:
    assert find(name).__name__ == name
    assert describe(name).startswith("Finds ")
    assert describe(name).endswith(".")


def test_unknown_checks_are_refused_with_the_nearest() -> None:
    with pytest.raises(CheckError, match=r"unknown check .gradeint.: did you mean gradient"):
        parse_checks(["gradeint"])
    with pytest.raises(CheckError, match="no check is selected"):
        parse_checks([" "])


def test_assert_case_lists_every_failed_check() -> None:
    case = op("mean", lambda x: (x - x.mean(0)).double(), X, output=("N", 6))
    with pytest.raises(CheckFailure) as caught:
        assert_case(case)
    text = str(caught.value)
    assert text.startswith("mean on cpu in float32 (eager):")
    assert "batch: " in text
    assert "shape: " in text
    assert {outcome.check for outcome in caught.value.outcomes} == set(check_names())
    assert isinstance(caught.value, AssertionError)


def test_assert_case_takes_some_checks_and_refuses_wrong_names() -> None:
    case = HEALTHY[0]
    assert [outcome.check for outcome in assert_case(case, checks=["shape", "batch"])] == ["shape", "batch"]
    for wrong in ({"checks": ["shap"]}, {"dtype": "flaot"}, {"device": "cdua"}, {"checks": []}):
        with pytest.raises(ValueError, match=r"unknown|no check"):
            assert_case(case, **wrong)


@pytest.mark.parametrize("name", check_names())
def test_a_check_leaves_everything_as_it_was(name: str) -> None:
    def state() -> tuple[object, ...]:
        return (
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.backends.cudnn.allow_tf32,
            torch.get_float32_matmul_precision(),
        )

    before = state()
    run_check(Trial(HEALTHY[1], "cpu", "float32"), name)
    assert state() == before


def test_a_reference_that_is_the_code_under_test_does_not_count() -> None:
    for name in ("reference", "gradient_reference"):
        outcome = run_check(Trial(HEALTHY[0], "cpu", "float64"), name)
        assert outcome.status is Status.NOT_APPLICABLE
        assert "compared with itself" in outcome.message


@pytest.mark.parametrize("values", [lambda: torch.zeros(3, 6), lambda: torch.ones(3, 6), lambda: torch.eye(6)])
def test_inputs_that_hide_faults_are_a_failure_unless_declared(values) -> None:
    def samples(device, dtype, generator):
        return [(values().to(device, dtype),)]

    case = layer("linear", lambda: nn.Linear(6, 3), samples=samples, batch=(0,))
    for name in ("reference", "gradient", "gradient_reference", "batch", "parameters"):
        outcome = run_check(Trial(case, "cpu", "float32"), name)
        assert outcome.status is Status.FAILED, name
        assert "hides most faults" in outcome.message
    declared = layer("linear", lambda: nn.Linear(6, 3), Tensor("N", 6, fill=0))
    assert run_check(Trial(declared, "cpu", "float32"), "gradient").status is Status.NOT_APPLICABLE


def test_nan_equal_to_nan_is_a_failure() -> None:
    case = op("log", torch.log, Tensor(20), reference=lambda x: x.log())
    outcome = run_check(Trial(case, "cpu", "float32"), "reference")
    assert outcome.status is Status.FAILED
    assert "the reference is NaN" in outcome.message
    assert "low=" in outcome.hint


def test_gradient_without_anything_to_differentiate_does_not_pass() -> None:
    case = op("count", lambda x: x * 2, Tensor(3, requires_grad=False))
    outcome = run_check(Trial(case, "cpu", "float32"), "gradient")
    assert outcome.status is Status.NOT_APPLICABLE
    assert "requires a gradient" in outcome.message


def test_an_exception_of_the_layer_is_an_error_and_never_a_skip() -> None:
    case = op("typo", lambda x: x.sofmax(-1), X)
    for name in ("reference", "gradient", "batch", "determinism", "mutation"):
        outcome = run_check(Trial(case, "cpu", "float32"), name)
        assert outcome.status is Status.ERROR, name
        assert "AttributeError" in outcome.message
        assert isinstance(outcome.exception, AttributeError)


def test_every_trial_in_compile_mode_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """dynamo gives up after 8 functions that share a piece of code, and goes on in eager mode."""
    compiled: list[str] = []

    def backend(graph, inputs):
        compiled.append(trial.case.name)
        return graph.forward

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend=backend))
    for index in range(12):
        case = layer(f"linear-{index}", lambda: nn.Linear(6, 3), X, output=("N", 3))
        trial = Trial(case, "cpu", "float32", "compile")
        assert run_check(trial, "reference").status is Status.PASSED
    assert set(compiled) == {f"linear-{index}" for index in range(12)}
