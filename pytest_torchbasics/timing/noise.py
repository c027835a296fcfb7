"""How much this machine disturbs what is timed on it."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass

from .clocks import Clock, system_clock
from .measuring import measure
from .phases import Workload

#: Measurements of the same work, of some 50 ms each.
MEASUREMENTS = 20


@dataclass(frozen=True)
class Noise:
    """What measuring the same work again and again shows.

    Attributes:
        spread: the standard deviation of the medians by their mean, as a share.
        wall_over_cpu: wall time by CPU time over all of them: above 1 the thread was held up.
        flags: how many of the measurements had each flag.
        run_delay: the system tells how long the thread waited for a processor, so disturbed samples are left out.
    """

    spread: float
    wall_over_cpu: float | None
    flags: tuple[tuple[str, int], ...]
    run_delay: bool


def measure_noise(threads: int = 1, clock: Clock | None = None) -> Noise:
    """Measure one product of the CPU again and again, in about a second."""
    import statistics

    import torch

    a = torch.ones(128, 128)
    work = Workload(torch.matmul, (a, a))
    with system_clock(threads) if clock is None else nullcontext(clock) as used:
        found = [
            measure(work, "forward", threads=threads, quality="quick", clock=used, count=False)
            for _ in range(MEASUREMENTS)
        ]
    medians = [measurement.metrics[0].value for measurement in found]
    ratios = [m.value for measurement in found for m in measurement.metrics if m.metric == "wall_over_cpu"]
    flags = Counter(flag for measurement in found for flag in measurement.flags)
    return Noise(
        statistics.pstdev(medians) / statistics.fmean(medians),
        statistics.fmean(ratios) if ratios else None,
        tuple(sorted(flags.items())),
        used.delay_ns is not None,
    )
