"""Roofs are told only where rows agree on them, and then they are those of the machine."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_torchbasics.analysis.roofline import points, roofs

PEAK, COPY = 1e12, 2e10


def rows(work: list[tuple[float, float]], slow: float = 3.0, copy: float = COPY) -> pd.DataFrame:
    """Rows as timing writes them, of (operations, bytes)."""
    found = []
    for flops, moved in work:
        least = max(flops / PEAK, moved / copy)
        seconds = slow * least
        found.append((flops / seconds, flops / moved, least / seconds, "passed"))
    return pd.DataFrame(found, columns=["flop_rate", "flop_per_byte", "roofline_share", "outcome"])


def test_rows_that_computing_limits_tell_the_level_roof() -> None:
    found = roofs(points(rows([(1e9, 1e6), (3e9, 1e6), (1e6, 1e6), (2e6, 1e6)])))
    assert found.flop_rate == pytest.approx(PEAK)
    assert found.byte_rates == pytest.approx((COPY,))


def test_one_row_alone_proves_no_roof() -> None:
    assert roofs(points(rows([(1e9, 1e6)]))).flop_rate is None
    assert roofs(points(rows([(1e6, 1e6)]))).byte_rates == ()


def test_two_rows_of_the_same_work_prove_no_roof() -> None:
    found = roofs(points(rows([(1e6, 1e6), (1e6, 1e6)])))
    assert (found.flop_rate, found.byte_rates) == (None, ())


def test_rows_that_traffic_limits_tell_no_level_roof() -> None:
    found = roofs(points(rows([(1e6, 1e6), (3e6, 1e6), (5e6, 1e6)])))
    assert (found.flop_rate, found.byte_rates) == (None, pytest.approx((COPY,)))


def test_traffic_of_several_sizes_tells_several_roofs() -> None:
    small, large = rows([(1e6, 1e6), (2e6, 1e6)], copy=5e10), rows([(1e6, 1e8), (2e6, 1e8)])
    found = roofs(points(pd.concat([large, small], ignore_index=True)))
    assert found.byte_rates == pytest.approx((5e10, COPY))


def test_rows_without_counts_or_shares_tell_nothing() -> None:
    frame = rows([(1e9, 1e6), (3e9, 1e6)])
    assert roofs(points(frame.drop(columns="roofline_share"))).flop_rate is None
    assert len(points(frame.drop(columns="flop_rate"))) == 0
    assert len(points(frame.assign(outcome="failed"))) == 0
    assert len(points(frame.assign(flop_rate=float("nan")))) == 0
    assert roofs(points(frame.head(0))) == roofs(points(frame.assign(roofline_share=float("nan"))))


@given(st.lists(st.tuples(st.floats(1e3, 1e12), st.floats(1e3, 1e12)), min_size=1, max_size=12), st.floats(1, 100))
def test_a_roof_that_is_told_is_never_wrong(work: list[tuple[float, float]], slow: float) -> None:
    found = roofs(points(rows(work, slow)))
    assert found.flop_rate is None or found.flop_rate == pytest.approx(PEAK, rel=1e-3)
    assert all(rate == pytest.approx(COPY, rel=1e-3) for rate in found.byte_rates)
