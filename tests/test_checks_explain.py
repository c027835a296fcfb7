"""What a check says where a layer misbehaves in a way that no check looks for: never an error of our own."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import nn

from pytest_torchbasics import Case, CaseError, Declared, Tensor, assert_case, layer, op
from pytest_torchbasics.backends import DeviceError
from pytest_torchbasics.checks import CheckError, Outcome, Status, check_names
from pytest_torchbasics.checks.running import run_check
from pytest_torchbasics.trials import Trial

X = Tensor("N", 4)


class Alternating(nn.Module):
    """Returns one tensor and two by turns."""

    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        Alternating.calls += 1
        result = self.linear(x)
        return (result,) if Alternating.calls % 2 else (result, result)


class Remembering(nn.Module):
    """Keeps its hidden state with the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.hidden: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.linear(x)
        if self.hidden is not None and self.hidden.shape == result.shape:
            result = result + self.hidden
        self.hidden = result.tanh()
        return result


class Hiding(nn.Module):
    """Its weight is in a list, which torch does not look into."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [nn.Parameter(torch.randn(4, 4))]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weights[0]


def outcome_of(case: Case, check: str) -> Outcome:
    return run_check(Trial(case, "cpu", "float32"), check)


@pytest.mark.parametrize("check", check_names())
def test_a_changing_number_of_outputs_is_no_error_of_a_check(check: str) -> None:
    outcome = outcome_of(layer("alternating", Alternating, X), check)
    assert outcome.status is not Status.ERROR, outcome


def test_a_changing_number_of_outputs_is_named() -> None:
    case = layer("alternating", Alternating, X)
    assert "the number of outputs differs between two calls" in outcome_of(case, "determinism").message
    assert "another structure from call to call: shapes" in outcome_of(case, "gradient").message


@pytest.mark.parametrize("check", ["gradient", "second_gradient"])
def test_a_graph_that_is_kept_is_explained(check: str) -> None:
    outcome = outcome_of(layer("remembering", Remembering, X), check)
    assert outcome.status is Status.ERROR
    assert outcome.hint.startswith("something that is kept from an earlier call still has that call's graph")


def test_a_tensor_that_does_not_move_to_float64_is_explained() -> None:
    outcome = outcome_of(layer("hiding", Hiding, X), "reference")
    assert outcome.status is Status.ERROR
    assert "see what the check `movement` says" in outcome.hint


def test_a_view_of_other_strides_fails_the_check_of_strides() -> None:
    outcome = outcome_of(op("flat", lambda x: x.view(x.shape[0], -1) * 2, Tensor("N", 3, 4)), "strides")
    assert outcome.status is Status.FAILED
    assert outcome.message.startswith("for transposed inputs it raises: view size is not compatible")


def test_a_global_change_is_told_beside_another_fault() -> None:
    def careless(x: torch.Tensor) -> torch.Tensor:
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
        return x * 2

    outcome = outcome_of(op("careless", careless, Tensor(3, 4), output=(3, 5)), "shape")
    assert "declared is" in outcome.message
    assert "and it changes what is global, and leaves it so: torch.backends.cudnn.benchmark" in outcome.message


def test_a_failed_check_of_compile_leaves_no_trace_of_torch_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def wrong(x: torch.Tensor) -> torch.Tensor:
        return x * (3 if torch.compiler.is_compiling() else 2)

    with caplog.at_level(logging.DEBUG):
        assert outcome_of(op("wrong", wrong, X), "compile").status is Status.FAILED
    assert not [record for record in caplog.records if record.name == "torch.__trace"]
    assert not logging.getLogger("torch.__trace").filters


@pytest.mark.parametrize("kind", ["skip", "known_failure", "unsupported"])
def test_an_exception_for_a_check_or_device_that_there_is_not_is_refused(kind: str) -> None:
    misspelt = layer("linear", lambda: nn.Linear(4, 2), X, **{kind: {"batsch": "a reason"}})
    with pytest.raises(CheckError, match="unknown check 'batsch': did you mean batch"):
        assert_case(misspelt, checks=["shape"])
    elsewhere = layer("linear", lambda: nn.Linear(4, 2), X, **{kind: Declared("a reason", device="cuba")})
    with pytest.raises(DeviceError, match="unknown device 'cuba'"):
        assert_case(elsewhere, checks=["shape"])


def test_a_wrong_output_dtype_is_refused_where_it_is_declared() -> None:
    with pytest.raises(CaseError, match="case 'linear': unknown dtype 'flaot32'"):
        layer("linear", lambda: nn.Linear(4, 2), X, output_dtype="flaot32")


def both(x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"double": x * 2, "sum": x.sum(1)}


@pytest.mark.parametrize("declared", [{"sum": ("N",), "double": ("N", 4)}, lambda x: {"double": x, "sum": x[:1]}])
def test_a_dict_of_outputs_is_declared_by_its_keys(
    declared: dict[str, tuple[object, ...]] | Callable[..., object],
) -> None:
    assert outcome_of(op("both", both, X, output=declared), "shape").status is Status.PASSED


def test_a_wrong_or_missing_key_fails_by_name() -> None:
    outcome = outcome_of(op("both", both, X, output={"double": ("N", 3), "total": ("N",)}), "shape")
    assert outcome.status is Status.FAILED
    assert (
        "it returns ['double'] (3, 4), ['sum'] (3,), declared is ['double'] (3, 3), ['total'] (3,)" in outcome.message
    )


def test_an_unknown_symbol_inside_a_dict_is_refused() -> None:
    with pytest.raises(CaseError, match="symbol 'M', which no input has"):
        op("both", both, X, output={"double": ("M", 4), "sum": ("N",)})
