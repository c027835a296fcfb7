"""Fixtures of this project. The plugin needs nothing here; `device` comes from it."""

import pytest
from shiftnet import ShiftMix


@pytest.fixture(scope="session")
def trained(device):
    """A layer on the device under test, made once for each device."""
    return ShiftMix(4).to(device).eval()
