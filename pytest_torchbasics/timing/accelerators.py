"""The protocol of accelerators: four numbers, for one misleads.

A layer that the host cannot feed fast enough has a device time, which says what the device can do, and a host
time, which says what Python costs; the usual tools mix them, with 10 to 30 % of noise. Here the host is hidden
behind a backlog (`backlogs.py`).

Events, backlog and work are on the caller's current stream. What a call does on streams of its own belongs to its
device time if these wait for the current one first and the current one waits for them last, as the result has to be
ready there. Work that is not tied in so is noticed if the device is busy for longer than its events say: after the last
event of a batch, or after a run of calls without a backlog. Then the latency, which waits for all streams, is the
headline. What stays unnoticed is such work that starts at once and is over before the host has enqueued the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..backends import Backend
from ..backends.base import QUANTITIES, Backlog, Reading
from . import flags
from .backlogs import Batch, Bench, Hidden, after_clearing, empty_pairs, find_batch, fitting, hidden
from .phases import Work
from .ranks import median
from .sampler import Timed, warm_up
from .stopping import Quality, collect

#: Loading kernels and choosing algorithms takes longer than on a CPU.
WARM_S = 50e-3
#: Calls one by one (host, latency) and together (pipelined) in each block.
SINGLE_CALLS = 5
SINGLE_S = 2e-3
PIPELINED_CALLS = 30
PIPELINED_S = 3e-3
#: Work beside the events: more after the last one than a wait for an idle device takes (10 to 20 us), and more than
#: this share of what they saw; or, after the last of many calls, more than all of them take by events.
TAIL_S = 50e-6
TAIL_SHARE = 0.1
DRAIN_S = 100e-6
DRAIN_SHARE = 0.25
#: A block measures host, latency, pipelined and device times one after the other: the caps are of one of them.
CAPS = 3
#: An SM clock that moved by more than this share moves times by as much.
CLOCK_SHARE = 0.03


@dataclass(frozen=True)
class Block:
    """Seconds of one call, by each way of measuring.

    Attributes:
        host, latency, pipelined: by the host's clock.
        device: by events; None if the host could not be hidden.
        cold: the same after the cache was cleared; None if not wanted, or not possible.
        elsewhere: True if the device did more than its events saw.
    """

    host: float
    latency: float
    pipelined: float
    device: float | None = None
    cold: float | None = None
    elsewhere: bool = False


def time_on_accelerator(
    work: Work, backend: Backend, device: str, wall_ns: Callable[[], int], quality: Quality, *, cold: bool = False
) -> Timed:
    """Measure work that goes on after the call returned.

    Args:
        work: what to call.
        backend: of the device.
        device: where it runs.
        wall_ns: the host's clock, in nanoseconds.
        quality: when to stop.
        cold: measure `device_cold` too: single calls, each after the device's cache was cleared.

    Returns:
        Series in seconds, and what sensors the device has in Hz, W and degrees Celsius.
    """
    with backend.active(device):
        stand = Stand(work, backend, device, wall_ns, cold)
        read = backend.sensors(device)
        readings = [] if read is None else [read()]

        def take() -> Block:
            block = stand.take()
            if read is not None:
                readings.append(read())
            return block

        blocks, stable = collect(take, _headline, replace(quality, cap_s=CAPS * quality.cap_s), wall_ns)
    found = _Found(blocks, stable, quality, stand.events, readings, cold)
    return Timed(stand.first_call_s, found.series(), found.flags(), found.timer, found.calls)


class Stand:
    """Work that is warm and whose batches are planned, to be measured block by block.

    Attributes:
        first_call_s: seconds of the first call.
        events: what is measured by events; None where there are none.
    """

    def __init__(
        self, work: Work, backend: Backend, device: str, wall_ns: Callable[[], int], cold: bool = False
    ) -> None:
        self.bench = Bench(work, backend, device, wall_ns)
        warm = warm_up(work, wall_ns, self.bench.synchronize, WARM_S)
        self.first_call_s = warm.first_call_s
        host, self.latency = single_calls(self.bench, SINGLE_CALLS if warm.call_s < SINGLE_S else 1)
        sleep = backend.backlog(device) if backend.has_events else None
        self.events = None if sleep is None else _Events(self.bench, sleep, host, self.latency, cold)

    def take(self) -> Block:
        """Measure one block."""
        return _take(self.bench, self.latency, self.events)


class _Events:
    """What is measured by events behind a backlog, until the host shows."""

    def __init__(self, bench: Bench, sleep: Backlog, host: float, latency: float, wants_cold: bool) -> None:
        self.bench = bench
        self.sleep = sleep
        self.empty = empty_pairs(bench, sleep)
        self.batch = find_batch(bench, sleep, host, latency)
        self.clear = bench.backend.cache_clearer(bench.device) if wants_cold and self.batch is not None else None
        self.cold_batch: Batch | None = self.batch

    def warm(self) -> Hidden | None:
        """A batch; None if the host cannot be hidden now, or could not be before."""
        found = None if self.batch is None else hidden(self.bench, self.sleep, self.batch)
        self.batch = None if found is None else found.batch
        return found

    def cold(self) -> float | None:
        """A call's seconds after the cache was cleared."""
        if self.clear is None or self.cold_batch is None:
            return None
        found = after_clearing(self.bench, self.sleep, self.clear, self.cold_batch)
        self.cold_batch = None if found is None else found.batch
        return None if found is None else median(found.values)


