"""Numbers that a reader takes in at a glance."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_torchbasics.report import units


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (6.1e-6, "median_s", "6.10 µs"),
        (999.96e-6, "median_s", "1.00 ms"),
        (123.4e-9, "low_s", "123 ns"),
        (1e-12, "median_s", "0.00100 ns"),
        (75.0, "duration_s", "75.0 s"),
        (0.0, "median_s", "0 s"),
        (512, "peak_bytes", "512 B"),
        (3 << 20, "peak_bytes", "3.00 MiB"),
        (0.25, "bound_share", "0.250"),
        (1.5e-7, "error", "1.50e-07"),
        (2.5e9, "rate", "2.50 G"),
        (None, "median_s", "-"),
        (math.nan, "median_s", "-"),
        (math.inf, "median_s", "-"),
    ],
)
def test_a_value_has_three_digits_and_a_unit_that_fits(value: float | None, column: str, text: str) -> None:
    assert units.quantity(value, column) == text


@given(st.floats(1e-9, 1e3))
def test_a_duration_reads_back_within_its_three_digits(seconds: float) -> None:
    number, unit = units.duration(seconds).split()
    factor = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}[unit]
    assert float(number) * factor == pytest.approx(seconds, rel=0.0051)
    assert unit == "s" or float(number) < 1000


def test_changes_and_spreads() -> None:
    assert [units.percent(share) for share in (0.18, -0.236, 9.0, 0.0)] == ["+18.0 %", "-23.6 %", "+900 %", "+0.0 %"]
    assert [units.spread(1, 1 - half, 1 + half) for half in (0.02, 0.021, 0.0001)] == ["±2 %", "±3 %", "±1 %"]
    assert units.spread(1.0, math.nan, 2.0) == ""


def test_a_power_of_two_takes_its_own_unit() -> None:
    assert [units.memory(2**exponent) for exponent in (10, 20, 30, 40)] == [
        "1.00 KiB",
        "1.00 MiB",
        "1.00 GiB",
        "1.00 TiB",
    ]
