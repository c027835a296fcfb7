"""Names of dtypes, trees, and bounds that mean something."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch

from pytest_torchbasics.numerics.bounds import (
    MARGIN,
    MARGIN_OF_SUMS,
    STEPS,
    allowed_errors,
    compare,
    is_vacuous,
    plain_bound,
)
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


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def expected_bound(effect: float, rms: float, result: float, dtype: torch.dtype) -> float:
    """By the formula of the module's text: the effect of one rounding, and a quarter of that of the result itself."""
    margin = MARGIN if dtype in (torch.bfloat16, torch.float16) else MARGIN_OF_SUMS
    info = torch.finfo(dtype)
    return margin * (max(effect, rms) + info.eps * abs(result) / 4) + 2 * info.tiny


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_bound_is_the_effect_of_one_rounding_times_its_margin(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    _, bound = bound_of(lambda x: 3 * x, doubles(-2.0), dtype=dtype)
    assert bound.item() == pytest.approx(expected_bound(6 * eps, 6 * eps, -6, dtype), rel=0.2 if eps < 1e-9 else 1e-6)
    _, bound = bound_of(lambda x: 3 * x, doubles(0.0, 2.0), dtype=torch.bfloat16)
    eps = torch.finfo(torch.bfloat16).eps
    rms = 6 * eps / 2**0.5
    assert bound.tolist() == pytest.approx(
        [expected_bound(0, rms, 0, torch.bfloat16), expected_bound(6 * eps, rms, 6, torch.bfloat16)]
    )
    assert bound_of(lambda x: 3 * x, doubles(), dtype=dtype)[1].shape == (0,)


def test_the_bound_of_the_smallest_values_is_as_small() -> None:
    eps = torch.finfo(torch.float64).eps
    _, bound = bound_of(lambda x: 3 * x, doubles(1e-60), dtype=torch.float64)
    effect = 3e-60 * eps
    assert bound.item() == pytest.approx(expected_bound(effect, effect, 3e-60, torch.float64), rel=0.5, abs=0)


def test_the_bounds_of_one_generator_are_the_same_each_time_and_draw_from_no_other() -> None:
    before = torch.get_rng_state()
    many = torch.linspace(0, 9, 50, dtype=torch.float64)
    bounds = [bound_of(lambda x: x.sin().sum(), many, dtype=torch.float32)[1] for _ in range(2)]
    assert torch.equal(*bounds)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_jump_that_only_the_larger_steps_reach_counts_in_part() -> None:
    eps = torch.finfo(torch.float32).eps

    def jumps(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x - 1).abs() > 2 * eps, 9.0, 1.0).double()

    _, bound = bound_of(jumps, doubles(1.0), dtype=torch.float32)
    assert bound.item() == pytest.approx(expected_bound(2.0, 2.0, 1.0, torch.float32))


@pytest.mark.parametrize("outside", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("side", [1, -1])
def test_a_perturbation_that_leaves_the_domain_measures_nothing(outside: float, side: int) -> None:
    eps = torch.finfo(torch.float32).eps
    _, bound = bound_of(lambda x: torch.where(side * (x - 1) > 0, outside, x), doubles(1.0), dtype=torch.float32)
    assert bound.item() == pytest.approx(expected_bound(eps, eps, 1.0, torch.float32), rel=1e-6)


def test_where_only_some_elements_can_be_measured_the_others_have_no_bound() -> None:
    given = doubles(1.0, 1.0)

    def half(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[0], torch.where(x[1] == 1, x[1], torch.nan)])

    _, bound = bound_of(half, given, dtype=torch.float32)
    assert bound.isinf().tolist() == [False, True]


