"""The protocol of the CPU: warm up, take samples of calls, blocks of samples, looks at blocks.

The numbers are measured ones. They come from 16 sessions and 32 processes on a shared machine of two processors,
in which the mean of the usual tools varied by 13 to 29 % and this protocol by 2 to 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from . import flags
from .clocks import Clock
from .phases import Work
from .ranks import median, quantile
from .stopping import Quality, collect

#: The first 30 calls are 5 to 10 % slower than later ones; 20 ms let the processor clock up after a pause. Calls of
#: several milliseconds have settled when the cap is reached.
WARM_CALLS = 30
WARM_S = 20e-3
WARM_CAP_S = 0.1
#: A sample of 60 us costs 0.35 % for reading the clocks, and is short enough to escape most interruptions.
SAMPLE_S = 60e-6
BLOCK_S = 2.5e-3
MIN_SAMPLES = 2
#: After a pause of 0.5 ms or more, three calls are 1.1 to 10 times slower. One is enough for calls above 1 ms.
UNTIMED_CALLS = 3
LONG_CALL_S = 1e-3
#: With fewer samples that nothing interrupted, their quartile is chance.
MIN_CLEAN = 3
#: What prepared calls of one sample may hold in memory.
PREPARED_BYTES = 256 * 2**20
CONTENDED_WALL_OVER_CPU = 1.05
CONTENDED_CLEAN = 0.5


@dataclass(frozen=True)
class Timed:
    """What a protocol measured.

    Attributes:
        first_call_s: seconds of the very first call.
        series: values of each metric, one of each block, in the order of measuring.
        flags: names out of `flags.FLAGS`.
        timer: what the headline is: numbers of different timers are never compared.
        calls: calls of one sample.
    """

    first_call_s: float
    series: dict[str, tuple[float, ...]]
    flags: tuple[str, ...]
    timer: str
    calls: int


@dataclass(frozen=True)
class Warm:
    """Seconds of the first call, and of one of the later warm ones."""

    first_call_s: float
    call_s: float


@dataclass(frozen=True)
class Plan:
    """How often to call: untimed calls before a block, calls of a sample, samples of a block."""

    untimed: int
    calls: int
    samples: int


@dataclass(frozen=True)
class Sample:
    """Nanoseconds of the calls of one sample; None for what the clocks do not tell."""

    wall_ns: int
    cpu_ns: int | None
    delay_ns: int | None


@dataclass(frozen=True)
class Block:
    """The value of a block in seconds of one call, what it was taken from, and its samples."""

    value_s: float
    source: str
    samples: tuple[Sample, ...]


def time_on_cpu(work: Work, clock: Clock, quality: Quality, anchor: Callable[[], object] | None = None) -> Timed:
    """Measure work that is done when the call returns.

    Args:
        work: what to call.
        clock: of the thread.
        quality: when to stop.
        anchor: fixed work that is timed after each block, and tells how fast the processor is meanwhile.
    """
    warm = warm_up(work, clock.wall_ns)
    plan = plan_for(work, warm.call_s)
    anchors: list[float] = []

    def take() -> Block:
        block = take_block(work, plan, clock)
        if anchor is not None:
            anchor()  # whose data the work has thrown out of the cache
            anchors.append(take_sample(Work(anchor), 1, clock).wall_ns * 1e-9)
        return block

    blocks, stable = collect(take, lambda block: block.value_s, quality, clock.wall_ns)
    series = {"median": tuple(block.value_s for block in blocks)}
    if clock.cpu_ns is not None:
        series["wall_over_cpu"] = tuple(_wall_over_cpu(block.samples) for block in blocks)
    if anchors:
        series["anchor"] = tuple(anchors)
    return Timed(
        warm.first_call_s,
        series,
        _flags(blocks, stable, quality),
        "wall" if clock.cpu_ns is None or clock.delay_ns is None else "hybrid",
        plan.calls,
    )


def warm_up(
    work: Work, wall_ns: Callable[[], int], synchronize: Callable[[], None] = lambda: None, seconds: float = WARM_S
) -> Warm:
    """Call until caches, allocators and processor clocks have settled; the first call is timed apart.

    Without it the first backward of a process, which starts the autograd engine in 285 ms, passes for typical.
    """

    def one() -> int:
        argument = _prepared(work, 1)
        synchronize()
        start = wall_ns()
        _run(work, 1, argument)
        synchronize()
        return wall_ns() - start

    first = one()
    begin = wall_ns()
    times = [one()]
    while (elapsed := wall_ns() - begin) < WARM_CAP_S * 1e9 and (
        len(times) < WARM_CALLS - 1 or elapsed < seconds * 1e9
    ):
        times.append(one())
    return Warm(first * 1e-9, median(times[len(times) // 2 :]) * 1e-9)


def plan_for(work: Work, call_s: float) -> Plan:
    """Samples of at least 60 us and a block of 2.5 ms, for calls of this length."""
    call_s = max(call_s, 1e-9)
    enough = max(1, math.ceil(SAMPLE_S / call_s - 1e-9))  # 60e-6 / 1e-6 is a little more than 60
    calls = work.within(PREPARED_BYTES, enough)
    return Plan(
        untimed=1 if call_s > LONG_CALL_S else UNTIMED_CALLS,
        calls=calls,
        samples=max(MIN_SAMPLES, round(BLOCK_S / (calls * call_s))),
    )


def take_block(work: Work, plan: Plan, clock: Clock) -> Block:
    """Untimed calls, then samples, and the block's value."""
    for _ in range(plan.untimed):
        _run(work, 1, _prepared(work, 1))
    samples = tuple(take_sample(work, plan.calls, clock) for _ in range(plan.samples))
    value_ns, source = block_value(samples)
    return Block(value_ns * 1e-9 / plan.calls, source, samples)


