"""Hiding the host: pairs of events behind a sleep kernel that lasts longer than enqueuing them takes.

The device then runs them without a gap (0.2 % of noise on an H100), and every batch checks itself: it counts only if
the device had not begun with it when the host had enqueued all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..backends import Backend
from ..backends.base import Backlog
from .phases import Work
from .ranks import median

#: Event pairs behind one backlog; a block holds one such batch, or as many as take 5 ms, but two.
PAIRS = 30
BATCH_S = 5e-3
MIN_PAIRS = 2
#: The resolution of an event is 0.5 us: shorter work is repeated within a pair.
PAIR_S = 20e-6
MAX_CALLS = 20
#: Launches that wait at once: CUDA's queue holds about 1000, and one call may be several launches.
MAX_WAITING = 500
#: The backlog to begin with, by the time enqueuing should take; how often it is doubled before the batch is halved.
BACKLOG_MARGIN = 1.5
BACKLOG_EXTRA_S = 100e-6
DOUBLINGS = 5
LONGEST_BACKLOG_S = 1.0
#: What prepared calls of one batch may hold in the accelerator's memory.
PREPARED_BYTES = 2**30


@dataclass(frozen=True)
class Batch:
    """Event pairs, calls within a pair, and the backlog they are enqueued behind."""

    pairs: int
    calls: int
    backlog_s: float


@dataclass(frozen=True)
class Hidden:
    """What a batch tells.

    Attributes:
        values: the device's seconds of one call, of each pair.
        batch: the batch that worked.
        tail_s: the host's seconds from the end of the last pair until all of the device was idle.
    """

    values: list[float]
    batch: Batch
    tail_s: float

    @property
    def device_s(self) -> float:
        """The device's seconds in all pairs."""
        return sum(self.values) * self.batch.calls


@dataclass(frozen=True)
class Bench:
    """Work on a device, and the host's clock."""

    work: Work
    backend: Backend
    device: str
    wall_ns: Callable[[], int]

    def synchronize(self) -> None:
        """Wait for the device, all queues of it."""
        self.backend.synchronize(self.device)

    def prepared(self, calls: int) -> list[tuple[Any, ...]]:
        """The arguments of some calls."""
        return [self.work.arguments() for _ in range(calls)]

    def within_memory(self, calls: int) -> int:
        """As many of the calls as may be prepared at once."""
        return self.work.within(PREPARED_BYTES, calls)


def find_batch(bench: Bench, sleep: Backlog, host: float, latency: float) -> Batch | None:
    """A batch whose host time a backlog hides; None if there is none, not even of one call."""
    pairs = bench.within_memory(fitting(BATCH_S, latency, MIN_PAIRS, PAIRS))
    first = hidden(bench, sleep, Batch(pairs, 1, _backlog_for(pairs, host)))
    if first is None:
        return None
    batch = first.batch
    calls = min(MAX_CALLS, math.ceil(PAIR_S / max(median(first.values), 1e-9) - 1e-6))
    if calls == 1:
        return batch
    pairs = max(1, min(batch.pairs, MAX_WAITING // calls, bench.within_memory(batch.pairs * calls) // calls))
    again = hidden(bench, sleep, Batch(pairs, calls, _backlog_for(pairs * calls, host)))
    # Several calls in a pair may not fit where one does: then one, less exact, is what there is.
    return batch if again is None else again.batch


def empty_pairs(bench: Bench, sleep: Backlog) -> tuple[float, ...]:
    """The device's seconds between two events with nothing between them, behind a backlog; empty if it showed.

    What a device time may be too long by, of each pair. It is told and not subtracted: a kernel can hide a part of
    what its events cost, so that the difference may be too short, and by how much nothing tells. Triton's do_bench does
    not subtract it either, so numbers agree with its.
    """
    found = hidden(replace(bench, work=Work(lambda: None)), sleep, Batch(PAIRS, 1, BACKLOG_EXTRA_S))
    return () if found is None else tuple(found.values)


def after_clearing(bench: Bench, sleep: Backlog, clear: Callable[[], None], batch: Batch) -> Hidden | None:
    """Single calls, each after the device's cache was cleared outside its window."""
    return hidden(bench, sleep, replace(batch, calls=1), clear)


def hidden(bench: Bench, sleep: Backlog, batch: Batch, before_each: Callable[[], None] | None = None) -> Hidden | None:
    """Run a batch until the host is hidden: with a longer backlog, or else with half the pairs.

    Args:
        bench: what to call.
        sleep: the backlog.
        batch: to begin with.
        before_each: enqueues what the device does before each pair, outside its window.

    Returns:
        None if not even one pair could be hidden.
    """
    pairs = batch.pairs
    while pairs:
        attempt = replace(batch, pairs=pairs, backlog_s=batch.backlog_s * pairs / batch.pairs)
        for _ in range(DOUBLINGS + 1):
            found = _run(bench, sleep, attempt, before_each)
            if found is not None:
                return found
            attempt = replace(attempt, backlog_s=min(LONGEST_BACKLOG_S, 2 * attempt.backlog_s))
        pairs //= 2
    return None


def _run(bench: Bench, sleep: Backlog, batch: Batch, before_each: Callable[[], None] | None) -> Hidden | None:
    """One batch; None if the device had begun with it before the host had enqueued it all."""
    call = bench.work.call
    marks = [(bench.backend.event(), bench.backend.event()) for _ in range(batch.pairs)]
    arguments = [bench.prepared(batch.calls) for _ in marks]
    bench.synchronize()
    sleep(batch.backlog_s)
    for (start, end), several in zip(marks, arguments, strict=True):
        if before_each is not None:
            before_each()
        start.record()
        for each in several:
            call(*each)
        end.record()
    in_time = not marks[0][0].query()
    marks[-1][1].synchronize()
    ended = bench.wall_ns()
    bench.synchronize()
    tail_s = (bench.wall_ns() - ended) * 1e-9
    if not in_time:
        return None
    return Hidden([start.elapsed_time(end) * 1e-3 / batch.calls for start, end in marks], batch, tail_s)


def fitting(seconds: float, call_s: float, least: int, most: int) -> int:
    """How many calls take so long, within bounds."""
    return max(least, min(most, int(seconds / max(call_s, 1e-9))))


def _backlog_for(calls: int, host: float) -> float:
    return BACKLOG_MARGIN * calls * host + BACKLOG_EXTRA_S
