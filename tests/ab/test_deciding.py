"""The rule of two stages on simulated log ratios: it claims little and finds much."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_torchbasics.ab.deciding import (
    CONFIRM_ROUNDS,
    PAIRS,
    SCREEN_ROUNDS,
    confirmed,
    quantiles,
    screened,
    suspicious,
)

#: Of blocks, and of processes of identical code (shared/MEASURING: 0.5 to 2.3 % and 0.3 to 1 %).
BLOCK, PROCESS = 0.015, 0.005


def pair(rng: np.random.Generator, rounds: int, effect: float = 0.0) -> list[float]:
    """A pair of processes: what they differ by, and the noise of their blocks."""
    return list(np.log1p(effect) + PROCESS * rng.standard_normal() + BLOCK * rng.standard_normal(rounds))


def decided(rng: np.random.Generator, effect: float = 0.0) -> str:
    first = pair(rng, SCREEN_ROUNDS, effect)
    if not suspicious(first) and screened(first).verdict == "unchanged":
        return "unchanged"
    return confirmed(first, [pair(rng, CONFIRM_ROUNDS, effect) for _ in range(PAIRS)]).verdict


def test_identical_code_is_hardly_ever_called_different() -> None:
    rng = np.random.default_rng(1)
    found = [decided(rng) for _ in range(1500)]
    assert sum(verdict in ("slower", "faster") for verdict in found) <= 1
    assert found.count("unchanged") > 1400


@pytest.mark.parametrize(
    ("effect", "verdict", "least"), [(0.05, "slower", 0.9), (0.1, "slower", 0.99), (-0.1, "faster", 0.99)]
)
def test_a_change_is_found(effect: float, verdict: str, least: float) -> None:
    rng = np.random.default_rng(2)
    found = [decided(rng, effect) for _ in range(300)]
    assert found.count(verdict) >= least * len(found)


def test_one_pair_alone_claims_nothing() -> None:
    rng = np.random.default_rng(3)
    assert screened(pair(rng, SCREEN_ROUNDS, 0.5)).verdict == "inconclusive"
    first = pair(rng, SCREEN_ROUNDS, 0.5)
    assert confirmed(first, [pair(rng, CONFIRM_ROUNDS, 0.5)]).verdict == "inconclusive"


def test_pairs_that_disagree_are_inconclusive() -> None:
    rng = np.random.default_rng(4)
    slow, same = pair(rng, CONFIRM_ROUNDS, 0.3), pair(rng, CONFIRM_ROUNDS, 0.0)
    for first, *fresh in ((slow, slow, slow, same), (same, slow, slow, slow)):
        assert confirmed(first, fresh).verdict == "inconclusive"
    assert confirmed(slow, [slow, slow, slow]).verdict == "slower"


def test_the_same_numbers_decide_the_same() -> None:
    logs = pair(np.random.default_rng(5), 12)
    assert quantiles(logs, 0.05) == quantiles(logs, 0.05)
    low, high = quantiles(logs, 0.05)
    assert low <= float(np.median(logs)) <= high


def test_a_process_that_is_slow_as_a_whole_is_no_slow_code() -> None:
    """One process in five is 8 % slower in all it does; that it is so in all pairs on one side is rare."""
    rng = np.random.default_rng(6)

    def lottery() -> float:
        return 0.08 * (float(rng.random() < 0.2) - float(rng.random() < 0.2))

    def session() -> str:
        first = pair(rng, SCREEN_ROUNDS, lottery())
        if not suspicious(first) and screened(first).verdict == "unchanged":
            return "unchanged"
        return confirmed(first, [pair(rng, CONFIRM_ROUNDS, lottery()) for _ in range(PAIRS)]).verdict

    found = [session() for _ in range(1500)]
    assert sum(verdict in ("slower", "faster") for verdict in found) <= 6
