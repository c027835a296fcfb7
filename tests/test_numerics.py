"""Names of dtypes, trees, and bounds that mean something."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch

from pytest_torchbasics.numerics.bounds import allowed_errors, compare, is_vacuous
from pytest_torchbasics.numerics.dtypes import GROUPS, NAMES, DtypeError, parse_dtypes, torch_dtype, wide
from pytest_torchbasics.numerics.trees import leaves, map_tensors


@pytest.mark.parametrize(
    ("given", "full"),
    [
        (["fp32", "float", "torch.float32", torch.float32], ("float32",)),
        (["bf16", "half", "double"], ("bfloat16", "float16", "float64")),
        (["low-precision", "float16"], ("bfloat16", "float16")),
        ([" Float64 "], ("float64",)),
    ],
)
def test_names_aliases_and_groups(given: list[object], full: tuple[str, ...]) -> None:
    assert parse_dtypes(given) == full


def test_every_name_and_every_member_of_a_group_is_a_dtype() -> None:
    for name in {*NAMES, *(name for group in GROUPS.values() for name in group)}:
        assert isinstance(torch_dtype(name), torch.dtype)


@pytest.mark.parametrize("wrong", ["flaot32", "add", "Tensor", "float23", "qint8", ""])
def test_an_unknown_name_is_refused_with_the_nearest(wrong: str) -> None:
    with pytest.raises(DtypeError, match="unknown dtype"):
        parse_dtypes([wrong])
    with pytest.raises(DtypeError):
        torch_dtype(wrong)


def test_the_wide_dtype_keeps_the_kind() -> None:
    assert wide(torch.bfloat16) == torch.float64
    assert wide(torch.complex64) == torch.complex128
    assert wide(torch.int8) == torch.int8


def test_leaves_carry_their_paths() -> None:
    Point = namedtuple("Point", "x y")
    tree = {"a": [1, (2, 3)], "b": Point(4, {"c": 5})}
    assert [(leaf.path, leaf.value) for leaf in leaves(tree)] == [
        ("['a'][0]", 1),
        ("['a'][1][0]", 2),
        ("['a'][1][1]", 3),
        ("['b'].x", 4),
        ("['b'].y['c']", 5),
    ]
    mapped = map_tensors(lambda tensor: tensor + 1, {"p": Point(torch.zeros(1), 7)})
    assert mapped["p"].x.item() == 1
    assert mapped["p"].y == 7


def bound_of(function, *arguments: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    result = function(*arguments)
    (bound,) = allowed_errors(lambda a: [function(*a)], arguments, [result], dtype, torch.Generator().manual_seed(0))
    return result, bound


def test_what_no_perturbation_can_measure_has_no_bound() -> None:
    only_as_given = torch.tensor([1.0, 3.0], dtype=torch.float64)

    def fragile(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x == only_as_given, x, torch.nan)

    result, bound = bound_of(fragile, only_as_given, dtype=torch.bfloat16)
    assert bool(bound.isinf().all())
    assert is_vacuous(result, bound)  # so that a check says that it cannot judge, and does not pass


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("length", [4, 64, 1024])
def test_the_bound_passes_rounding_and_rejects_faults_at_any_length(dtype: torch.dtype, length: int) -> None:
    source = torch.Generator().manual_seed(1)
    x, w = (torch.randn(shape, generator=source).to(dtype).double() for shape in ((20, length), (length, 8)))
    expected, bound = bound_of(torch.matmul, x, w, dtype=dtype)
    actual = x.to(dtype) @ w.to(dtype)

    def share(values: torch.Tensor) -> float:
        return compare("output", values, expected, bound).share

    assert share(actual) <= 1
    for fault in (actual * 0, -actual, actual.flip(0), actual * (1 + 40 * torch.finfo(dtype).eps) ** 4):
        assert share(fault) > 1
    assert not is_vacuous(expected, bound)


def test_the_bound_grows_with_the_condition_of_the_function() -> None:
    x = torch.full((8,), 1000.0, dtype=torch.float64) + torch.arange(8)
    well, narrow = bound_of(lambda a: a * 2, x, dtype=torch.float32)
    ill, wide_ = bound_of(lambda a: a - 1000, x, dtype=torch.float32)
    assert (narrow / well).max() * 50 < (wide_[1:] / ill[1:]).min()


def test_a_bound_wider_than_the_values_is_vacuous() -> None:
    values = torch.full((4,), 1e-3)
    assert is_vacuous(values, torch.full((4,), 2e-2, dtype=torch.float64))
    assert not is_vacuous(values, torch.full((4,), 1e-5, dtype=torch.float64))
    assert not is_vacuous(torch.zeros(4), torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("actual", "expected", "wrong"),
    [
        ([1.0, float("nan")], [1.0, 2.0], 1),
        ([float("nan")], [float("nan")], 1),
        ([float("inf")], [float("inf")], 0),
        ([float("inf")], [float("-inf")], 1),
        ([float("inf")], [1e30], 1),
        ([1.0, 2.0], [1.0, 2.0], 0),
        ([-0.0], [0.0], 0),
    ],
)
def test_nan_equals_nothing_and_infinity_only_itself(actual: list[float], expected: list[float], wrong: int) -> None:
    found = compare("x", torch.tensor(actual), torch.tensor(expected), torch.full((len(actual),), 1e-3).double())
    assert found.wrong == wrong
    assert (found.share > 1) == bool(wrong)


def test_integers_and_booleans_are_compared_exactly() -> None:
    assert compare("x", torch.tensor([2**60 + 1]), torch.tensor([2**60]), None).wrong == 1
    assert compare("x", torch.tensor([True, False]), torch.tensor([True, True]), None).wrong == 1
    assert compare("x", torch.tensor([3, 4]), torch.tensor([3, 4]), None).wrong == 0


def test_a_mismatch_tells_where_and_how_much() -> None:
    expected = torch.zeros(2, 3)
    actual = expected.clone()
    actual[1, 2] = 5
    text = str(compare("output", actual, expected, torch.full((2, 3), 0.5).double()))
    assert text == (
        "output: 1 of 6 elements are wrong; the worst at index (1, 2) is 5, expected 0, error 5, allowed 0.5"
    )