def test_an_infinite_result_is_compared_exactly() -> None:
    _, bound = bound_of(lambda x: x / doubles(0.0, 1.0), doubles(1.0, 1.0), dtype=torch.float32)
    assert bound[0] == 0
    assert 0 < bound[1] < 1e-4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_every_argument_is_moved_by_its_steps_both_ways_and_stays_what_it_is(dtype: torch.dtype) -> None:
    given = [torch.full((50,), 2.0).double().requires_grad_(), torch.full((50,), 2j, dtype=torch.complex128)]
    given += [torch.full((50,), 2.0)] if dtype == torch.bfloat16 else []
    seen: list[list[torch.Tensor]] = []

    def compute(moved: list[torch.Tensor]) -> list[torch.Tensor]:
        seen.append(moved)
        return [each.detach() for each in moved]

    source = torch.Generator().manual_seed(0)
    bounds = allowed_errors(compute, given, [each.detach() for each in given], dtype, source)
    assert {bound.dtype for bound in bounds} == {torch.float64}
    assert len(seen) == len(STEPS)
    for step, moved in zip(STEPS, seen, strict=True):
        share = step * torch.finfo(dtype).eps
        for was, now in zip(given, moved, strict=True):
            assert (now.dtype, now.requires_grad) == (was.dtype, was.requires_grad)
            assert set((now.detach() / was.detach()).real.tolist()) == {1 - share, 1 + share}


def test_the_plain_bound_is_that_of_a_result_that_is_rounded_once() -> None:
    eps = torch.finfo(torch.float16).eps
    bound = plain_bound(torch.tensor([0.0, -4.0]), torch.float16)
    rms = 4 * eps / 2**0.5
    assert bound.dtype == torch.float64
    small = torch.tensor([1e-3]).half()
    value = small.double().item()
    assert plain_bound(small, torch.float16).item() == pytest.approx(
        expected_bound(value * eps, value * eps, value, torch.float16), rel=1e-9
    )
    assert bound.tolist() == pytest.approx(
        [expected_bound(0, rms, 0, torch.float16), expected_bound(4 * eps, rms, 4, torch.float16)]
    )


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


def test_a_bound_is_vacuous_from_half_of_the_size_of_the_values_on() -> None:
    """By their root mean squares, of those that are finite."""
    values = doubles(3.0, -4.0, float("inf"))
    half = (12.5**0.5) / 2
    for share, vacuous in ((0.999, False), (1.001, True)):
        assert is_vacuous(values, doubles(half * share, half * share, 0.0)) is vacuous
        assert is_vacuous(values, doubles(half * share * 2**0.5, 0.0, 9.0)) is vacuous
    assert is_vacuous(doubles(2.0), doubles(1.0))
    assert is_vacuous(doubles(2.0), doubles(float("nan")))
    assert not is_vacuous(doubles(float("inf"), float("nan")), doubles(9.0, 9.0))
    assert not is_vacuous(doubles(0.0), doubles(9.0))
    assert is_vacuous(torch.tensor([2j]), doubles(1.0))
    assert is_vacuous(torch.tensor([300.0]).half(), doubles(200.0))  # whose square is infinite in float16


def test_an_error_of_just_the_bound_is_allowed() -> None:
    found = compare("x", doubles(1.0, 2.5), doubles(1.0, 2.0), doubles(0.5, 0.5))
    assert (found.wrong, found.total, found.index, found.share, found.error, found.bound) == (0, 2, (1,), 1.0, 0.5, 0.5)
    found = compare("x", doubles(1.0, 2.5), doubles(1.0, 2.0), doubles(0.5, 0.25))
    assert (found.wrong, found.share, found.actual, found.expected, found.where) == (1, 2.0, 2.5, 2.0, "x")


def test_the_worst_element_is_the_one_that_exceeds_its_own_bound_most() -> None:
    actual, bound = torch.tensor([[0.0, 9.0], [2.0, 0.0]]), torch.tensor([[1.0, 9.0], [1.0, 1.0]]).double()
    found = compare("x", actual, torch.zeros(2, 2), bound)
    assert (found.index, found.share, found.wrong) == ((1, 0), 2.0, 1)
    nothing = compare("x", actual, torch.zeros(2, 2), bound * 0)
    assert (nothing.index, nothing.wrong, nothing.share) == ((0, 1), 2, float("inf"))


def test_empty_tensors_are_not_compared_and_complex_ones_by_their_distance() -> None:
    assert compare("x", doubles(), doubles(), None) is None
    found = compare("x", torch.tensor([3 + 4j]), torch.tensor([0j]), doubles(4.0))
    assert (found.error, found.share, found.actual) == (5.0, 1.25, 3 + 4j)
    assert compare("x", torch.tensor([1.0 + 1e-9], dtype=torch.float64), torch.tensor([1.0]), doubles(1e-10)).wrong == 1
    needs = torch.ones(1, requires_grad=True)
    assert compare("x", needs, needs, None).share == 0


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
