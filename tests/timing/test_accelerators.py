"""The protocol of accelerators, on a simulated one whose kernels take known times."""

from __future__ import annotations

import pytest
import torch

from pytest_torchbasics.backends.fake import FakeBackend, Machine
from pytest_torchbasics.timing import QUALITIES, Workload, measure
from pytest_torchbasics.timing.accelerators import MAX_CALLS, PREPARED_BYTES, time_on_accelerator
from pytest_torchbasics.timing.clocks import Clock
from pytest_torchbasics.timing.phases import Work

from .worlds import Kernel

US = 1e-6
STANDARD = QUALITIES["standard"]


def timed(backend: FakeBackend, host: float, device: float, launches: int = 1, synchronizes: bool = False):
    """Time a call of so many kernels, each with these times."""
    machine = backend.machine

    def call():
        for _ in range(launches):
            machine.launch(host, device)
        if synchronizes:
            machine.synchronize()

    return time_on_accelerator(Work(call), backend, "fake", machine.wall_ns, STANDARD)


def value(result, metric: str) -> float:
    return result.series[metric][-1]


@pytest.mark.parametrize("launches", [1, 9])
@pytest.mark.parametrize("host_us", [2, 10, 80])
@pytest.mark.parametrize("device_us", [1, 30, 2700])
def test_device_time_is_exact_however_slow_the_host_is(launches, host_us, device_us):
    result = timed(FakeBackend(), host_us * US, device_us * US, launches)
    assert result.timer == "device"
    assert result.flags == ()
    assert result.series["median"] == result.series["device"]
    assert value(result, "device") == pytest.approx(launches * device_us * US, rel=1e-6)
    assert value(result, "host") == pytest.approx(launches * host_us * US, rel=1e-3)
    slower = max(host_us, device_us)
    assert value(result, "latency") == pytest.approx((launches * slower + min(host_us, device_us)) * US, rel=1e-3)
    assert value(result, "pipelined") == pytest.approx(launches * slower * US, rel=0.6)


def test_without_a_backlog_the_same_events_would_show_the_host():
    """The fault that the backlog prevents, planted: a backlog that ends at once."""
    backend = FakeBackend(longest_sleep=0.0)
    start, end = backend.event(), backend.event()
    start.record()
    for _ in range(9):
        backend.machine.launch(80 * US, 30 * US)
    end.record()
    backend.synchronize("fake")
    assert start.elapsed_time(end) * 1e-3 == pytest.approx(9 * 80 * US + 30 * US)


def test_a_backlog_that_is_too_short_is_noticed():
    result = timed(FakeBackend(longest_sleep=5 * US), 80 * US, 30 * US)
    assert result.flags == ("host_bound",)
    assert result.timer == "latency"
    assert "device" not in result.series
    assert result.series["median"] == result.series["latency"]
    assert value(result, "median") == pytest.approx(110 * US, rel=1e-3)


def test_a_backlog_that_hides_a_few_calls_halves_the_batch():
    """300 us hide three calls of 80 us, not thirty."""
    backend = FakeBackend(longest_sleep=300 * US)
    result = timed(backend, 80 * US, 30 * US)
    assert result.flags == ()
    assert value(result, "device") == pytest.approx(30 * US, rel=1e-6)


def test_a_launch_queue_that_is_too_small_halves_the_batch():
    """A full queue makes the host wait until the backlog is over: only fewer calls help."""
    result = timed(FakeBackend(Machine(queue_limit=64)), 10 * US, 3 * US, launches=9)
    assert result.flags == ()
    assert value(result, "device") == pytest.approx(27 * US, rel=1e-6)


def test_a_call_that_waits_for_the_device_is_host_bound():
    result = timed(FakeBackend(), 10 * US, 30 * US, synchronizes=True)
    assert result.flags == ("host_bound",)
    assert value(result, "median") == pytest.approx(40 * US, rel=1e-3)


def test_short_work_is_repeated_between_two_events():
    assert timed(FakeBackend(), 10 * US, 30 * US).calls == 1
    assert timed(FakeBackend(), 10 * US, 4 * US).calls == 5
    assert timed(FakeBackend(), 10 * US, 0.1 * US).calls == MAX_CALLS


@pytest.mark.parametrize("missing", ["events", "sleeps"])
def test_without_events_or_a_sleep_kernel_the_headline_is_the_latency(missing):
    result = timed(FakeBackend(**{missing: False}), 10 * US, 30 * US)
    assert result.flags == ("no_backlog",)
    assert result.timer == "latency"
    assert set(result.series) == {"median", "host", "latency", "pipelined"}
    assert value(result, "median") == pytest.approx(40 * US, rel=1e-3)


def test_no_call_of_a_batch_is_waited_for():
    machine = Machine()
    backend = FakeBackend(machine)
    before = []
    work = Work(lambda: (before.append(machine.synchronizations), machine.launch(80 * US, 30 * US)))
    time_on_accelerator(work, backend, "fake", machine.wall_ns, STANDARD)
    batch = max(before.count(number) for number in set(before))
    assert batch >= 30


def test_prepared_calls_fit_into_memory():
    machine = Machine()
    held, most = 0, 0

    def prepare():
        nonlocal held, most
        held += 1
        most = max(most, held)

    def call(_):
        nonlocal held
        held -= 1
        machine.launch(10 * US, 30 * US)

    work = Work(call, prepare, bytes_each=PREPARED_BYTES // 4)
    result = time_on_accelerator(work, FakeBackend(machine), "fake", machine.wall_ns, STANDARD)
    assert value(result, "device") == pytest.approx(30 * US, rel=1e-6)
    assert most <= 5


@pytest.mark.parametrize(("phase", "device_us"), [("forward", 30), ("backward", 60), ("forward_backward", 90)])
def test_the_phases_of_a_layer_have_their_own_device_times(phase, device_us):
    machine = Machine()
    x = torch.randn(3, requires_grad=True)
    workload = Workload(lambda x: Kernel.apply(x, machine, 10 * US, 30 * US), (x,), (x,))
    backend, clock = FakeBackend(machine), Clock(machine.wall_ns)
    measurement = measure(workload, phase, "fake", backend=backend, clock=clock, quality="quick", count=False)
    assert measurement.timer == "device"
    assert measurement.metrics[0].metric == "median"
    assert measurement.metrics[0].value == pytest.approx(device_us * US, rel=1e-6)
    assert [metric.metric for metric in measurement.metrics] == [
        "median",
        *(["first_call"] if phase == "forward" else []),
        "host",
        "latency",
        "pipelined",
        "device",
    ]
    assert measurement.samples_ns == (device_us * 1000,) * 8
