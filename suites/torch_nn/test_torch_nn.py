"""Every class of torch.nn, checked and timed."""

import pytest

from . import activations, attention, containers, conv, linear, losses, norms, pooling, recurrent, shapes

CASES = [
    case
    for topic in (activations, attention, containers, conv, linear, losses, norms, pooling, recurrent, shapes)
    for case in topic.CASES
]


# torch tells once that oneDNN has no LSTM with projections.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


@pytest.mark.cases(CASES)
def test_correct(check):
    check()


@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
