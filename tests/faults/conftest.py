from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .running import Server

#: How many random kills; the long tests also strike with every fault in every phase, and under xdist.
KILLS = int(os.environ.get("TORCHBASICS_KILLS", "20"))
LONG = "TORCHBASICS_KILLS" in os.environ


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()
