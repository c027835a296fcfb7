"""Every step of the tutorial, checked and timed."""

import pytest

from . import autograd, cnn, image, layers, tensors

CASES = [*tensors.CASES, *autograd.CASES, *layers.CASES, *cnn.CASES, *image.CASES]


@pytest.mark.cases(CASES)
def test_correct(check):
    check()


@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
