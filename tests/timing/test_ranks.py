"""Quantiles, and the interval of the median by hand-computed binomial sums."""

from __future__ import annotations

import pytest

from pytest_torchbasics.timing.ranks import median, median_interval, median_ranks, quantile


@pytest.mark.parametrize(
    ("count", "ranks"),
    [
        (1, None),
        (5, None),  # 1 - 2/32 = 93.75 %
        (6, (1, 6)),  # 1 - 2/64 = 96.9 %
        (8, (1, 8)),  # ranks 2 to 7: 1 - 2 * 9/256 = 92.97 %, too little
        (9, (2, 8)),  # 1 - 2 * 10/512 = 96.1 %
        (12, (3, 10)),  # 1 - 2 * 79/4096 = 96.1 %
        (16, (4, 13)),  # 1 - 2 * 697/65536 = 97.9 %; ranks 5 to 12: 1 - 2 * 2517/65536 = 92.3 %
        (24, (7, 18)),  # 1 - 2 * 190051/16777216 = 97.7 %; ranks 8 to 17: 93.6 %
        (32, (10, 23)),  # 98.0 %; ranks 11 to 22: 94.99 %, just too little
    ],
)
def test_the_ranks_hold_the_median_with_95_percent(count, ranks):
    assert median_ranks(count) == ranks


def test_the_interval_is_made_of_values():
    values = [float(value) for value in (7, 3, 1, 12, 5, 9, 2, 11, 4, 10, 8, 6)]
    assert median_interval(values) == (3.0, 10.0)
    assert median_interval([1.0] * 5) is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([4.0], 0.25, 4.0), ([1.0, 2.0], 0.25, 1.25), ([5.0, 1.0, 3.0], 0.25, 2.0), ([4.0, 1.0, 3.0, 2.0], 0.5, 2.5)],
)
def test_quantiles_are_interpolated(values, share, expected):
    assert quantile(values, share) == expected
    assert median([3.0, 1.0, 2.0]) == 2.0
