"""The stopping rule: looks at fixed numbers of blocks, and nowhere else."""

from __future__ import annotations

from itertools import count, cycle

import pytest

from pytest_torchbasics.timing.stopping import QUALITIES, Quality, collect, settled

STANDARD = QUALITIES["standard"]


def blocks_of(values, quality=STANDARD, seconds_each=0.0):
    times = count(0, int(seconds_each * 1e9)) if seconds_each else cycle([0])
    values = iter(values)
    return collect(lambda: next(values), float, quality, lambda: next(times))


def test_steady_blocks_stop_at_the_first_look():
    assert blocks_of(cycle([1.0])) == ([1.0] * 8, True)


@pytest.mark.parametrize(("wild", "taken"), [(1, 12), (2, 12), (3, 16), (4, 24), (6, 24), (7, 32)])
def test_wild_blocks_are_outvoted_at_a_later_look_and_at_no_other_number(wild, taken):
    """A look at 8, 12, 16, 24, 32 blocks bears 0, 2, 3, 6, 9 wild ones: those outside the interval's ranks."""
    blocks, stable = blocks_of([9.0] * wild + [1.0] * 40)
    assert (len(blocks), stable) == (taken, True)


def test_blocks_that_never_settle_stop_at_the_last_look():
    blocks, stable = blocks_of(cycle([1.0, 1.1]))
    assert (len(blocks), stable) == (32, False)


def test_settling_between_looks_is_not_seen():
    """A rule that looks after each block would stop at 9, where the interval has ranks 2 to 8."""
    assert settled([9.0] + [1.0] * 8, 0.02)
    assert len(blocks_of([9.0] + [1.0] * 40)[0]) == 12


def test_the_cap_ends_it_between_looks_without_a_verdict():
    blocks, stable = blocks_of(cycle([1.0]), seconds_each=0.1)
    assert (len(blocks), stable) == (4, False)


def test_one_block_is_always_taken():
    assert len(blocks_of(cycle([1.0]), seconds_each=10.0)[0]) == 1


@pytest.mark.parametrize(("wild", "is_settled"), [(1.019, True), (1.021, False), (0.981, True), (0.979, False)])
def test_the_interval_may_reach_2_percent_to_either_side(wild, is_settled):
    assert settled([1.0] * 7 + [wild], 0.02) is is_settled


@pytest.mark.parametrize("quality", QUALITIES.values(), ids=QUALITIES)
def test_qualities_are_ordered_looks_with_an_interval(quality: Quality):
    assert list(quality.looks) == sorted(set(quality.looks))
    assert quality.looks[0] >= 6
