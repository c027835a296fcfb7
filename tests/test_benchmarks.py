"""What the benchmarks compute from their answers; their figures depend on the machine and are no tests."""

from __future__ import annotations

import pytest

from benchmarks.timer.statistics_of import beyond, bias, spread


def test_the_spread_is_the_deviation_by_the_mean() -> None:
    assert spread([1.0, 1.0, 1.0]) == 0.0
    assert spread([0.9, 1.0, 1.1]) == pytest.approx(0.1)


def test_the_bias_is_the_median_ratio_to_the_known_length() -> None:
    assert bias([1.1, 2.2, 30.0], [1.0, 2.0, 3.0]) == pytest.approx(0.1)


def test_no_run_is_compared_with_itself() -> None:
    assert beyond([1.0, 1.0], [1.0, 1.0], 0.0) == 0.0
    assert beyond([1.0, 2.0], [1.0, 2.0], 0.5) == 0.5  # 1 -> 2 exceeds, 2 -> 1 does not


def test_a_slowdown_is_found_in_the_pairs_that_exceed_the_threshold() -> None:
    assert beyond([1.0, 1.0, 1.0], [1.2, 1.2, 1.0], 0.05) == pytest.approx(4 / 6)
