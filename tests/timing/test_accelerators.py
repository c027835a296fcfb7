"""The protocol of accelerators, on a simulated one whose kernels take known times."""

from __future__ import annotations

import pytest
import torch

from pytest_torchbasics.backends.base import THROTTLES, Reading
from pytest_torchbasics.backends.fake import FakeBackend, Machine
from pytest_torchbasics.timing import QUALITIES, Workload, measure
from pytest_torchbasics.timing.accelerators import time_on_accelerator
from pytest_torchbasics.timing.backlogs import MAX_CALLS, PREPARED_BYTES
from pytest_torchbasics.timing.clocks import Clock
from pytest_torchbasics.timing.metrics import measured
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

    return timed_work(backend, Work(call))


def timed_work(backend: FakeBackend, work: Work, **options):
    return time_on_accelerator(work, backend, "fake", backend.machine.wall_ns, STANDARD, **options)


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


@pytest.mark.parametrize("missing", [("events",), ("sleeps",), ("events", "sleeps")])
def test_without_events_or_a_sleep_kernel_the_headline_is_the_latency(missing):
    result = timed(FakeBackend(**dict.fromkeys(missing, False)), 10 * US, 30 * US)
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


def test_the_device_is_idle_when_a_backlog_begins():
    """Else what preparing left on other queues would run beside the batch, and fill the queue."""
    machine = Machine()
    idle = []

    class Watching(FakeBackend):
        def backlog(self, device):
            sleep = super().backlog(device)

            def watched(seconds):
                idle.append(machine.idle_at <= machine.now)
                sleep(seconds)

            return watched

    work = Work(lambda _: machine.launch(10 * US, 30 * US), lambda: machine.launch(5 * US, 300 * US, queue=1))
    timed_work(Watching(machine), work)
    assert idle
    assert all(idle)


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


@pytest.mark.parametrize("cold", [False, True])
def test_preparing_is_outside_of_every_window(cold):
    """Planted: preparing takes ten times as long as the call, on the host and on the device."""
    machine = Machine()

    def prepare():
        machine.launch(400 * US, 300 * US)

    result = timed_work(FakeBackend(machine), Work(lambda _: machine.launch(40 * US, 30 * US), prepare), cold=cold)
    assert result.flags == ()
    assert value(result, "device") == pytest.approx(30 * US, rel=1e-6)
    assert value(result, "host") == pytest.approx(40 * US, rel=1e-3)
    assert value(result, "latency") == pytest.approx(70 * US, rel=1e-3)
    assert value(result, "pipelined") == pytest.approx(40 * US, rel=0.1)


@pytest.mark.parametrize("hide", [False, True])
@pytest.mark.parametrize("mark_us", [0.5, 2])
def test_what_events_cost_is_told_and_makes_no_more_than_two_percent_of_long_kernels(mark_us, hide):
    result = timed(FakeBackend(Machine(mark_cost=mark_us * US, marks_hide=hide)), 10 * US, 100 * US)
    assert value(result, "empty_pair") == pytest.approx(mark_us * US, rel=1e-6)
    assert value(result, "device") == pytest.approx(100 * US, rel=0.02 + 1e-9)


def test_subtracting_an_empty_pair_would_be_wrong_where_kernels_hide_what_events_cost():
    result = timed(FakeBackend(Machine(mark_cost=5 * US, marks_hide=True)), 10 * US, 30 * US)
    assert value(result, "device") == pytest.approx(30 * US, rel=1e-6)
    assert value(result, "device") - value(result, "empty_pair") < 0.9 * 30 * US


def test_an_empty_pair_that_no_backlog_hides_is_not_told():
    """Planted: a backlog that ends at once, so that a pair of events shows the host that records them."""
    assert "empty_pair" not in timed(FakeBackend(longest_sleep=0.0), 10 * US, 30 * US).series


def cold_work(machine: Machine, host_us: float = 40) -> Work:
    return Work(lambda: machine.launch(host_us * US, 30 * US, cold=12 * US))


