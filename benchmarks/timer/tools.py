"""The timers: ours and those of the peers, each as its users use it, with its defaults. The only list of them."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from .works import Timed

#: As in `pytest_torchbasics --timer-quality`.
QUALITY = "standard"


@dataclass(frozen=True)
class Answer:
    """What a tool reports: the time of a call that its users read, and what it cost to find out, in seconds."""

    value: float
    cost: float


def _ours(work: Timed, device: str) -> float:
    from pytest_torchbasics.timing import measure

    return measure(work.workload, work.phase, device, quality=QUALITY, count=False).metrics[0].value


def _torch_timer(work: Timed, device: str) -> float:
    from torch.utils.benchmark import Timer

    timer = Timer("call(*inputs)", globals={"call": work.call, "inputs": work.inputs})
    return float(timer.blocked_autorange().median)


def _pytest_torch(work: Timed, device: str) -> float:
    """It times under inference mode, so it has no backward."""
    from pytest_torch.perf import measure_latency

    if work.phase != "forward":
        raise NotImplementedError("it times forward only")
    return measure_latency(work.call, *work.inputs, device=device).median_ms * 1e-3


def _pytest_benchmark(work: Timed, device: str) -> float:
    class Test:
        @pytest.fixture
        def work(self) -> Timed:
            return work

    with tempfile.TemporaryDirectory() as folder:
        test, found = Path(folder) / "test_it.py", Path(folder) / "found.json"
        test.write_text("def test_it(benchmark, work):\n    benchmark(work.call, *work.inputs)\n")
        others = (
            "cacheprovider",
            "codspeed",
            "CodSpeedPlugin",
            "playwright",
            "pytest_torch",
            "pytest_torchbasics.plugin",
        )
        options = [f"--benchmark-json={found}", "--import-mode=importlib", *(f"-pno:{name}" for name in others)]
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = pytest.main([str(test), f"--rootdir={folder}", *options], plugins=[Test()])
        if code != 0:
            raise RuntimeError(f"pytest-benchmark ended with {code}: {output.getvalue()[-2000:]}")
        return float(json.loads(found.read_text())["benchmarks"][0]["stats"]["median"])


def _do_bench(work: Timed, device: str) -> float:
    from triton.testing import do_bench

    return float(do_bench(lambda: work.call(*work.inputs), return_mode="median")) * 1e-3


TOOLS: dict[str, Callable[[Timed, str], float]] = {
    "torchbasics": _ours,
    "torch.utils.benchmark": _torch_timer,
    "pytest-benchmark": _pytest_benchmark,
    "pytest-torch": _pytest_torch,
    "triton do_bench": _do_bench,
}


def asked(tool: str, work: Timed, device: str) -> Answer | None:
    """What a tool says of a work; None where it cannot time it."""
    begin = time.perf_counter()
    try:
        value = TOOLS[tool](work, device)
    except NotImplementedError:
        return None
    return Answer(value, time.perf_counter() - begin)
