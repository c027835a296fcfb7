"""What a call costs besides time, and the share of the machine's roof that it comes to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pytest_torchbasics import Tensor, layer
from pytest_torchbasics.backends import backend_for
from pytest_torchbasics.timing import PHASES, Measurement, Workload, measure
from pytest_torchbasics.timing.costs import Costs, costs, derived
from pytest_torchbasics.timing.peaks import COPIES, Peaks, keep, kept, measure_peaks, peaks_for
from pytest_torchbasics.timing.workloads import workload
from pytest_torchbasics.trials import Trial

CONV = layer("conv", lambda: nn.Conv2d(3, 4, 3), Tensor("N", 3, 8, 8))


def counted(call: Callable[..., Any], *inputs: torch.Tensor, phase: str = "forward") -> Costs:
    leaves = tuple(tensor for tensor in inputs if tensor.requires_grad)
    work = PHASES[phase].work(Workload(call, inputs, leaves), 0)
    return costs(work, work, backend_for("cpu"), "cpu")


def metrics(measurement: Measurement) -> dict[str, float]:
    return {found.metric: found.value for found in measurement.metrics}


def test_a_product_is_two_operations_a_multiply_add() -> None:
    assert counted(torch.matmul, torch.ones(3, 5), torch.ones(5, 7)).flops == 2 * 3 * 5 * 7


def test_forward_and_backward_are_counted_as_torch_counts_them() -> None:
    work = workload(Trial(CONV, "cpu", "float32"))
    with FlopCounterMode(display=False) as forward:
        result = work.call(*work.inputs)
    with FlopCounterMode(display=False) as both:
        work.call(*work.inputs).backward(torch.ones_like(result))
    works = {name: phase.work(work, 0) for name, phase in PHASES.items()}
    found = {name: costs(each, each, backend_for("cpu"), "cpu").flops for name, each in works.items()}
    assert found["forward"] == forward.get_total_flops() > 0
    assert found["forward_backward"] == both.get_total_flops()
    assert found["backward"] == both.get_total_flops() - forward.get_total_flops()


def test_without_products_there_is_no_number_of_operations() -> None:
    assert counted(torch.relu, torch.ones(8)).flops is None


@pytest.mark.parametrize(
    ("call", "shapes", "elements"),
    [
        (torch.add, [(100,), (100,)], 300),
        (lambda x: x.add_(1), [(100,)], 200),
        (lambda x: x.view(10, 10).t()[2:], [(100,)], 0),
        (lambda x: x.expand(50, 100) + 1, [(1, 100)], 100 + 5000),
        (torch.relu, [(0,)], 0),
    ],
)
def test_traffic_is_what_operators_read_and_write(
    call: Callable[..., Any], shapes: list[tuple[int, ...]], elements: int
) -> None:
    assert (counted(call, *map(torch.zeros, shapes)).bytes_moved or 0) == 4 * elements


def test_the_peak_is_what_the_call_holds_at_once_and_not_what_was_there() -> None:
    one = 4 * 100_000

    def two_temporaries(x: torch.Tensor) -> torch.Tensor:
        return ((x + 1) * (x + 2)).sum()

    found = counted(two_temporaries, torch.ones(100_000)).peak_bytes
    assert found is not None
    assert 3 * one <= found < 3.1 * one


def test_the_peak_of_backward_is_beyond_the_graph_that_was_built_before() -> None:
    x = torch.ones(100_000, requires_grad=True)
    forward = counted(torch.exp, x).peak_bytes
    backward = counted(torch.exp, x, phase="backward").peak_bytes
    assert forward is not None
    assert backward is not None
    assert forward == pytest.approx(400_000, rel=0.01)
    assert backward == pytest.approx(400_000, rel=0.01)


def test_beside_another_profiler_the_peak_is_not_known() -> None:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        assert counted(torch.exp, torch.ones(9)).peak_bytes is None


def test_the_rates_are_the_costs_by_the_time_and_the_roof_is_the_higher_of_two() -> None:
    peaks = Peaks(flop_rate=1e9, copies=((1_000, 1e9), (10_000, 1e8)))
    found = {m.metric: m.value for m in derived(Costs(2_000, 500, 64), 12, 1e-5, peaks)}
    assert found == {
        "parameters": 12,
        "flops": 2_000,
        "bytes_moved": 500,
        "peak": 64,
        "flop_rate": pytest.approx(2e8),
        "byte_rate": pytest.approx(5e7),
        "flop_per_byte": 4,
        "roofline_share": pytest.approx(0.2),  # 2 us of operations in 10 us
    }
    slow_memory = {m.metric: m.value for m in derived(Costs(None, 5_000, None), None, 1e-4, peaks)}
    assert slow_memory["roofline_share"] == pytest.approx(0.5)  # 5000 bytes do not fit the first cache: 50 us
    assert set(slow_memory) == {"bytes_moved", "byte_rate", "roofline_share"}


def test_a_measurement_of_a_case_brings_its_costs() -> None:
    found = metrics(measure(workload(Trial(CONV, "cpu", "float32")), "forward", quality="quick"))
    assert found["parameters"] == 3 * 4 * 9 + 4
    assert found["flop_rate"] == pytest.approx(found["flops"] / found["median"])
    assert "compile_time" not in found


COMPILING = """
from torch import nn
from pytest_torchbasics import Tensor, layer, measure_case

