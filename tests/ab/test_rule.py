"""The rule at its limits, on pairs whose numbers are set by hand; how often it is right, test_deciding.py simulates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_torchbasics.ab.deciding import (
    CLAIM,
    FEWEST,
    FIXED,
    INTERVAL,
    LEAST,
    LOOK,
    MORE_PAIRS,
    RANDOM,
    SAME,
    SURE,
    Layouts,
    candidate,
    decide,
    error_of,
    unclear,
    undecided,
)

#: A little more than LEAST, and half of it.
OVER, HALF = LEAST + 1e-6, LEAST / 2
#: Layouts that add nothing to the error of the blocks.
EVEN = Layouts(pairs=2, deviation=0.0, same=0, may_disagree=4)


def steady(*middles: float, rounds: int = 8) -> list[list[float]]:
    """Pairs whose blocks all say the same, so that they have no error."""
    return [[middle] * rounds for middle in middles]


def noisy(middle: float, by: float) -> list[float]:
    return [middle - by, middle + by] * 4


@pytest.mark.parametrize(
    ("middles", "sign"),
    [
        ([0.0], 0),
        ([1e-6], 1),
        ([0.01, OVER], 1),
        ([0.01, LEAST], 0),
        ([0.0, 0.1], 0),
        ([-0.01, 0.1], 0),
        ([0.01, 0.1, -0.1], 0),
        ([0.01, 0.1, 0.1, 0.01], 1),
        ([0.01, 0.1, 0.1, LEAST], 1),
        ([0.01, 0.1, 0.1, 0.01, 0.01], 0),
        ([0.01, 0.1, 0.1, LEAST, LEAST], 0),
        ([0.01, 0.02, 0.02, -0.01], 0),
        ([9.0, 0.01, 0.02], 0),
    ],
)
def test_pairs_are_a_candidate_for_a_change_while_at_most_one_fresh_one_disagrees(
    middles: list[float], sign: int
) -> None:
    assert candidate(steady(*middles)) == sign
    assert candidate(steady(*(-middle for middle in middles))) == -sign


@pytest.mark.parametrize(("sign", "claimed"), [(1, "slower"), (-1, "faster")])
@pytest.mark.parametrize("layouts", [FIXED, RANDOM])
def test_a_change_is_claimed_from_as_many_fresh_pairs_on_as_it_needs(layouts: Layouts, sign: int, claimed: str) -> None:
    for fresh in range(layouts.pairs + MORE_PAIRS + 1):
        pairs = steady(*[sign * 0.1] * (fresh + 1))
        decision = decide(pairs, layouts)
        claims = fresh >= layouts.pairs
        assert decision.verdict == (claimed if claims else "inconclusive")
        count = fresh if claims else fresh + 1  # a claim is of the fresh ones
        assert (decision.rounds, decision.pairs) == (8 * count, count)
        assert undecided(pairs, layouts) == (fresh < layouts.pairs)


def test_as_few_blocks_as_count_do() -> None:
    enough, few = steady(*[0.1] * 3, rounds=FEWEST), steady(*[0.1] * 3, rounds=FEWEST - 1)
    assert decide(enough, EVEN).verdict == "slower"
    assert decide(few, EVEN).verdict == "inconclusive"
    assert decide([*enough[:2], few[0]], EVEN) == decide(enough[:2], EVEN)
    first = decide([few[0], [0.2] * (FEWEST - 2)], EVEN)
    assert (first.rounds, first.pairs, first.ratio) == (FEWEST - 1, 1, pytest.approx(math.exp(0.1)))
    assert math.isnan(error_of(few[0]))
    assert error_of(enough[0]) == 0


def test_the_median_of_a_pair_counts_once_whatever_its_rounds_and_the_first_pair_for_no_claim() -> None:
    pairs = [[9.0] * 40, [0.1] * 40, [0.2] * 5, [0.3] * 5]
    assert decide(pairs, FIXED).ratio == pytest.approx(math.exp(0.2))
    assert decide(pairs[:1], FIXED).ratio == pytest.approx(math.exp(9.0))
    assert decide([[0.3] * 40, *pairs[1:3]], FIXED).ratio == pytest.approx(math.exp(0.2))


def test_the_error_is_that_of_the_blocks_and_of_the_pairs_together() -> None:
    for middle, counts, verdict in ((0.1, slice(1, None), "slower"), (0.0, slice(None), "unchanged")):
        pairs = [noisy(middle, by) for by in (0.02, 0.005, 0.006, 0.007)]
        counted = pairs[counts]
        error = math.hypot(error_of([value for logs in counted for value in logs]), 0.013 / math.sqrt(len(counted)))
        decision = decide(pairs, FIXED)
        assert decision.verdict == verdict
        assert (decision.low, decision.high) == pytest.approx(
            (math.exp(middle - INTERVAL * error), math.exp(middle + INTERVAL * error))
        )


def test_a_claim_needs_more_than_its_standard_errors() -> None:
    """Of four fresh pairs, so that the root of their number is exact."""
    middle = CLAIM * (0.1 / 2)
    for more, verdict in ((0.0, "inconclusive"), (1e-9, "slower")):
        pairs = steady(*[middle + more] * 5)
        assert decide(pairs, Layouts(3, 0.1, 0, 5)).verdict == verdict
        faster = decide(steady(*[-middle - more] * 5), Layouts(3, 0.1, 0, 5)).verdict
        assert faster == verdict.replace("slower", "faster")


def test_sameness_needs_its_standard_errors_below_5_per_cent_and_as_many_pairs() -> None:
    """Of four pairs that do not reach what a claim needs."""
    at = 0.01
    deviation = 2 * (SAME - at) / SURE
    for share, verdict in ((1.001, "inconclusive"), (0.999, "unchanged")):
        for sign in (1, -1):
            assert decide(steady(*[sign * at] * 4), Layouts(4, share * deviation, 3, 5)).verdict == verdict
    for same, verdict in ((3, "unchanged"), (4, "inconclusive")):
        assert decide(steady(*[at] * 4), Layouts(4, 0.01, same, 5)).verdict == verdict


def test_what_just_reaches_5_per_cent_is_not_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_torchbasics.ab.deciding.SAME", 0.5)  # which floats hold exactly
    assert decide(steady(0.5, 0.5), Layouts(9, 0.0, 0, 9)).verdict == "inconclusive"
    assert decide(steady(0.499, 0.499), Layouts(9, 0.0, 0, 9)).verdict == "unchanged"


@pytest.mark.parametrize("layouts", [FIXED, RANDOM])
def test_one_fresh_pair_may_disagree_once_there_are_as_many_as_that_takes(layouts: Layouts) -> None:
    for fresh in range(layouts.pairs, layouts.may_disagree + 1):
        for which in range(1, fresh + 1):
            pairs = steady(*(0.0 if number == which else 0.3 for number in range(fresh + 1)))
            assert decide(pairs, layouts).verdict == ("slower" if fresh >= layouts.may_disagree else "inconclusive")


def test_no_more_pairs_are_taken_than_there_may_be() -> None:
    """Of a candidate that the claim never reaches."""
    wide = Layouts(pairs=2, deviation=9.0, same=0, may_disagree=4)
    for fresh in range(6):
        assert undecided(steady(*[0.1] * (fresh + 1)), wide) == (fresh < 2 + MORE_PAIRS)


def test_what_is_inconclusive_is_gone_on_with_while_a_claim_needs_more_pairs() -> None:
    """Of pairs that are no candidate, so that nothing else asks for more."""
    pairs = steady(-0.2, 0.2, 0.2, 0.2)
    assert [undecided(pairs[:count], FIXED) for count in (2, 3, 4)] == [True, True, False]
    assert decide(pairs, FIXED).verdict == "inconclusive"


def test_what_is_the_same_is_gone_on_with_while_it_is_a_candidate() -> None:
    assert undecided(steady(0.01, 0.021), EVEN)
    assert not undecided(steady(0.01, 0.019), EVEN)
    assert {decide(steady(0.01, middle), EVEN).verdict for middle in (0.019, 0.021)} == {"unchanged"}


def test_after_the_screen_what_is_half_of_the_least_change_or_surely_there_is_gone_on_with() -> None:
    assert [undecided(steady(middle), EVEN) for middle in (HALF, HALF + 1e-6, -HALF, -HALF - 1e-6)] == [0, 1, 0, 1]
    least = LOOK * error_of(noisy(0.0, 0.012))
    assert least > HALF
    for middle, told in ((least - 1e-6, False), (least + 1e-6, True)):
        assert decide([noisy(middle, 0.012)], EVEN).verdict == "unchanged"
        assert undecided([noisy(middle, 0.012)], EVEN) is told


def test_the_screen_takes_a_second_batch_while_it_may_yet_be_less_than_the_least_change() -> None:
    assert unclear(steady(LEAST - 1e-6), FIXED)
    assert not unclear(steady(LEAST), FIXED)
    assert not unclear(steady(-LEAST), FIXED)
    assert not unclear(steady(0.0), FIXED)
    assert unclear([noisy(0.03, 0.03)], FIXED)
    assert unclear([noisy(-0.03, 0.03)], FIXED)
    assert not unclear([noisy(0.3, 0.03)], FIXED)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_fresh_pair_of_a_candidate_takes_more_batches_while_it_may_be_on_either_side(sign: int) -> None:
    screened = [sign * 0.012] * 8
    assert unclear([screened, [sign * LEAST] * 8], FIXED)
    assert not unclear([screened, [sign * 0.05] * 8], FIXED)
    assert not unclear([screened, noisy(sign * 0.1, 0.03)], FIXED)
    near = noisy(sign * 0.0175, 0.004)
    assert decide([screened, near], FIXED).verdict == "unchanged"
    assert unclear([screened, near], FIXED)


def test_a_pair_that_disagrees_takes_more_batches_while_nothing_is_known() -> None:
    below = steady(0.015, 0.005)
    assert [decide(below, layouts).verdict for layouts in (FIXED, RANDOM)] == ["unchanged", "inconclusive"]
    assert [unclear(below, layouts) for layouts in (FIXED, RANDOM)] == [False, True]


def test_a_pair_of_no_candidate_takes_more_batches_while_nothing_is_known() -> None:
    """Of a candidate by its first pair, which the second one has made none of."""
    assert unclear(steady(0.05, -0.05, 0.05), FIXED)
    assert unclear(steady(-0.05, 0.05, -0.05), FIXED)
    same = steady(0.0, 0.0)
    assert decide(same, FIXED).verdict == "unchanged"
    assert not unclear(same, FIXED)


def test_the_error_grows_with_the_noise_and_falls_with_the_root_of_the_rounds() -> None:
    rng = np.random.default_rng(1)
    few = list(rng.standard_normal(50))
    assert error_of([3 * value for value in few]) == pytest.approx(3 * error_of(few))
    assert error_of([value + 9 for value in few]) == pytest.approx(error_of(few))
    many = list(rng.standard_normal(1250))
    assert error_of(few) / error_of(many) == pytest.approx(5, rel=0.35)
    assert error_of(many) == pytest.approx(1.2533 / math.sqrt(1250), rel=0.15)


@pytest.mark.parametrize("place", range(FEWEST))
def test_every_block_has_its_part_in_the_error(place: int) -> None:
    """The median of five draws is the one that is off if three or more of them are: 5.8 % of the time."""
    logs = [0.0] * FEWEST
    logs[place] = 1.0
    assert error_of(logs) == pytest.approx(math.sqrt(0.058 * 0.942), rel=0.3)
