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


TABLE, WHERE = torch.zeros(1000, 8), torch.tensor([1, 5, 5])


@pytest.mark.parametrize(
    ("call", "elements"),
    [
        (lambda: nn.functional.embedding(WHERE, TABLE), 2 * 24 + 2 * 3),  # what is looked up, written, and indices
        (lambda: TABLE[WHERE], 2 * 24 + 2 * 3),
        (lambda: TABLE.index_select(0, WHERE), 2 * 24 + 2 * 3),
        (lambda: TABLE.gather(0, torch.ones(2, 8).long()), 2 * 16 + 2 * 16 + 3 * 16 + 16),  # and the indices made
        (lambda: nn.functional.embedding_bag(WHERE, TABLE, WHERE[:1] * 0, mode="sum"), None),
        (lambda: TABLE.index_add_(0, WHERE, torch.empty(3, 8)), 3 * 24 + 2 * 3),
        (lambda: torch.zeros(100), 100),
        (lambda: torch.empty(100).normal_(), 100),
        (lambda: torch.empty(100).copy_(TABLE[0, 0]), 101),
        (lambda: torch.mul(TABLE, TABLE, out=torch.empty(1000, 8)), 24_000),
        (lambda: torch.empty(100).mul_(2), 200),
        (lambda: nn.functional.nll_loss(torch.empty(3, 1000), WHERE), 3 + 2 * 3 + 2),
    ],
    ids=str.split("embedding index index_select gather bag index_add zeros normal copy out in_place nll_loss", " "),
)
def test_of_a_table_what_is_looked_up_and_nothing_twice(call: Callable[[], Any], elements: int | None) -> None:
    found = counted(call).bytes_moved or 0
    assert found < 4 * 1000 if elements is None else found == 4 * elements


def flops_of_lstm() -> int:
    return 2 * (5 * 2) * 4 * 6 * (3 + 6)  # steps x batch, gates, hidden, input and hidden


ATTENDED = [torch.ones(2, 4, length, 8, requires_grad=True) for length in (5, 7, 7)]
EVALUATED = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()


@pytest.mark.parametrize(
    ("call", "flops"),
    [
        (lambda: torch.mv(torch.ones(3, 5), torch.ones(5)), 30),
        (lambda: torch.addmv(torch.ones(3), torch.ones(3, 5), torch.ones(5)), 30),
        (lambda: torch.dot(torch.ones(5), torch.ones(5)), 10),
        (lambda: nn.Bilinear(3, 4, 5, bias=False)(torch.ones(2, 3), torch.ones(2, 4)), 3 * 2 * 3 * 4 * 5),
        (lambda: nn.LSTM(3, 6)(torch.ones(5, 2, 3)), flops_of_lstm()),
        (lambda: nn.LSTM(3, 6, bidirectional=True)(torch.ones(5, 2, 3)), 2 * flops_of_lstm()),
        (lambda: nn.functional.scaled_dot_product_attention(*ATTENDED), 2 * 8 * 5 * 7 * (8 + 8)),
    ],
    ids=["mv", "addmv", "dot", "bilinear", "lstm", "both ways", "attention"],
)
def test_products_without_a_formula_of_torch_have_one(call: Callable[[], Any], flops: int) -> None:
    assert counted(call).flops == flops


def test_the_backward_of_attention_makes_the_scores_again() -> None:
    call = nn.functional.scaled_dot_product_attention
    assert counted(call, *ATTENDED, phase="backward").flops == 2 * 8 * 5 * 7 * (3 * 8 + 2 * 8)


def test_the_fast_path_of_an_encoder_layer_does_as_much_as_its_parts() -> None:
    x = torch.ones(2, 5, 16)
    with torch.no_grad():
        fast = counted(EVALUATED, x).flops
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        slow = counted(EVALUATED, x).flops
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert fast == slow


@pytest.mark.parametrize(
    "call",
    [
        lambda: torch.linalg.inv(torch.eye(3)) @ torch.ones(3, 3),
        lambda: torch.cdist(torch.ones(40, 3), torch.ones(40, 3), p=1.0),
        lambda: torch.ones(3, 3) @ torch.fft.rfft(torch.ones(3, 8)).real,
    ],
    ids=["inverse", "distances", "fourier"],
)
def test_a_sum_that_leaves_something_out_is_not_given(call: Callable[[], Any]) -> None:
    found = counted(call)
    assert found.flops is None
    assert not found.complete


def test_what_cannot_be_counted_loses_no_timing() -> None:
    """Planted: a call that raises under torch's dispatch modes, as some layouts and subclasses do."""

    def call() -> torch.Tensor:
        if torch.utils._python_dispatch._get_current_dispatch_mode() is not None:
            raise NotImplementedError("no modes here")
        return torch.ones(3)

    found = measure(Workload(call, ()), "forward", quality="quick")
    assert found.metrics[0].value > 0
    assert "uncounted" in found.flags
    assert not {"flops", "bytes_moved"} & set(metrics(found))


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize(
    "call",
    [lambda: torch.ones(3, 4).to_mkldnn(), lambda: torch.eye(3).to_sparse(), lambda: torch.eye(3).to_sparse_csr()],
)
def test_other_layouts_are_counted_or_said_not_to_be(call: Callable[[], Any]) -> None:
    found = measure(Workload(call, ()), "forward", quality="quick")
    assert ("uncounted" in found.flags) != (metrics(found).get("bytes_moved", 0) > 0)


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
    assert kept("cpu", "float16", 1) is None
    assert peaks_for(Trial(CONV, "cpu", "float32"), 1) == fast
    assert peaks_for(Trial(CONV, "cpu", "float32", "autocast"), 1) is None


def test_the_anchor_of_one_dtype_is_that_of_all(cache: Path) -> None:
    keep({"float32": Peaks(2e9, ((1_000, 1e9),), anchor_s=1e-5)}, "cpu", 1)
    alone = Peaks(anchor_s=1e-5)
    assert kept("cpu", "float16", 1) == alone
    assert peaks_for(Trial(CONV, "cpu", "float32", "autocast"), 1) == alone
    assert alone.shortest_s(10, 10) == 0
    assert "roofline_share" not in {m.metric for m in derived(Costs(10, 10, None), None, 1e-3, alone)}


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
