"""`measure`: what comes out, and that everything is as before afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import fields
from itertools import cycle

import pytest
import torch
from torch import nn

from pytest_torchbasics import Tensor, layer, measure_case, op
from pytest_torchbasics.results.rows import MetricValue
from pytest_torchbasics.timing import FLAGS, METRICS, PHASES, DoesNotApply, Measured, Workload, flags, measure
from pytest_torchbasics.timing.clocks import Clock, system_clock
from pytest_torchbasics.timing.peaks import Peaks
from pytest_torchbasics.timing.workloads import workload
from pytest_torchbasics.trials import Trial

from .worlds import World


def of(call) -> Workload:
    return Workload(lambda: call(), ())


def test_a_measurement_says_what_was_measured():
    world = World([5_000_000, 70_000])
    found = measure(of(world.call), "forward", clock=world.clock, count=False)
    assert [vars(metric) for metric in found.metrics] == [
        {
            "metric": "median",
            "unit": "s",
            "better": "lower",
            "value": pytest.approx(70e-6),
            "low": pytest.approx(70e-6),
            "high": pytest.approx(70e-6),
            "n": 8,
        },
        {
            "metric": "first_call",
            "unit": "s",
            "better": "lower",
            "value": pytest.approx(5e-3),
            "low": None,
            "high": None,
            "n": 1,
        },
        {"metric": "wall_over_cpu", "unit": "", "better": "none", "value": 1.0, "low": 1.0, "high": 1.0, "n": 8},
    ]
    assert found.samples_ns == (70_000,) * 8
    assert (found.flags, found.timer, found.threads, found.calls_per_sample, found.blocks) == ((), "hybrid", 1, 1, 8)
    assert found.seconds == pytest.approx(world.wall * 1e-9)


def test_threads_are_set_and_restored():
    seen, before = set(), torch.get_num_threads()
    world = World([1_000_000])

    def call():
        seen.add(torch.get_num_threads())
        world.call()

    for threads in (1, 2):
        seen.clear()
        assert measure(of(call), "forward", clock=world.clock, threads=threads).threads == threads
        assert seen == {threads}
        assert torch.get_num_threads() == before


def test_everything_is_restored_after_an_exception():
    torch.manual_seed(5)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    seen = []

    def fails():
        seen.append((gc.isenabled(), torch.get_num_threads(), torch.is_grad_enabled()))
        torch.rand(1)
        raise ZeroDivisionError

    with torch.no_grad():
        with pytest.raises(ZeroDivisionError):
            measure(of(fails), "forward", threads=threads + 1)
        assert not torch.is_grad_enabled()
    assert seen == [(False, threads + 1, True)]
    assert gc.isenabled()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_a_garbage_collector_that_was_off_stays_off():
    world = World([1_000_000])
    gc.disable()
    try:
        measure(of(world.call), "forward", clock=world.clock)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_gradients_are_on_within_inference_mode():
    with torch.inference_mode(False):
        module = nn.Linear(2, 2)
        work = Workload(module, (torch.randn(1, 2),), tuple(module.parameters()))
    with torch.inference_mode():
        assert measure(work, "backward", quality="quick").metrics[0].value > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"phase": "sideways"}, "unknown phase 'sideways'; there are: forward, backward, forward_backward"),
        ({"quality": "best"}, "unknown quality 'best'; there are: quick, standard, precise"),
        ({"threads": 0}, "threads must be a whole number, 1 or more, got 0"),
    ],
)
def test_wrong_arguments_are_errors(given, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is compared below
        measure(of(list), **{"phase": "forward", **given})
    assert str(caught.value) == message


def test_metrics_are_what_a_row_holds():
    assert [field.name for field in fields(Measured)] == [field.name for field in fields(MetricValue)]


def test_registries_are_keyed_by_name_and_explained():
    for registry in (METRICS, PHASES):
        assert all(entry.name == name and entry.description for name, entry in registry.items())
    assert all(FLAGS.values())


def test_the_system_clock_sees_cpu_time_and_delay_for_one_thread_alone():
    with system_clock(1) as clock:
        assert clock.cpu_ns is not None
        before = clock.wall_ns(), clock.cpu_ns()
        sum(range(10_000))
        assert clock.wall_ns() > before[0]
        assert clock.cpu_ns() >= before[1]
        assert clock.delay_ns is None or clock.delay_ns() >= 0
    with system_clock(2) as clock:
        assert clock == Clock(clock.wall_ns)


def test_a_system_without_schedstat_has_no_delay(monkeypatch):
    def refuse(*_):
        raise FileNotFoundError

    monkeypatch.setattr("pytest_torchbasics.timing.clocks.os.open", refuse)
    with system_clock(1) as clock:
        assert clock.delay_ns is None


def test_a_schedstat_of_zeros_is_none(monkeypatch):
    monkeypatch.setattr("pytest_torchbasics.timing.clocks.os.pread", lambda *_: b"0 0 0\n")
    with system_clock(1) as clock:
        assert clock.delay_ns is None


LINEAR = layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4))
INPLACE = layer("inplace", lambda: nn.ReLU(inplace=True), Tensor(3, 4))
DROPOUT = layer("dropout", lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.BatchNorm1d(4)), Tensor("N", 4))


@pytest.mark.parametrize("declared", [LINEAR, INPLACE, DROPOUT], ids=lambda declared: declared.name)
@pytest.mark.parametrize("phase", PHASES)
def test_a_case_is_measured(declared, phase):
    found = measure_case(declared, phase=phase, quality="quick")
    assert found.metrics[0].value > 0
    assert found.blocks == 8 or "few_samples" in found.flags


def test_a_workload_is_of_the_timing_sizes_in_training_mode():
    work = workload(Trial(LINEAR, "cpu", "float32"))
    assert work.inputs[0].shape == (32, 4)
    assert [tuple(leaf.shape) for leaf in work.leaves] == [(32, 4), (2, 4), (2,)]
    assert work.fresh_inputs is None
    assert work.call.training


def test_only_a_call_that_writes_to_its_inputs_gets_fresh_ones():
    work = workload(Trial(INPLACE, "cpu", "float32"))
    assert work.fresh_inputs is not None
    assert work.fresh_inputs()[0] is not work.inputs[0]


def test_a_shared_parameter_is_one_leaf():
    def tied():
        module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        module[1].weight = module[0].weight
        return module

    assert len(workload(Trial(layer("tied", tied, Tensor(2, 3)), "cpu", "float32")).leaves) == 4


def test_an_integer_op_has_no_backward():
    case = op("add", torch.add, Tensor(3, dtype="int64"), Tensor(3, dtype="int64"))
    with pytest.raises(DoesNotApply, match="nothing requires a gradient"):
        measure_case(case, phase="backward")


def test_timing_is_imported_without_torch():
    code = "import sys, pytest_torchbasics.timing; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_beside_each_block_a_fixed_product_tells_how_fast_the_processor_is():
    work = workload(Trial(op("abs", torch.abs, Tensor(64)), "cpu", "float32"))
    found = {m.metric: m for m in measure(work, "forward", quality="quick").metrics}
    assert 0 < found["anchor"].value < 0.1
    assert found["anchor"].n == found["median"].n
    assert "anchor" not in {m.metric for m in measure(work, "forward", quality="quick", threads=2).metrics}


@pytest.mark.parametrize(("known", "slowed"), [(1e-9, True), (10.0, False), (None, False)])
def test_a_processor_slower_than_the_doctor_saw_it_is_flagged(known, slowed):
    work = workload(Trial(op("abs", torch.abs, Tensor(64)), "cpu", "float32"))
    peaks = Peaks(1e12, ((1024, 1e12),), known)
    assert (flags.SLOWED in measure(work, "forward", quality="quick", peaks=peaks).flags) is slowed


@pytest.mark.parametrize("phase", ["backward", "forward_backward"])
def test_outputs_whose_shapes_change_have_no_backward(phase):
    lengths = cycle([3, 4])

    def growing(x):
        return x.repeat(next(lengths))

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(DoesNotApply, match="the shapes of its outputs change from call to call"):
        measure(Workload(growing, (x,), (x,)), phase, quality="quick")
