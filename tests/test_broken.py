"""Every check rejects its broken layers, and no other check does."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from pytest_torchbasics.checks import Status, check_names
from pytest_torchbasics.checks.outcome import BAD
from pytest_torchbasics.checks.running import run_check
from pytest_torchbasics.trials import Trial

from .broken import FOUND, Broken


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.case.name)
def test_a_broken_case_fails_exactly_its_checks(found: Broken) -> None:
    outcomes = [run_check(Trial(found.case, "cpu", found.dtype), name) for name in check_names()]
    failed = {outcome.check: str(outcome) for outcome in outcomes if outcome.status in BAD}
    errors = [outcome for outcome in outcomes if outcome.status is Status.ERROR]
    assert not errors, [str(outcome) for outcome in errors]
    assert set(failed) == set(found.fails), "\n".join(failed.values())
    assert any(re.search(found.says, message) for message in failed.values()), "\n".join(failed.values())


#: Checks whose broken cases are in a test of their own, and why.
ELSEWHERE = {"device_parity": "needs a second device: test_device_parity.py"}


def test_every_check_has_three_broken_cases() -> None:
    counted = Counter(name for found in FOUND for name in found.fails)
    assert {name: counted[name] for name in check_names() if counted[name] < 3 and name not in ELSEWHERE} == {}