case = layer("conv", lambda: nn.Conv2d(3, 4, 3), Tensor("N", 3, 8, 8))
for phase in ("forward", "backward"):
    eager, compiled = (
        {m.metric: m.value for m in measure_case(case, phase=phase, mode=mode, quality="quick").metrics}
        for mode in ("eager", "compile:aot_eager")
    )
    assert compiled["compile_time"] > 10 * compiled["median"], compiled
    assert compiled["flops"] == eager["flops"], (compiled, eager)
"""


def test_compiling_is_told_apart_and_costs_are_of_the_function_as_written() -> None:
    # In a process of its own: runs of pytester in this one forget modules of torch's compiler, which register once.
    subprocess.run([sys.executable, "-c", COMPILING], check=True, timeout=240)


class Sized(nn.Linear):
    """A module that is false, as an empty container is."""

    def __len__(self) -> int:
        return 0


def test_a_module_that_is_false_is_counted_too() -> None:
    found = metrics(
        measure(workload(Trial(layer("sized", lambda: Sized(4, 2), Tensor(3, 4)), "cpu", "float32")), "backward")
    )
    assert found["flops"] > 0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path))
    return tmp_path / "peaks.json"


def test_peaks_are_kept_by_device_dtype_and_threads(cache: Path) -> None:
    fast, slow = (Peaks(rate, ((1_000, 1e9),)) for rate in (2e9, 1e9))
    keep({"float32": fast}, "cpu", 1)
    keep({"float64": slow}, "cpu", 1)
    assert kept("cpu", "float32", 1) == fast
    assert kept("cpu", "float64", 1) == slow
    assert kept("cpu", "float32", 2) is None
    assert peaks_for(Trial(CONV, "cpu", "float32"), 1) == fast
    assert peaks_for(Trial(CONV, "cpu", "float32", "autocast"), 1) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cpu": 3}', "\x00"])
def test_a_damaged_file_of_peaks_is_none_and_is_replaced(cache: Path, text: str) -> None:
    cache.write_text(text)
    assert kept("cpu", "float32", 1) is None
    peaks = Peaks(1e9, ((1_000, 1e9),))
    keep({"float32": peaks}, "cpu", 1)
    assert kept("cpu", "float32", 1) == peaks


def test_the_peaks_of_this_machine_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_torchbasics.timing.peaks.LARGEST_PRODUCT", 128)
    found = measure_peaks("cpu", "float32")
    assert found.flop_rate > 0
    assert [size for size, _ in found.copies] == [2 * size for size in COPIES]
    assert all(rate > 0 for _, rate in found.copies)
