"""The bridge to pytest-benchmark: our times reach its table, JSON and comparison by public means.

pytest-benchmark takes a clock through its marker and asks it before and after each round. Ours is a clock that is
wound forward by the measured time of a block when the "benchmarked" function is called.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import pytest


class ReplayClock:
    """A clock that stands still until `advance` winds it forward, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Wind the clock forward."""
        self.now += seconds


def install_clock(request: pytest.FixtureRequest) -> ReplayClock | None:
    """Give the item's coming `benchmark` fixture a replay clock; None where that fixture is pytest-codspeed's."""
    if request.config.getoption("codspeed", False) or "CODSPEED_ENV" in os.environ:
        return None
    clock = ReplayClock()
    params = request.node.callspec.params
    group = " ".join(str(params[name]) for name in ("phase", "device", "dtype") if name in params)
    request.node.add_marker(pytest.mark.benchmark(timer=clock, group=group))
    return clock


def replay(benchmark: Any, clock: ReplayClock, seconds: Sequence[float], info: dict[str, Any]) -> None:
    """Hand measured times to pytest-benchmark's fixture, one round each."""
    benchmark.extra_info.update(info)
    times = iter(seconds)
    benchmark.pedantic(lambda: clock.advance(next(times)), rounds=len(seconds), iterations=1)


def mark_failed(benchmark: Any, error: BaseException) -> None:
    """Let the fixture see the error, so that it neither reports times nor warns that it was not used."""

    def fail() -> None:
        raise error

    with contextlib.suppress(BaseException):  # our own error comes back; or the fixture was used and knows already
        benchmark.pedantic(fail)
