"""Work that the environment makes slower by a known share, for every tool alike: 100 rounds become 105.

Run as a program it answers for one peer: `python -m benchmarks.ab.planted torch INTO` or `... pyperf -o INTO`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

#: How much more of the same work each call does.
PLANTED = "PLANTED"
#: How many cells there are of each work; pyperf, whose every value starts processes, has one.
COPIES = 8


def repeated(function: Callable[..., Any], rounds: int) -> Callable[..., Any]:
    planted = round(rounds * (1 + float(os.environ.get(PLANTED, "0"))))

    def call(*inputs: torch.Tensor) -> Any:
        for _ in range(planted):
            result = function(*inputs)
        return result

    return call


#: name: function, shapes of its inputs, rounds.
WORKS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]], int]] = {
    "add": (torch.add, [(256,), (256,)], 100),
    "matmul": (torch.matmul, [(48, 48), (48, 48)], 100),
    "softmax": (lambda x: torch.softmax(x, -1), [(64, 128)], 100),
    "conv": (F.conv2d, [(1, 8, 16, 16), (8, 8, 3, 3)], 100),
    "norm": (lambda x: F.layer_norm(x, (128,)), [(32, 128)], 100),
    "gelu": (F.gelu, [(4096,)], 100),
    "sort": (lambda x: x.sort().values, [(512,)], 100),
    "cumsum": (lambda x: x.cumsum(-1), [(64, 64)], 100),
}

#: What `ab` and pytest-benchmark collect.
TESTS = """
import pytest, torch
from benchmarks.ab.planted import COPIES, WORKS, calls, repeated
from pytest_torchbasics import Tensor, op

CASES = [
    op(f"{name}-{copy}", repeated(function, rounds), *(Tensor(*shape) for shape in shapes))
    for name, (function, shapes, rounds) in WORKS.items()
    for copy in range(COPIES)
]

@pytest.mark.cases(CASES)
def test_ours(measure):
    measure()

@pytest.mark.parametrize("name", calls(COPIES))
def test_peer(benchmark, name):
    benchmark(calls(COPIES)[name])
"""


def calls(copies: int) -> dict[str, Callable[[], Any]]:
    """Each cell, ready to be called."""
    torch.manual_seed(0)
    return {
        f"{name}-{copy}": _ready(repeated(function, rounds), [torch.randn(shape) for shape in shapes])
        for name, (function, shapes, rounds) in WORKS.items()
        for copy in range(copies)
    }


def _ready(function: Callable[..., Any], inputs: list[torch.Tensor]) -> Callable[[], Any]:
    return lambda: function(*inputs)


def _torch(into: str) -> None:
    """A torch.utils.benchmark measurement of each cell, as its median and interquartile range."""
    from torch.utils.benchmark import Timer

    found = {name: Timer("call()", globals={"call": call}).blocked_autorange() for name, call in calls(COPIES).items()}
    Path(into).write_text(json.dumps({name: [value.median, value.iqr] for name, value in found.items()}))


def _pyperf() -> None:
    import pyperf

    program = ("-m", "benchmarks.ab.planted", "pyperf")  # what the processes that it starts are
    runner = pyperf.Runner(processes=5, warmups=1, values=3, program_args=program)
    runner.parse_args()
    for name, call in calls(1).items():
        runner.bench_func(name, call)


if __name__ == "__main__":
    torch.set_num_threads(1)
    peer, *rest = sys.argv[1:]
    if peer == "torch":
        _torch(rest[0])
    else:
        sys.argv[1:] = rest
        _pyperf()
