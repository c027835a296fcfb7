"""The rule of two stages on simulated log ratios: it claims little and finds much."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_torchbasics.ab.deciding import (
    CONFIRM_BATCHES,
    CONFIRM_ROUNDS,
    FEWEST,
    FIXED,
    INTERVAL,
    MORE_PAIRS,
    RANDOM,
    SCREEN_BATCHES,
    SCREEN_ROUNDS,
    Layouts,
    candidate,
    decide,
    error_of,
    unclear,
    undecided,
)

#: Of blocks on a busy machine, and of processes of identical code.
BLOCK, PROCESS = 0.03, 0.007
#: Of the functions that depend most on where things lie, beside a busy neighbour.
WORST_BLOCK, WORST_PROCESS = 0.07, 0.014


def rounds(rng: np.random.Generator, count: int, effect: float, block: float = BLOCK) -> list[float]:
    return list(np.log1p(effect) + block * rng.standard_normal(count))


def session(
    rng: np.random.Generator,
    effect: float = 0.0,
    layouts: Layouts = FIXED,
    lottery: float = 0.0,
    block: float = BLOCK,
    process: float = PROCESS,
) -> tuple[str, int]:
    """The verdict of a cell, and how many rounds it took; `lottery`: how much slower one process in five is."""
    pairs: list[list[float]] = []
    for number in range(layouts.pairs + MORE_PAIRS + 1):
        slow = lottery * (float(rng.random() < 0.2) - float(rng.random() < 0.2))
        shift = effect + process * rng.standard_normal() + slow
        pairs.append([])
        first = number == 0
        for _ in range(SCREEN_BATCHES if first else CONFIRM_BATCHES):
            pairs[-1] += rounds(rng, SCREEN_ROUNDS if first else CONFIRM_ROUNDS, shift, block)
            if not unclear(pairs, layouts):
                break
        if not undecided(pairs, layouts):
            break
    return decide(pairs, layouts).verdict, sum(map(len, pairs))


def test_identical_code_is_hardly_ever_called_different_and_soon_unchanged() -> None:
    rng = np.random.default_rng(1)
    found = [session(rng) for _ in range(600)]
    assert [verdict for verdict, _ in found if verdict in ("slower", "faster")] == []
    assert sum(verdict == "unchanged" for verdict, _ in found) >= 595
    assert np.mean([count for _, count in found]) < 3 * SCREEN_ROUNDS


def test_of_the_functions_that_differ_most_few_are_called_different_and_most_changes_found() -> None:
    rng = np.random.default_rng(8)
    worst = {"block": WORST_BLOCK, "process": WORST_PROCESS}
    same = [session(rng, **worst)[0] for _ in range(300)]
    assert sum(verdict in ("slower", "faster") for verdict in same) <= 2
    assert [session(rng, 0.1, **worst)[0] for _ in range(60)] == ["slower"] * 60
    assert [session(rng, 0.05, **worst)[0] for _ in range(100)].count("slower") >= 85


@pytest.mark.parametrize(
    ("effect", "verdict", "least"), [(0.05, "slower", 0.97), (0.1, "slower", 1.0), (-0.1, "faster", 1.0)]
)
def test_a_change_is_found(effect: float, verdict: str, least: float) -> None:
    rng = np.random.default_rng(2)
    found = [session(rng, effect)[0] for _ in range(150)]
    assert found.count(verdict) >= least * len(found)


def test_what_is_far_apart_takes_one_batch_of_each_pair() -> None:
    verdict, count = session(np.random.default_rng(3), 0.5)
    assert (verdict, count) == ("slower", SCREEN_ROUNDS + FIXED.pairs * CONFIRM_ROUNDS)


@pytest.mark.parametrize("layouts", [FIXED, RANDOM])
def test_too_few_pairs_claim_nothing(layouts: Layouts) -> None:
    rng = np.random.default_rng(3)
    pairs = [rounds(rng, SCREEN_ROUNDS, 0.5) for _ in range(layouts.pairs)]
    assert decide(pairs, layouts).verdict == "inconclusive"
    assert undecided(pairs, layouts)
    pairs.append(rounds(rng, SCREEN_ROUNDS, 0.5))
    assert decide(pairs, layouts).verdict == "slower"
    assert not undecided(pairs, layouts)


@pytest.mark.parametrize("which", range(3))
def test_pairs_that_disagree_are_inconclusive(which: int) -> None:
    rng = np.random.default_rng(4)
    pairs = [rounds(rng, CONFIRM_ROUNDS, -0.1 if number == which else 0.3) for number in range(3)]
    assert decide(pairs, FIXED).verdict == "inconclusive"


def test_one_that_disagrees_is_outvoted_by_more_pairs() -> None:
    rng = np.random.default_rng(4)
    pairs = [rounds(rng, CONFIRM_ROUNDS, effect) for effect in (0.1, 0.1, 0.0, 0.1, 0.1)]
    assert decide(pairs, FIXED).verdict == "inconclusive"
    assert undecided(pairs, FIXED)
    pairs.append(rounds(rng, CONFIRM_ROUNDS, 0.1))
    assert decide(pairs, FIXED).verdict == "slower"
    two = [rounds(rng, CONFIRM_ROUNDS, effect) for effect in (0.1, 0.1, 0.0, 0.1, 0.1, 0.0)]
    assert candidate(two) == 0


def test_a_candidate_is_followed_though_it_may_be_the_same() -> None:
    """1.5 % measured well: within 5 %, and yet it may be more."""
    pairs = [[0.015, 0.0151] * 8]
    assert decide(pairs, FIXED).verdict == "unchanged"
    assert undecided(pairs, FIXED)


def test_a_small_change_that_is_surely_there_is_unchanged() -> None:
    rng = np.random.default_rng(6)
    pairs = [rounds(rng, CONFIRM_ROUNDS, 0.008, 0.001) for _ in range(3)]
    assert decide(pairs, FIXED).verdict == "unchanged"
    assert not undecided(pairs[:1], FIXED)


@pytest.mark.parametrize("count", range(1, FEWEST))
def test_a_few_blocks_decide_nothing(count: int) -> None:
    decision = decide([[0.0] * count], FIXED)
    assert (decision.verdict, decision.ratio, decision.rounds) == ("inconclusive", 1.0, count)
    assert np.isnan([decision.low, decision.high]).all()


def test_a_pair_that_was_cut_short_does_not_count() -> None:
    """Neither does it hide what was screened, nor is it one of two that agree."""
    screened = rounds(np.random.default_rng(7), 2 * SCREEN_ROUNDS, 0.06, 0.01)
    assert decide([screened, [0.0]], FIXED) == decide([screened], FIXED)
    assert decide([[0.1] * 8, [0.1] * 8, [0.1]], FIXED).verdict == "inconclusive"


def test_a_change_is_told_by_the_fresh_pairs_and_sameness_by_all() -> None:
    """What goes on was chosen for the ratio of the first pair."""
    changed = decide([[0.9] * 8, [0.1] * 8, [0.1] * 8, [0.1] * 8], FIXED)
    half = INTERVAL * FIXED.deviation / np.sqrt(3)
    assert changed.verdict == "slower"
    assert changed.ratio == pytest.approx(np.exp(0.1))
    assert (changed.low, changed.high) == pytest.approx((np.exp(0.1 - half), np.exp(0.1 + half)))
    assert (changed.rounds, changed.pairs) == (24, 3)
    same = decide([[0.01] * 8, [0.01] * 8], FIXED)
    half = INTERVAL * FIXED.deviation / np.sqrt(2)
    assert same.verdict == "unchanged"
    assert same.ratio == pytest.approx(np.exp(0.01))
    assert (same.low, same.high) == pytest.approx((np.exp(0.01 - half), np.exp(0.01 + half)))
    assert (same.rounds, same.pairs) == (16, 2)
    assert decide([[0.09] * 8, [0.0] * 8], FIXED).verdict == "inconclusive"


def test_the_error_is_that_of_a_median_and_the_same_each_time() -> None:
    logs = rounds(np.random.default_rng(5), 40, 0.0)
    assert error_of(logs) == error_of(logs)
    assert error_of(logs) == pytest.approx(1.25 * BLOCK / np.sqrt(40), rel=0.3)


def test_a_process_that_is_slow_as_a_whole_is_no_slow_code() -> None:
    """One process in five is 8 % slower in all it does; that it is so in all pairs on one side is rare."""
    rng = np.random.default_rng(6)
    found = [session(rng, layouts=RANDOM, lottery=0.08)[0] for _ in range(600)]
    assert sum(verdict in ("slower", "faster") for verdict in found) <= 3


def test_slow_code_is_not_called_unchanged_because_a_process_was_fast() -> None:
    rng = np.random.default_rng(7)
    found = [session(rng, 0.1, layouts=RANDOM, lottery=0.09)[0] for _ in range(300)]
    assert found.count("unchanged") <= 9
    assert found.count("slower") >= 100  # the rest is inconclusive
