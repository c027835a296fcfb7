"""The only list of what may be said about a measurement besides its numbers, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

UNSTABLE = "unstable"
CONTENDED = "contended"
FEW_SAMPLES = "few_samples"
CPU_TIME = "cpu_time"
SLOWED = "slowed"
UNCOUNTED = "uncounted"
HOST_BOUND = "host_bound"
NO_BACKLOG = "no_backlog"
OTHER_STREAMS = "other_streams"
NO_COLD = "no_cold"
THROTTLED = "throttled"
CLOCK_CHANGED = "clock_changed"

FLAGS: Mapping[str, str] = MappingProxyType(
    {
        UNSTABLE: "the interval of the median is wider than wanted: measure with --timer-quality=precise",
        CONTENDED: "other processes held the processor: close them, or measure at another time",
        FEW_SAMPLES: "the time was up before the first look: the number has no interval that can be trusted",
        SLOWED: "the processor was slower than torchbasics doctor saw it (a neighbour on the same core, heat, a power "
        "limit): times of this run compare with each other only",
        CPU_TIME: "most blocks were disturbed, so CPU time stands for wall time; time spent waiting is not in it",
        UNCOUNTED: "an operator in it has no formula, or a layout cannot be counted: its operations or its traffic, "
        "and the rates, are not known",
        HOST_BOUND: "the host waits for the device inside the call, or cannot be hidden: the median is the latency",
        NO_BACKLOG: "the device has no sleep kernel to hide the host behind: the median is the latency",
        OTHER_STREAMS: "work runs beside the current stream, unseen by its events: the median is the latency; let the "
        "call's own streams wait for the current stream, and it for them before the call returns",
        NO_COLD: "the device's cache cannot be cleared from here, or the host not be hidden meanwhile: no cold time",
        THROTTLED: "heat or the power supply slowed the accelerator down: cool it, lower its power limit, or measure "
        "when its neighbours are idle",
        CLOCK_CHANGED: "the accelerator's clock moved by more than 3 % meanwhile: lock it (nvidia-smi -lgc), or "
        "measure again when it is warm",
    }
)
