"""The exact test, its correction and its interval, against scipy's and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pytest_torchbasics.analysis.significance import p_values, q_values, ratio_interval, runs_for, separated


@pytest.mark.parametrize("sizes", [(1, 1), (3, 3), (4, 6), (5, 5), (9, 4), (12, 10)])
def test_p_is_that_of_scipy(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    base, head = (rng.random((30, size)) + shift for size, shift in zip(sizes, (0, 0.2), strict=True))
    expected = [stats.mannwhitneyu(*pair, method="exact").pvalue for pair in zip(base, head, strict=True)]
    np.testing.assert_allclose(p_values(base, head), expected)


def test_what_is_missing_counts_nowhere() -> None:
    base = np.array([[1.0, np.nan, 2.0, np.nan], [np.nan] * 4, [1, 2, 3, 4]])
    head = np.array([[3.0, 4.0, np.nan], [1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    p = p_values(base, head)
    assert p[0] == pytest.approx(stats.mannwhitneyu([1, 2], [3, 4], method="exact").pvalue)
    assert np.isnan(p[1])
    assert p[2] == pytest.approx(2 / 35)


def test_equal_values_are_no_evidence() -> None:
    same = np.full((1, 5), 3.0)
    assert p_values(same, same) == 1.0
    nearly = np.array([[1.0, 1.0, 1.0, 1.0, 2.0]])
    assert (
        p_values(nearly, np.array([[1.0, 2.0, 2.0, 2.0, 2.0]]))
        >= stats.mannwhitneyu(nearly[0], [1.0, 2.0, 2.0, 2.0, 2.0], method="asymptotic", use_continuity=True).pvalue
    )


def test_q_is_that_of_scipy() -> None:
    p = np.random.default_rng(2).random(50) ** 3
    np.testing.assert_allclose(q_values(p), stats.false_discovery_control(p))
    with_holes = np.insert(p, [3, 9], np.nan)
    np.testing.assert_allclose(q_values(with_holes)[~np.isnan(with_holes)], stats.false_discovery_control(p))
    assert len(q_values(np.array([]))) == 0


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    base = rng.lognormal(0, 0.1, (4000, 5))
    head = 1.1 * rng.lognormal(0, 0.1, (4000, 5))
    low, high = ratio_interval(base, head)
    held = ((low <= 1.1) & (high >= 1.1)).mean()
    assert 0.95 <= held <= 0.985  # 96.8 % is the least that five runs allow above 95


def test_too_few_runs_have_no_interval() -> None:
    low, high = ratio_interval(np.ones((1, 3)), np.ones((1, 3)))
    assert np.isnan(low).all()
    assert np.isnan(high).all()
    low, _ = ratio_interval(np.array([[0.0, 1, 2, 3, 4]]), np.ones((1, 5)))
    assert np.isnan(low).all()


def test_the_interval_and_the_test_say_the_same() -> None:
    rng = np.random.default_rng(4)
    base, head = rng.lognormal(0, 0.1, (2000, 6)), rng.lognormal(0.1, 0.1, (2000, 5))
    low, high = ratio_interval(base, head)
    p = p_values(base, head)
    assert ((p < 0.05) == ((low > 1) | (high < 1))).all()


NAN = float("nan")


@pytest.mark.parametrize(
    ("base", "head", "apart"),
    [
        ([1.0, 2.0], [3.0, 4.0], True),
        ([3.0, 4.0], [1.0, 2.0], True),
        ([1.0, 3.0], [2.0, 4.0], False),
        ([2.0, 3.0], [1.0, 4.0], False),
        ([1.0, 2.0], [2.0, 3.0], False),
        ([2.0, 3.0], [1.0, 2.0], False),
        ([1.0, NAN], [2.0, NAN], True),
        ([2.0, NAN], [1.0, 3.0], False),
    ],
)
def test_sides_are_apart_if_no_run_of_one_is_among_those_of_the_other(
    base: list[float], head: list[float], apart: bool
) -> None:
    assert separated(np.array([base]), np.array([head])).tolist() == [apart]


@pytest.mark.parametrize(
    ("base", "head", "p"),
    [
        ([1, 2, 3, 4], [4, 5, 6, 7], 4 / 70),
        ([4, 5, 6, 7], [1, 2, 3, 4], 4 / 70),
        ([1, 2, 3, 4], [4, 4, 5, 6], 4 / 70),
        ([1, 2, 3, 4], [5, 6, 7, 8], 2 / 70),
        ([1, 1, 1, 1], [1, 1, 1, 1], 1.0),
    ],
)
def test_a_tie_counts_half_and_what_is_between_two_counts_as_the_lesser(
    base: list[float], head: list[float], p: float
) -> None:
    """By hand: of the 70 orders of four and four 1, 1, 2 and 3 have the counts 16, 15, 14 and 13."""
    other = [1.0, 1.0, 1.0, 9.0]
    found = p_values(np.array([base, other, [*base[:3], NAN]], float), np.array([head, other, head], float))
    assert found[0] == pytest.approx(p)


@pytest.mark.parametrize(
    ("sizes", "critical"),
    [((4, 4), 0), ((5, 5), 2), ((5, 6), 3), ((6, 6), 5), ((7, 7), 8), ((8, 8), 13), ((10, 10), 23)],
)
def test_the_interval_ends_at_the_critical_values_of_the_tables(sizes: tuple[int, int], critical: int) -> None:
    """Those of the two-sided test at 5 %, as in any table of Mann and Whitney's U."""
    rng = np.random.default_rng(6)
    base, head = (rng.lognormal(0, 0.1, (3, size)) for size in sizes)
    ratios = np.sort((head[:, :, None] / base[:, None, :]).reshape(3, -1))
    low, high = ratio_interval(base, head)
    np.testing.assert_array_equal(low, ratios[:, critical])
    np.testing.assert_array_equal(high, ratios[:, -critical - 1])


def test_a_cell_that_has_no_interval_takes_none_from_the_others() -> None:
    few, wrong, good = [1.0, 2, 3, NAN, NAN], [0.0, 1, 2, 3, 4], [1.0, 2, 3, 4, 5]
    base, head = np.array([few, wrong, good, wrong, good]), np.array([few, good, wrong, wrong, good])
    for found in ratio_interval(base, head):
        assert np.isnan(found).tolist() == [True, True, True, True, False]


def test_every_cell_is_apart_by_itself() -> None:
    base, head = np.array([[1.0, 2.0], [10.0, 20.0]]), np.array([[3.0, 4.0], [30.0, 40.0]])
    assert separated(base, head).tolist() == separated(head, base).tolist() == [True, True]


@pytest.mark.parametrize(("cells", "runs"), [(1, 4), (2, 5), (6, 5), (7, 6), (10_000, 11)])
def test_as_many_runs_are_asked_for_as_one_change_among_the_cells_needs(cells: int, runs: int) -> None:
    """By the numbers of ways to choose: 70 for four runs a side, 252 for five, 924 for six."""
    assert runs_for(cells, 0.05) == runs
    assert 2 * cells / math.comb(2 * runs, runs) < 0.05


def test_a_change_passes_the_correction_below_its_share_and_not_at_it() -> None:
    assert 2 * 7 / math.comb(8, 4) == 0.2
    assert [runs_for(cells, 0.2) for cells in (6, 7)] == [4, 5]