def _take(bench: Bench, latency: float, events: _Events | None) -> Block:
    host_s, latency_s = single_calls(bench, fitting(SINGLE_S, latency, 1, SINGLE_CALLS))
    calls = bench.within_memory(fitting(PIPELINED_S, latency, 2, PIPELINED_CALLS))
    together, drain_s = pipelined(bench, calls)
    found = None if events is None else events.warm()
    if events is None or found is None:
        return Block(host_s, latency_s, together)
    device_s = median(found.values)
    beside = found.tail_s > max(TAIL_S, TAIL_SHARE * found.device_s)
    unseen = drain_s > (1 + DRAIN_SHARE) * calls * device_s + DRAIN_S
    return Block(host_s, latency_s, together, device_s, events.cold(), beside or unseen)


def single_calls(bench: Bench, count: int) -> tuple[float, float]:
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


def pipelined(bench: Bench, count: int) -> tuple[float, float]:
    """Seconds of one of many calls that are waited for together, and of the wait after all are enqueued."""
    call = bench.work.call
    arguments = bench.prepared(count)
    bench.synchronize()
    start = bench.wall_ns()
    for each in arguments:
        call(*each)
    enqueued = bench.wall_ns()
    bench.synchronize()
    done = bench.wall_ns()
    return (done - start) * 1e-9 / count, (done - enqueued) * 1e-9


def _headline(block: Block) -> float:
    return block.latency if block.device is None or block.elsewhere else block.device


@dataclass(frozen=True)
class _Found:
    """From blocks and readings to series and flags."""

    blocks: Sequence[Block]
    stable: bool
    quality: Quality
    events: _Events | None
    readings: Sequence[Reading]
    wants_cold: bool

    @property
    def elsewhere(self) -> bool:
        """True if most blocks say so: one alone may have been interrupted."""
        return sum(block.elsewhere for block in self.blocks) * 2 > len(self.blocks)

    @property
    def device(self) -> tuple[float, ...] | None:
        """A block whose host shows makes the whole measurement one of latency: the two are never mixed."""
        return None if self.elsewhere else _all_or_none([block.device for block in self.blocks])

    @property
    def cold(self) -> tuple[float, ...] | None:
        return None if self.device is None else _all_or_none([block.cold for block in self.blocks])

    @property
    def timer(self) -> str:
        return "latency" if self.device is None else "device"

    @property
    def calls(self) -> int:
        """Of one event pair."""
        if self.device is None or self.events is None or self.events.batch is None:
            return 1
        return self.events.batch.calls

    def series(self) -> dict[str, tuple[float, ...]]:
        latency = tuple(block.latency for block in self.blocks)
        series = {
            "median": self.device or latency,
            "host": tuple(block.host for block in self.blocks),
            "latency": latency,
            "pipelined": tuple(block.pipelined for block in self.blocks),
        }
        if self.device is not None and self.events is not None:
            series |= {"device": self.device, "empty_pair": self.events.empty}
        if self.cold is not None:
            series["device_cold"] = self.cold
        series |= {name: _told(getattr(reading, name) for reading in self.readings) for name in QUANTITIES}
        return {name: values for name, values in series.items() if values}

    def flags(self) -> tuple[str, ...]:
        clocks = _told(reading.sm_clock for reading in self.readings)
        found = {
            flags.UNSTABLE: not self.stable,
            flags.FEW_SAMPLES: len(self.blocks) < self.quality.looks[0],
            flags.HOST_BOUND: self.events is not None and any(block.device is None for block in self.blocks),
            flags.OTHER_STREAMS: self.elsewhere,
            flags.NO_BACKLOG: self.events is None,
            flags.NO_COLD: self.wants_cold and self.cold is None,
            flags.THROTTLED: any(reading.throttled for reading in self.readings),
            flags.CLOCK_CHANGED: bool(clocks) and max(clocks) > (1 + CLOCK_SHARE) * min(clocks),
        }
        return tuple(flag for flag, holds in found.items() if holds)


def _told(values: Iterable[float | None]) -> tuple[float, ...]:
    return tuple(value for value in values if value is not None)


def _all_or_none(values: Sequence[float | None]) -> tuple[float, ...] | None:
    told = _told(values)
    return told if len(told) == len(values) else None
