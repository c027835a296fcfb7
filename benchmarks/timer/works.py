"""What is timed: work of known length, the tutorial's network, and a convolution of 6 to 10 ms."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns, thread_time_ns
from typing import Any

import torch
from torch import nn

from pytest_torchbasics import Tensor, layer
from pytest_torchbasics.timing import Workload
from pytest_torchbasics.timing.workloads import workload
from pytest_torchbasics.trials import Trial

#: Works of known length, in seconds.
KNOWN = (5e-6, 20e-6, 100e-6, 1e-3, 10e-3)
#: 6 to 10 ms on one core of the machines at hand; it is not calibrated, so that every process does the same.
CONVOLUTION = layer("conv", lambda: nn.Conv2d(32, 32, 3, padding=1), Tensor(8, 32, 64, 64))


@dataclass(frozen=True)
class Timed:
    """A work: what our timer gets, and the plain calls that other tools get.

    Attributes:
        workload: for our timer.
        phase: which phase of it.
        call: the same for other tools, as their users write it: a backward of a graph that is kept.
        inputs: the arguments of `call`.
        seconds: how long it takes, where that is known.
    """

    workload: Workload
    phase: str
    call: Callable[..., Any]
    inputs: tuple[Any, ...] = ()
    seconds: float | None = None


def made(name: str, slowdown: float = 0.0, device: str = "cpu") -> Timed:
    """The work of a name: `spin:0.001`, `cnn forward`, `cnn backward`, `conv forward`.

    Args:
        name: what to make.
        slowdown: how much is added to a call, as a share of it, by a spin.
        device: where it runs.
    """
    kind, _, rest = name.partition(":")
    if kind == "spin":
        return _spin(float(rest))
    case, phase = name.split()
    found = workload(Trial(_case(case), device, "float32"))
    call = found.call if phase == "forward" else _backward_of(found)
    if slowdown:
        extra = slowdown * _seconds(lambda: call(*_arguments(found, phase)))
        return _slowed(found, phase, extra)
    return Timed(found, phase, call, _arguments(found, phase))


def _case(name: str) -> Any:
    if name == "conv":
        return CONVOLUTION
    from suites.tutorial.cnn import CASES

    return next(case for case in CASES if case.name == "cnn/corrected")


def _arguments(found: Workload, phase: str) -> tuple[Any, ...]:
    return found.inputs if phase == "forward" else ()


def _backward_of(found: Workload) -> Callable[[], Any]:
    result = found.call(*found.inputs)
    gradient = torch.randn(result.shape, generator=torch.Generator().manual_seed(0))
    return lambda: torch.autograd.grad(result, found.leaves, gradient, retain_graph=True)


def _slowed(found: Workload, phase: str, seconds: float) -> Timed:
    """The same with a spin behind the call, which backward runs in the gradient of an identity."""

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
            _spin_cpu(seconds)
            return gradient

    def forward(*inputs: Any) -> Any:
        result = found.call(*inputs)
        if phase == "forward":
            _spin_cpu(seconds)
            return result
        return Slow.apply(result)  # type: ignore[no-untyped-call]

    slow = Workload(forward, found.inputs, found.leaves)
    return Timed(slow, phase, forward if phase == "forward" else _backward_of(slow), _arguments(found, phase))


def _spin_cpu(seconds: float) -> None:
    """Compute for so long: time during which another process runs does not count, as for real work."""
    end = thread_time_ns() + seconds * 1e9
    while thread_time_ns() < end:
        pass


def _spin(seconds: float) -> Timed:
    """A wait of known length, by the wall clock; what it overshoots by is measured and belongs to the length."""

    def spin() -> None:
        end = perf_counter_ns() + seconds * 1e9
        while perf_counter_ns() < end:
            pass

    overshoot = []
    for _ in range(max(200, min(20_000, int(0.2 / seconds)))):
        start = perf_counter_ns()
        spin()
        overshoot.append(perf_counter_ns() - start)
    return Timed(Workload(spin, ()), "forward", spin, (), statistics.median(overshoot) * 1e-9)


def _seconds(call: Callable[[], Any]) -> float:
    """About how long a call takes: the lower quartile of the CPU time of 200 calls, or of half a second of them."""
    for _ in range(20):
        call()
    times: list[int] = []
    begin = perf_counter_ns()
    while len(times) < 200 and (perf_counter_ns() - begin < 5e8 or len(times) < 8):
        start = thread_time_ns()
        call()
        times.append(thread_time_ns() - start)
    return statistics.quantiles(times, n=4)[0] * 1e-9