def test_a_cold_call_takes_longer_and_clearing_is_not_in_its_time():
    backend = FakeBackend(Machine(clear_cost=200 * US))
    result = timed_work(backend, cold_work(backend.machine), cold=True)
    assert result.flags == ()
    assert value(result, "device_cold") == pytest.approx(42 * US, rel=1e-6)
    assert value(result, "device") == value(result, "median") == pytest.approx(30 * US, rel=1e-6)
    assert len(result.series["device_cold"]) == len(result.series["device"])


def test_cold_calls_are_measured_singly_even_if_they_are_short():
    backend = FakeBackend()
    work = Work(lambda: backend.machine.launch(5 * US, 2 * US, cold=3 * US))
    result = timed_work(backend, work, cold=True)
    assert result.calls == 10
    assert value(result, "device_cold") == pytest.approx(5 * US, rel=1e-6)


def test_no_cold_time_unless_wanted():
    backend = FakeBackend()
    assert "device_cold" not in timed_work(backend, cold_work(backend.machine)).series


def test_a_cache_that_cannot_be_cleared_is_told():
    backend = FakeBackend(clears=False)
    result = timed_work(backend, cold_work(backend.machine), cold=True)
    assert result.flags == ("no_cold",)
    assert "device_cold" not in result.series


def test_a_cold_call_that_no_backlog_hides_is_told():
    """Planted: the sleep hides a call, but not what clears the cache besides."""
    backend = FakeBackend(Machine(record_cost=1 * US), longest_sleep=43 * US)
    backend.cache_clearer = lambda device: lambda: backend.machine.launch(50 * US, 0.0)
    result = timed_work(backend, cold_work(backend.machine), cold=True)
    assert result.flags == ("no_cold",)
    assert value(result, "device") == pytest.approx(30 * US, rel=1e-6)


def on_a_side_stream(machine: Machine, side_us: float, *, waits_first: bool, waited_for: bool) -> Work:
    """A kernel of 30 us, and beside it one on another queue."""

    def call():
        if waits_first:
            machine.wait(7, machine.current)
        machine.launch(5 * US, side_us * US, queue=7)
        machine.launch(5 * US, 30 * US)
        if waited_for:
            machine.wait(machine.current, 7)

    return Work(call)


@pytest.mark.parametrize("side_us", [10, 90, 900])
def test_a_stream_that_is_tied_in_belongs_to_the_device_time(side_us):
    backend = FakeBackend()
    work = on_a_side_stream(backend.machine, side_us, waits_first=True, waited_for=True)
    result = timed_work(backend, work)
    assert result.flags == ()
    assert value(result, "device") == pytest.approx(max(30, side_us) * US, rel=1e-6)


@pytest.mark.parametrize("side_us", [90, 900, 9000])
@pytest.mark.parametrize("waits_first", [False, True])
def test_work_on_a_hidden_stream_is_noticed(side_us, waits_first):
    backend = FakeBackend()
    work = on_a_side_stream(backend.machine, side_us, waits_first=waits_first, waited_for=False)
    result = timed_work(backend, work)
    assert result.flags == ("other_streams",)
    assert result.timer == "latency"
    assert not {"device", "empty_pair"} & set(result.series)
    assert value(result, "median") == pytest.approx((5 + side_us) * US, rel=1e-3)


@pytest.mark.parametrize("side_us", [90, 900, 9000])
def test_a_stream_that_starts_under_the_backlog_and_is_waited_for_outlasts_it(side_us):
    """What it does is seen in all calls but those that the backlog covers."""
    backend = FakeBackend()
    work = on_a_side_stream(backend.machine, side_us, waits_first=False, waited_for=True)
    assert value(timed_work(backend, work), "median") == pytest.approx(side_us * US, rel=0.02)


