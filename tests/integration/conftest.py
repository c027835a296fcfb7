"""A small project and a way to run pytest on it in a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable

# pytester forgets the modules that a run in this process imports: these cannot be imported twice.
import numpy  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pytest
import torch

import pytest_torchbasics

#: As said above; an older torch lacks some of them.
TORCH_MODULES = (
    "torch._decomp",
    "torch._dynamo",
    "torch._dynamo.package",
    "torch._dynamo.pgo",
    "torch._functorch._aot_autograd.autograd_cache",
    "torch._inductor.codecache",
    "torch._inductor.compile_fx",
    "torch._inductor.inductor_prims",
    "torch._inductor.runtime.autotune_cache",
    "torch._prims",
    "torch._refs",
    "torch.utils.flop_counter",
)
for name in TORCH_MODULES:
    if importlib.util.find_spec(name):
        importlib.import_module(name)
torch.compiler.list_backends(exclude_tags=())  # imports those that it lists
for module in pkgutil.walk_packages(pytest_torchbasics.__path__, "pytest_torchbasics."):
    importlib.import_module(module.name)

CASES = """
import pytest, torch
from torch import nn
from pytest_torchbasics import Declared, Tensor, layer, op

LINEAR = layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4), output=("N", 2))
MATMUL = op("matmul", torch.matmul, Tensor(2, 3), Tensor(3, 2), output=(2, 2))
CASES = [LINEAR, MATMUL]
"""

TESTS = """
from cases import *

@pytest.mark.cases(CASES)
def test_correct(check):
    check()

@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
"""

#: A run in this process may find the plugin imported already, which depends on how the outer run was started.
FILTERS = """filterwarnings =
    error
    ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning
"""

Run = Callable[..., pytest.RunResult]

#: Plugins that are installed for the coexistence tests, and switched off in all others.
OTHERS = ("playwright", "pytest_torch", "codspeed", "CodSpeedPlugin", "randomly")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(*arguments)` runs pytest on the CPU on `cases.py` and the tests that are there.

    In this process, which has torch loaded already; `apart=True` takes a process of its own.
    """
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytester.makepyfile(cases=CASES)
    pytester.makeini(f"[pytest]\n{FILTERS}")

    def run(
        *arguments: str, device: str | None = "cpu", others: tuple[str, ...] = (), apart: bool = False
    ) -> pytest.RunResult:
        off = [word for name in OTHERS if name not in others for word in ("-p", f"no:{name}")]
        chosen = [f"--torchbasics-device={device}"] if device else []
        if apart:
            return pytester.runpytest_subprocess(*off, *chosen, *arguments, timeout=240)
        return pytester.runpytest_inprocess(*off, *chosen, *arguments)

    return run
