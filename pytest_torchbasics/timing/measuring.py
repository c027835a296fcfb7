"""Measuring one phase of one workload on one device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ..backends import Backend, backend_for, resolve_devices, seeded
from .accelerators import time_on_accelerator
from .clocks import Clock, system_clock
from .costs import costs, derived
from .flags import SLOWED, UNCOUNTED
from .metrics import Measured, measured
from .phases import PHASES, Phase, Work, Workload
from .ranks import median
from .sampler import Timed, time_on_cpu
from .setting import explained, gradients_on, setting, without_garbage_collection
from .stopping import QUALITIES

if TYPE_CHECKING:
    import torch

    from ..cases import Case
    from .peaks import Peaks

T = TypeVar("T")

#: Rows and columns of the matrix whose square is the anchor.
ANCHOR = 128
#: The anchor of a quiet machine varies by 3 %; a busy neighbour on the same core makes it 1.3 to 1.6 times as long.
SLOWER = 1.15


@dataclass(frozen=True)
class Measurement:
    """What was measured.

    Attributes:
        metrics: the first is the headline, `median`, with its 95 % interval.
        samples_ns: the headline's block values in the order they were taken, in nanoseconds of one call.
        flags: what to know about the numbers; `flags.FLAGS` explains each.
        timer: what the headline is: `hybrid` (wall time of undisturbed samples, else CPU time), `wall`, `device`
            or `latency`. Numbers of different timers are not comparable.
        threads: of the CPU.
        calls_per_sample: how many calls were timed together.
        blocks: how many blocks were taken.
        seconds: how long it all took.
    """

    metrics: tuple[Measured, ...]
    samples_ns: tuple[int, ...]
    flags: tuple[str, ...]
    timer: str
    threads: int
    calls_per_sample: int
    blocks: int
    seconds: float


def measure(
    workload: Workload,
    phase: str,
    device: str | torch.device = "cpu",
    *,
    threads: int = 1,
    quality: str = "standard",
    backend: Backend | None = None,
    seed: int = 0,
    clock: Clock | None = None,
    count: bool = True,
    peaks: Peaks | None = None,
    cold: bool = False,
) -> Measurement:
    """Time one phase of a workload.

    Args:
        workload: what to call; its tensors are on the device.
        phase: a name out of `PHASES`.
        device: where it runs.
        threads: of the CPU. Two beside one busy neighbour are 12 to 35 times slower, and noisier, than one.
        quality: a name out of `QUALITIES`.
        backend: of the device; found by the device's name if None.
        seed: of the gradients that backward begins with, and of the default generators meanwhile.
        clock: the system's if None.
        count: count operations, traffic and memory too, by two more calls.
        peaks: of the machine, for the share of its roofline.
        cold: measure an accelerator's time after its cache was cleared too (`device_cold`).

    Returns:
        The numbers. The number of threads, the garbage collector and the default generators are as before.

    Raises:
        DoesNotApply: the phase has no meaning for the workload.
        ValueError: there is no such phase or quality, or fewer than one thread.
    """
    found = named(PHASES, "phase", phase)
    preset = named(QUALITIES, "quality", quality)
    name = str(device)
    kind = backend or backend_for(name)
    with ExitStack() as stack:
        own_clock = clock is None
        clock = clock or stack.enter_context(system_clock(threads))
        start = clock.wall_ns()
        stack.enter_context(setting(name, threads, seed, kind))
        work = found.work(workload, seed)
        stack.enter_context(without_garbage_collection())
        compiling = _compiling_s(work, kind, name, clock) if workload.compiles else None
        if kind.asynchronous:
            timed = time_on_accelerator(work, kind, name, clock.wall_ns, preset, cold=cold)
        else:
            timed = time_on_cpu(work, clock, preset, _anchor() if own_clock and threads == 1 else None)
        seconds = (clock.wall_ns() - start) * 1e-9
        counted = costs(work, written(work, workload, found, seed), kind, name) if count else None
    # The other phases have called forward before, to see what has a gradient.
    first_call_s = timed.first_call_s if compiling is None else compiling[0]
    first = {"first_call": (first_call_s,)} if phase == "forward" else {}
    values = {"median": timed.series["median"], **first, **timed.series}
    headline = values["median"]
    if compiling is not None:
        values["compile_time"] = (compiling[1],)
    metrics = [measured(metric, series) for metric, series in values.items()]
    if counted is not None:
        metrics += derived(counted, workload.parameters, metrics[0].value, peaks)
    said = {SLOWED: _slowed(timed, peaks), UNCOUNTED: counted is not None and not counted.complete}
    return Measurement(
        metrics=tuple(metrics),
        samples_ns=tuple(round(value * 1e9) for value in headline),
        flags=(*timed.flags, *(flag for flag, holds in said.items() if holds)),
        timer=timed.timer,
        threads=threads,
        calls_per_sample=timed.calls,
        blocks=len(headline),
        seconds=seconds,
    )


def measure_case(
    case: Case,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    phase: str = "forward",
    mode: str = "eager",
    *,
    threads: int = 1,
    quality: str = "standard",
    sizes: str = "",
    cold: bool = False,
) -> Measurement:
    """Time one phase of a case, without pytest.

    Args:
        case: made by `layer` or `op`.
        device: where to run it.
        dtype: float32 by default.
        phase: `"forward"`, `"backward"` or `"forward_backward"`.
        mode: `"eager"`, `"compile"` or another name out of docs/timing.md. `"cudagraph"` captures in this process; a
            capture that fails leaves its random generators unusable.
        threads: of the CPU.
        quality: `"quick"`, `"standard"` or `"precise"`.
        sizes: which of the sizes that the case declares for timing, `"N=32"`; the only ones if empty.
        cold: measure an accelerator's time after its cache was cleared too.

    Raises:
        DoesNotApply: the phase or the mode has no meaning for the case.
        DeviceError, DtypeError, ModeError: the device cannot be used, or a name is unknown.
        CaseError: the case has no such sizes.
    """
    from ..numerics.dtypes import parse_dtypes
    from ..trials import Trial
    from .peaks import peaks_for
    from .workloads import workload

    (device_name,) = resolve_devices([str(device)])
    (dtype_name,) = parse_dtypes([dtype or "float32"])
    trial = Trial(case, device_name, dtype_name, mode)
    return measure(
        workload(trial, sizes),
        phase,
        device_name,
        threads=threads,
        quality=quality,
        seed=trial.seed,
        peaks=peaks_for(trial, threads),
        cold=cold,
    )


def run_once(workload: Workload, phase: str, device: str | torch.device = "cpu", *, seed: int = 0) -> None:
    """Run one phase once, untimed, and wait for the device, whose errors would surface in a later test.

    Raises:
        DoesNotApply: the phase has no meaning for the workload.
    """
    with explained(), gradients_on(), seeded(str(device), seed):
        work = named(PHASES, "phase", phase).work(workload, seed)
        _once(work, backend_for(device), str(device))


def _anchor() -> Callable[[], object]:
    """A product that takes some 40 us: long enough for the clock, 2 % of a block with the call that warms it up."""
    import torch

    factor, result = torch.ones(ANCHOR, ANCHOR), torch.empty(ANCHOR, ANCHOR)

    def multiply() -> None:
        with torch.no_grad():
            torch.mm(factor, factor, out=result)

    return multiply


def _slowed(timed: Timed, peaks: Peaks | None) -> bool:
    known = peaks.anchor_s if peaks is not None else None
    return known is not None and "anchor" in timed.series and median(timed.series["anchor"]) > SLOWER * known


def _compiling_s(work: Work, backend: Backend, device: str, clock: Clock) -> tuple[float, float]:
    """Seconds of the first call with what is prepared for it, which compile, and how much longer the first one took."""
    times = []
    for _ in range(2):
        start = clock.wall_ns()
        _once(work, backend, device)
        times.append((clock.wall_ns() - start) * 1e-9)
    return times[0], max(0.0, times[0] - times[1])


def written(work: Work, workload: Workload, phase: Phase, seed: int) -> Work:
    """The work of the function as it was written: the very same unless the mode compiles or wraps it."""
    if workload.as_written is workload.call:
        return work
    return phase.work(replace(workload, call=workload.as_written), seed)


def _once(work: Work, backend: Backend, device: str) -> None:
    work.call(*work.arguments())
    backend.synchronize(device)


def named(registry: Mapping[str, T], kind: str, name: str) -> T:
    """The entry of a name; a ValueError that tells the names if there is none."""
    if name not in registry:
        raise ValueError(f"unknown {kind} {name!r}; there are: {', '.join(registry)}")
    return registry[name]