@pytest.mark.parametrize(("last", "told"), [(1360, False), (9999, True)])
def test_one_block_that_was_held_up_is_no_hidden_stream(last, told):
    """Planted: another program's work, during the 65 calls of a block or from then on."""
    backend = FakeBackend()
    calls = []

    def call():
        calls.append(1)
        backend.machine.launch(10 * US, 900 * US if 1300 <= len(calls) < last else 0.0, queue=7)
        backend.machine.launch(10 * US, 30 * US)

    result = timed_work(backend, Work(call))
    assert len(calls) > 1360
    assert ("other_streams" in result.flags) == told


def test_events_and_backlog_are_on_the_current_stream_of_the_caller():
    backend = FakeBackend(Machine(current=3))
    result = timed(backend, 80 * US, 30 * US)
    assert result.flags == ()
    assert value(result, "device") == pytest.approx(30 * US, rel=1e-6)


def test_a_backlog_on_another_stream_is_noticed():
    machine = Machine(current=3)
    backend = FakeBackend(machine)
    backend.backlog = lambda device: lambda seconds: machine.launch(1 * US, seconds, queue=0)
    assert timed(backend, 80 * US, 30 * US).flags == ("host_bound",)


def test_sensors_are_read_around_the_blocks_and_told_with_their_range():
    clocks = [1.700e9, 1.710e9, 1.720e9]
    backend = FakeBackend(readings=[Reading(clock, 300.0, 60.0) for clock in clocks])
    result = timed(backend, 10 * US, 30 * US)
    assert result.flags == ()
    assert result.series["sm_clock"][:4] == (*clocks, clocks[-1])
    assert len(result.series["power"]) == len(result.series["temperature"]) == len(result.series["median"]) + 1
    found = measured("sm_clock", clocks)
    assert (found.value, found.low, found.high, found.unit) == (1.710e9, 1.700e9, 1.720e9, "Hz")


def test_sensors_are_not_read_inside_a_window():
    machine = Machine()
    backend = FakeBackend(machine)

    def read():
        assert machine.idle_at <= machine.now
        machine.work(5000 * US)
        return Reading(1.7e9)

    backend.sensors = lambda device: read
    result = timed(backend, 10 * US, 30 * US)
    assert value(result, "latency") == pytest.approx(40 * US, rel=1e-3)
    assert value(result, "device") == pytest.approx(30 * US, rel=1e-6)


def test_what_a_sensor_does_not_tell_is_absent():
    result = timed(FakeBackend(readings=[Reading(power=80.0)]), 10 * US, 30 * US)
    assert "power" in result.series
    assert not {"sm_clock", "temperature"} & set(result.series)


@pytest.mark.parametrize("reason", sorted(THROTTLES))
def test_throttling_is_told(reason):
    readings = [Reading(1.7e9), Reading(1.7e9, reasons=("sw_power_cap", reason)), Reading(1.7e9)]
    assert timed(FakeBackend(readings=readings), 10 * US, 30 * US).flags == ("throttled",)


def test_a_power_cap_alone_is_no_throttling():
    assert timed(FakeBackend(readings=[Reading(reasons=("sw_power_cap",))]), 10 * US, 30 * US).flags == ()


@pytest.mark.parametrize(("after", "flags"), [(1.95e9, ()), (1.9e9, ("clock_changed",)), (2.1e9, ("clock_changed",))])
def test_a_clock_that_moves_is_told(after, flags):
    readings = [Reading(2.0e9), Reading(2.0e9), Reading(after)]
    assert timed(FakeBackend(readings=readings), 10 * US, 30 * US).flags == flags


def test_a_graph_costs_the_host_one_launch():
    machine = Machine()
    backend = FakeBackend(machine, graphs=True)

    def call():
        for _ in range(9):
            machine.launch(10 * US, 30 * US)

    result = timed_work(backend, Work(backend.graphed(call, (), "fake")))
    assert value(result, "host") == pytest.approx(machine.record_cost)
    assert value(result, "device") == pytest.approx(270 * US, rel=1e-6)


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
        "empty_pair",
    ]
    assert measurement.samples_ns == (device_us * 1000,) * 8
