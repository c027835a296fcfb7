"""What each backend answers, on whatever machine the tests run."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
import torch

from pytest_torchbasics.backends import backend_for, backends
from pytest_torchbasics.backends.fake import FakeBackend, Machine
from pytest_torchbasics.backends.streams import StreamBackend


@pytest.mark.parametrize("kind", backends())
def test_a_kind_is_usable_or_says_why_not(kind):
    reason = backend_for(kind).why_unavailable()
    assert reason is None or (reason and "\n" not in reason)


@pytest.mark.parametrize("kind", backends())
def test_usable_devices_work(kind):
    backend = backend_for(kind)
    if backend.why_unavailable() is not None:
        pytest.skip(f"no {kind} here")
    assert backend.count() >= 1
    assert backend.describe()
    state = backend.rng_state(kind)
    backend.manual_seed(1)
    first = torch.rand(3, device=kind)
    backend.manual_seed(1)
    assert torch.equal(first, torch.rand(3, device=kind))
    backend.set_rng_state(state, kind)
    assert torch.equal(backend.rng_state(kind), state)
    backend.synchronize(kind)
    with backend.tf32_off():
        torch.ones(2, 2, device=kind) @ torch.ones(2, 2, device=kind)


def test_cuda_tells_what_the_environment_hides(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert backend_for("cuda").why_unavailable() == "torch finds no GPU, CUDA_VISIBLE_DEVICES is ''"


def test_cuda_tells_what_torch_warns_about(monkeypatch):
    def is_available():
        import warnings

        warnings.warn("CUDA initialization:\nthe driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    assert backend_for("cuda").why_unavailable() == "torch finds no GPU: CUDA initialization: the driver is too old"


def test_dtypes_a_device_can_never_hold_are_told():
    mps = backend_for("mps")
    assert mps.supports(torch.float64) == "mps has no float64"
    assert mps.supports(torch.complex128) == "mps has no complex128"
    assert mps.supports(torch.float32) is None
    assert backend_for("cpu").supports(torch.float64) is None


TF32 = """
import warnings
import torch
from pytest_torchbasics.backends import backend_for

def read():
    found = {}
    for name, get in {
        "matmul.allow_tf32": lambda: torch.backends.cuda.matmul.allow_tf32,
        "matmul": lambda: torch.backends.cuda.matmul.fp32_precision,
        "cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
        "conv": lambda: torch.backends.cudnn.conv.fp32_precision,
        "rnn": lambda: torch.backends.cudnn.rnn.fp32_precision,
        "precision": torch.get_float32_matmul_precision,
        "mkldnn": lambda: torch.backends.mkldnn.matmul.fp32_precision,
    }.items():
        try:
            found[name] = get()
        except (AttributeError, RuntimeError) as error:
            found[name] = type(error).__name__
    return found

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    {setting}
    before = read()
warnings.simplefilter("error")
with backend_for("cuda").tf32_off():
    warnings.simplefilter("ignore")
    inside = read()
assert read() == before, (before, read())
assert inside["matmul.allow_tf32"] is False, inside
assert inside["precision"] == "highest", inside
assert {{inside["matmul"], inside["conv"], inside["rnn"]}} <= {{"ieee", "AttributeError"}}, inside
"""


@pytest.mark.parametrize(
    "setting",
    [
        "pass",
        "torch.set_float32_matmul_precision('medium')",
        "torch.backends.cuda.matmul.allow_tf32 = True",
        "torch.backends.cudnn.allow_tf32 = False",
        "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
        "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    ],
)
def test_tf32_is_off_inside_and_as_before_outside(setting):
    """In a process of its own: the settings are global, and mixing both interfaces leaves traces."""
    if "fp32_precision" in setting and not hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        pytest.skip("this torch has the old interface alone")
    code = TF32.replace("{setting}", setting).replace("{{", "{").replace("}}", "}")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_the_simulated_device_runs_beside_the_host():
    machine = Machine(record_cost=1e-6)
    backend = FakeBackend(machine)
    start, end = backend.event(), backend.event()
    start.record()
    machine.launch(host=5e-6, device=30e-6)
    end.record()
    assert machine.now == pytest.approx(7e-6)
    assert start.query()
    assert not end.query()
    backend.synchronize("fake")
    assert machine.now == pytest.approx(36e-6)
    assert start.elapsed_time(end) == pytest.approx(35e-3)  # with the gap in which the device waited for the host


def test_a_full_queue_makes_the_host_wait():
    machine = Machine(queue_limit=2)
    for _ in range(3):
        machine.launch(host=0.0, device=1.0)
    assert machine.now == 1.0


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_torch_has_every_name_that_a_gpu_with_streams_needs(kind):
    module = backend_for(kind).module
    source = inspect.getsource(StreamBackend)
    names = set(re.findall(r"self\.module\.(\w+)", source))
    assert {"device_count", "synchronize", "Event", "max_memory_allocated"} <= names
    assert not {name for name in names if not hasattr(module, name)}
