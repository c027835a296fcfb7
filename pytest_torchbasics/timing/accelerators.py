"""The protocol of accelerators: four numbers, for one misleads.

A layer that the host cannot feed fast enough has a device time, which says what the device can do, and a host
time, which says what Python costs; the usual tools mix them, with 10 to 30 % of noise. Here the host is hidden:
pairs of events are enqueued behind a sleep kernel that lasts longer than enqueuing takes, so the device runs them
without a gap (0.2 % of noise on an H100).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..backends import Backend
from ..backends.base import Backlog
from . import flags
from .phases import Work
from .ranks import median
from .sampler import Timed, warm_up
from .stopping import Quality, collect

#: Loading kernels and choosing algorithms takes longer than on a CPU.
WARM_S = 50e-3
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
#: Calls one by one (host, latency) and together (pipelined) in each block.
SINGLE_CALLS = 5
SINGLE_S = 2e-3
PIPELINED_CALLS = 30
PIPELINED_S = 3e-3
#: What prepared calls of one batch may hold in the accelerator's memory.
PREPARED_BYTES = 2**30


@dataclass(frozen=True)
class Batch:
    """Event pairs, calls within a pair, and the backlog they are enqueued behind."""

    pairs: int
    calls: int
    backlog_s: float


@dataclass(frozen=True)
class Block:
    """Seconds of one call, by each way of measuring; device is None if the host could not be hidden."""

    host: float
    latency: float
    pipelined: float
    device: float | None


@dataclass(frozen=True)
class _Bench:
    """Work on a device, and the host's clock."""

    work: Work
    backend: Backend
    device: str
    wall_ns: Callable[[], int]

    def synchronize(self) -> None:
        self.backend.synchronize(self.device)

    def prepared(self, calls: int) -> list[tuple[Any, ...]]:
        """The arguments of some calls."""
        prepare = self.work.prepare
        return [() if prepare is None else (prepare(),) for _ in range(calls)]

    def within_memory(self, calls: int) -> int:
        """As many of the calls as may be prepared at once."""
        if self.work.prepare is None:
            return calls
        return min(calls, max(1, PREPARED_BYTES // max(1, self.work.bytes_each)))


def time_on_accelerator(
    work: Work, backend: Backend, device: str, wall_ns: Callable[[], int], quality: Quality
) -> Timed:
    """Measure work that goes on after the call returned."""
    bench = _Bench(work, backend, device, wall_ns)
    with backend.active(device):
        warm = warm_up(work, wall_ns, bench.synchronize, WARM_S)
        host, latency = single_calls(bench, SINGLE_CALLS if warm.call_s < SINGLE_S else 1)
        sleep = backend.backlog(device) if backend.has_events else None
        batch = None if sleep is None else find_batch(bench, sleep, host, latency)

        def take() -> Block:
            nonlocal batch
            host_s, latency_s = single_calls(bench, _fitting(SINGLE_S, latency, 1, SINGLE_CALLS))
            together = pipelined(bench, bench.within_memory(_fitting(PIPELINED_S, latency, 2, PIPELINED_CALLS)))
            found = None if sleep is None or batch is None else hidden(bench, sleep, batch)
            if found is None:
                batch = None
                return Block(host_s, latency_s, together, None)
            values, batch = found
            return Block(host_s, latency_s, together, median(values))

        blocks, stable = collect(take, _headline, quality, wall_ns)
    return _timed(warm.first_call_s, blocks, stable, quality, sleep is not None, batch)


def find_batch(bench: _Bench, sleep: Backlog, host: float, latency: float) -> Batch | None:
    """A batch whose host time a backlog hides; None if there is none, not even of one call."""
    pairs = bench.within_memory(_fitting(BATCH_S, latency, MIN_PAIRS, PAIRS))
    first = hidden(bench, sleep, Batch(pairs, 1, _backlog_for(pairs, host)))
    if first is None:
        return None
    values, batch = first
    calls = min(MAX_CALLS, math.ceil(PAIR_S / max(median(values), 1e-9) - 1e-6))
    if calls == 1:
        return batch
    pairs = max(1, min(batch.pairs, MAX_WAITING // calls, bench.within_memory(batch.pairs * calls) // calls))
    again = hidden(bench, sleep, Batch(pairs, calls, _backlog_for(pairs * calls, host)))
    # Several calls in a pair may not fit where one does: then one, less exact, is what there is.
    return batch if again is None else again[1]


def hidden(bench: _Bench, sleep: Backlog, batch: Batch) -> tuple[list[float], Batch] | None:
    """Run a batch until the host is hidden: with a longer backlog, or else with half the pairs.

    Returns:
        The device's seconds of one call for each pair, and the batch that worked; None if none did.
    """
    pairs = batch.pairs
    while pairs:
        attempt = replace(batch, pairs=pairs, backlog_s=batch.backlog_s * pairs / batch.pairs)
        for _ in range(DOUBLINGS + 1):
            values = _run(bench, sleep, attempt)
            if values is not None:
                return values, attempt
            attempt = replace(attempt, backlog_s=min(LONGEST_BACKLOG_S, 2 * attempt.backlog_s))
        pairs //= 2
    return None


def _run(bench: _Bench, sleep: Backlog, batch: Batch) -> list[float] | None:
    """One batch; None if the device had begun with it before the host had enqueued it all."""
    call = bench.work.call
    marks = [(bench.backend.event(), bench.backend.event()) for _ in range(batch.pairs)]
    arguments = [bench.prepared(batch.calls) for _ in marks]
    bench.synchronize()
    sleep(batch.backlog_s)
    for (start, end), several in zip(marks, arguments, strict=True):
        start.record()
        for each in several:
            call(*each)
        end.record()
    in_time = not marks[0][0].query()
    bench.synchronize()
    if not in_time:
        return None
    return [start.elapsed_time(end) * 1e-3 / batch.calls for start, end in marks]


def single_calls(bench: _Bench, count: int) -> tuple[float, float]:
    """Medians of the host's time to enqueue a call on the idle device, and of the time until its result is there."""
    host, latency = [], []
    for arguments in bench.prepared(count):
        bench.synchronize()
        start = bench.wall_ns()
        bench.work.call(*arguments)
        enqueued = bench.wall_ns()
        bench.synchronize()
        host.append((enqueued - start) * 1e-9)
        latency.append((bench.wall_ns() - start) * 1e-9)
    return median(host), median(latency)


def pipelined(bench: _Bench, count: int) -> float:
    """Seconds of one of many calls that are waited for together."""
    call = bench.work.call
    arguments = bench.prepared(count)
    bench.synchronize()
    start = bench.wall_ns()
    for each in arguments:
        call(*each)
    bench.synchronize()
    return (bench.wall_ns() - start) * 1e-9 / count


def _headline(block: Block) -> float:
    return block.latency if block.device is None else block.device


def _backlog_for(calls: int, host: float) -> float:
    return BACKLOG_MARGIN * calls * host + BACKLOG_EXTRA_S


def _fitting(seconds: float, call_s: float, least: int, most: int) -> int:
    return max(least, min(most, int(seconds / max(call_s, 1e-9))))


def _timed(
    first_call_s: float, blocks: list[Block], stable: bool, quality: Quality, has_backlog: bool, batch: Batch | None
) -> Timed:
    device = tuple(block.device for block in blocks if block.device is not None)
    # A block whose host shows makes the whole measurement one of latency: the two are never mixed.
    told = len(device) == len(blocks)
    latency = tuple(block.latency for block in blocks)
    series = {
        "median": device if told else latency,
        "host": tuple(block.host for block in blocks),
        "latency": latency,
        "pipelined": tuple(block.pipelined for block in blocks),
    }
    if told:
        series["device"] = device
    found = {
        flags.UNSTABLE: not stable,
        flags.FEW_SAMPLES: len(blocks) < quality.looks[0],
        flags.HOST_BOUND: has_backlog and not told,
        flags.NO_BACKLOG: not has_backlog,
    }
    return Timed(
        first_call_s,
        series,
        tuple(flag for flag, holds in found.items() if holds),
        "device" if told else "latency",
        batch.calls if told and batch is not None else 1,
    )