def take_sample(work: Work, calls: int, clock: Clock) -> Sample:
    """Time some calls. Wall time is read innermost: CPU time inside its window would cost 1 us."""
    arguments = _prepared(work, calls)
    delay = clock.delay_ns() if clock.delay_ns else 0
    cpu = clock.cpu_ns() if clock.cpu_ns else 0
    wall = clock.wall_ns()
    _run(work, calls, arguments)
    wall = clock.wall_ns() - wall
    return Sample(
        wall,
        clock.cpu_ns() - cpu if clock.cpu_ns else None,
        clock.delay_ns() - delay if clock.delay_ns else None,
    )


def block_value(samples: Sequence[Sample]) -> tuple[float, str]:
    """The lower quartile of what was least disturbed, in nanoseconds, and which clock it is of.

    Wall time of the samples during which the thread never waited for a processor; if those are fewer than three,
    CPU time of all; without a clock for that, wall time of all. A block in which every sample is clean needs no
    other clock, however few they are.
    """
    wall = [sample.wall_ns for sample in samples]
    cpu = [sample.cpu_ns for sample in samples if sample.cpu_ns is not None]
    if len(cpu) < len(samples) or any(sample.delay_ns is None for sample in samples):
        return quantile(wall, 0.25), "wall"
    clean = [sample.wall_ns for sample in samples if sample.delay_ns == 0]
    if len(clean) >= min(MIN_CLEAN, len(samples)):
        return quantile(clean, 0.25), "clean"
    return quantile(cpu, 0.25), "cpu"


def _prepared(work: Work, calls: int) -> list[Any] | None:
    prepare = work.prepare
    return None if prepare is None else [prepare() for _ in range(calls)]


def _run(work: Work, calls: int, arguments: list[Any] | None) -> None:
    """The timed window. What is prepared is freed after it, with the list."""
    call = work.call
    if arguments is None:
        for _ in repeat(None, calls):
            call()
    else:
        for argument in arguments:
            call(argument)


def _wall_over_cpu(samples: Sequence[Sample]) -> float:
    return sum(sample.wall_ns for sample in samples) / max(1, sum(sample.cpu_ns or 0 for sample in samples))


def _flags(blocks: Sequence[Block], stable: bool, quality: Quality) -> tuple[str, ...]:
    samples = [sample for block in blocks for sample in block.samples]
    told = all(sample.cpu_ns is not None for sample in samples)
    delays = [sample.delay_ns for sample in samples if sample.delay_ns is not None]
    clean = sum(delay == 0 for delay in delays) / len(delays) if delays else 1.0
    held_up = told and _wall_over_cpu(samples) > CONTENDED_WALL_OVER_CPU
    found = {
        flags.UNSTABLE: not stable,
        flags.CONTENDED: held_up or clean < CONTENDED_CLEAN,
        flags.FEW_SAMPLES: len(blocks) < quality.looks[0],
        flags.CPU_TIME: sum(block.source == "cpu" for block in blocks) > len(blocks) / 2,
    }
    return tuple(flag for flag, holds in found.items() if holds)
