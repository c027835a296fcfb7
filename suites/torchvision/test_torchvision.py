"""torchvision's operators, transforms and models, checked and timed."""

import pytest

from . import ops

CASES = [case for topic in (ops,) for case in topic.CASES]


@pytest.mark.cases(CASES)
def test_correct(check):
    check()


@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
