"""torchvision's operators, transforms and models, checked and timed."""

import pytest

from . import models, ops, transforms

CASES = [case for topic in (ops, transforms, models) for case in topic.CASES]

# torchvision 0.29 tells that its JPEG encoder will go.
pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")


@pytest.mark.cases(CASES)
def test_correct(check):
    check()


@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
