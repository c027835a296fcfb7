"""Declaring cases: they are immutable, checked at once, and make the same inputs everywhere."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from pytest_torchbasics import CaseError, Declared, Tensor, layer, op
from pytest_torchbasics.cases import validate_cases
from pytest_torchbasics.trials import Trial


def linear(**facts):
    return layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4), **facts)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_case_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        linear().name = "other"
    with pytest.raises(TypeError):
        linear().sizes["N"] = 3


def test_symbols_get_two_sizes_each_and_none_in_common() -> None:
    case = op("mix", torch.matmul, Tensor("N", "T", 3), Tensor(3, "F"))
    sizes = [set(assignment.values()) for assignment in case.assignments()]
    assert len(sizes) == 2
    assert all(len(found) == 3 for found in sizes)
    assert case.timing_assignments() == {"": {"N": 32, "T": 32, "F": 32}}


@pytest.mark.parametrize(
    ("given", "check", "timing"),
    [
        (7, (7,), (7,)),
        ((1, 3, 32), (1, 3, 32), (32,)),
        ({"check": (2, 3), "timing": 64}, (2, 3), (64,)),
        ({"check": 2, "timing": (1, 64)}, (2,), (1, 64)),
        ({"timing": 9}, (9,), (9,)),
    ],
)
def test_sizes_may_be_given_in_short(given: object, check: tuple[int, ...], timing: tuple[int, ...]) -> None:
    sizes = linear(sizes={"N": given}).sizes["N"]
    assert (sizes.check, sizes.timing) == (check, timing)


def test_the_batch_is_what_begins_with_n_unless_declared() -> None:
    assert linear().batch == (0,)
    assert linear(batch=()).batch == ()
    assert op("two", torch.add, Tensor("N", 2), Tensor(2), batch=None).batch == (0,)


@pytest.mark.parametrize(
    "given",
    ["why", {"batch": "why"}, Declared("why", check="batch"), [Declared("why", check="batch", device="cuda")]],
)
def test_exceptions_may_be_given_in_short(given: object) -> None:
    (found,) = linear(known_failure=given).known_failure
    assert found.reason == "why"
    assert found.covers("batch", "cuda:1", "float32")


def test_an_exception_covers_only_what_it_names() -> None:
    declared = Declared("why", check="batch", device="cuda", dtype="bf16")
    assert declared.covers("batch", "cuda:0", "bfloat16")
    assert not declared.covers("shape", "cuda", "bfloat16")
    assert not declared.covers("batch", "cpu", "bfloat16")
    assert not declared.covers("batch", "cuda", "float32")
    assert not declared.covers(None, "cuda", "bfloat16")


@pytest.mark.parametrize("wrong", [[], [linear(), linear()], linear(), [3], "cases", None])
def test_a_wrong_list_of_cases_is_refused(wrong: object) -> None:
    with pytest.raises(CaseError):
        validate_cases(wrong)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
def test_inputs_are_the_same_in_every_dtype_up_to_rounding(dtype: str) -> None:
    exact, rounded = (Trial(linear(), "cpu", name).samples()[0][0] for name in ("float64", dtype))
    assert torch.equal(exact.to(rounded.dtype), rounded)
    assert rounded.requires_grad


@pytest.mark.parametrize(
    ("tensor", "dtype", "low", "high"),
    [
        (Tensor(50, dtype="int64"), torch.int64, 0, 9),
        (Tensor(50, dtype="int32", low=-3, high=3), torch.int32, -3, 2),
        (Tensor(50, dtype="bool"), torch.bool, 0, 1),
        (Tensor(50, low=0.5, high=0.75), torch.float32, 0.5, 0.75),
        (Tensor(50, fill=3), torch.float32, 3, 3),
    ],
)
def test_tensors_are_filled_as_declared(tensor: Tensor, dtype: torch.dtype, low: float, high: float) -> None:
    made = tensor.make({}, torch.float32, generator())
    assert made.dtype == dtype
    assert low <= made.min().item() <= made.max().item() <= high
    assert made.requires_grad == dtype.is_floating_point


def test_complex_values_and_given_values() -> None:
    assert Tensor(3, dtype="cfloat").make({}, torch.float32, generator()).dtype == torch.complex64
    given = Tensor(2, 2, fill=[[1, 2], [3, 4]]).make({}, torch.float64, generator())
    assert given.tolist() == [[1, 2], [3, 4]]


def test_weights_are_seeded_by_the_name_and_leave_the_generator_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (
        Trial(layer(name, lambda: nn.Linear(4, 2), Tensor("N", 4)), "cpu", "float32").subject().parameters["weight"]
        for name in ("a", "a", "b")
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_calling_a_subject_purely_changes_neither_inputs_nor_buffers() -> None:
    case = layer("norm", lambda: nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm1d(4)), Tensor("N", 4))
    trial = Trial(case, "cpu", "float32")
    subject, (inputs, *_) = trial.subject(training=True), trial.samples()
    state = {name: value.clone() for name, value in subject.module.state_dict().items()}
    before = inputs[0].clone()
    subject.pure(inputs)
    assert torch.equal(inputs[0], before)
    assert all(torch.equal(value, state[name]) for name, value in subject.module.state_dict().items())


def test_lazy_modules_complex_parameters_and_prepare() -> None:
    lazy = Trial(layer("lazy", lambda: nn.LazyLinear(3), Tensor("N", 4)), "cpu", "float64").subject()
    assert lazy.parameters["weight"].shape == (3, 4)
    assert lazy.parameters["weight"].dtype == torch.float64
    made = layer("c", lambda: nn.Linear(2, 2, dtype=torch.complex64), Tensor("N", 2, dtype="complex64"))
    assert Trial(made, "cpu", "float64").subject().parameters["weight"].dtype == torch.complex128
    prepared = linear(prepare=lambda module: nn.init.constant_(module.bias, 7))
    assert Trial(prepared, "cpu", "float32").subject().parameters["bias"].tolist() == [7, 7]


def test_the_hash_tells_inputs_layers_and_sizes_apart_and_nothing_else() -> None:
    def digest(case, device="cpu", dtype="float32"):
        return Trial(case, device, dtype).case_hash()

    assert digest(linear()) == digest(linear()) == digest(linear(), dtype="float64")
    others = [
        linear(sizes={"N": 3}),
        layer("linear", lambda: nn.Linear(4, 3), Tensor("N", 4)),
        layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4, low=0)),
        op("linear", torch.relu, Tensor("N", 4)),
    ]
    assert len({digest(linear()), *map(digest, others)}) == 5
