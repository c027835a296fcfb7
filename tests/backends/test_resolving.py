"""Device names: what they mean on a machine, and the one line that says why not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_torchbasics.backends import DeviceError, backend_for, backends, known_kinds, resolve_devices
from pytest_torchbasics.backends.fake import FakeBackend


def machine(cuda=0, mps=False):
    """A machine with that many NVIDIA GPUs and an Apple one or none."""
    return {
        "cpu": FakeBackend(kind="cpu"),
        "cuda": named(FakeBackend(kind="cuda", devices=cuda, unavailable=None if cuda else "no GPU")),
        "mps": named(FakeBackend(kind="mps", unavailable=None if mps else "not macOS")),
    }


def named(backend):
    backend.also_called = ("gpu",)
    return backend


@pytest.mark.parametrize(
    ("names", "gpus", "devices"),
    [
        (["cpu"], 0, ("cpu",)),
        (["auto"], 0, ("cpu",)),
        (["auto"], 2, ("cpu", "cuda")),
        (["all"], 0, ("cpu",)),
        (["all"], 1, ("cpu", "cuda")),
        (["all"], 3, ("cpu", "cuda:0", "cuda:1", "cuda:2")),
        (["cuda", "cpu"], 1, ("cuda", "cpu")),
        (["cuda:1", "cuda:1", "cuda:0"], 2, ("cuda:1", "cuda:0")),
        (["cuda", "cuda:0"], 1, ("cuda",)),
        (["cuda:0", "auto"], 1, ("cuda:0", "cpu")),
        ([" CPU ", "cpu:0", "Cuda:1"], 2, ("cpu", "cuda:1")),
        ("cpu", 0, ("cpu",)),
    ],
)
def test_names_mean_devices(names, gpus, devices):
    assert resolve_devices(names, backends=machine(gpus)) == devices


def test_auto_takes_one_accelerator_that_works():
    assert resolve_devices(["auto"], backends=machine(cuda=0, mps=True)) == ("cpu", "mps")
    assert resolve_devices(["auto"], backends=machine(cuda=1, mps=True)) == ("cpu", "cuda")


@pytest.mark.parametrize(
    ("name", "gpus", "message"),
    [
        ("cdua", 0, "unknown device 'cdua': did you mean 'cuda'? (usable here: cpu)"),
        ("gpu", 0, "unknown device 'gpu': did you mean 'cuda'? (usable here: cpu)"),
        ("gpu", 1, "unknown device 'gpu': did you mean 'cuda'? (usable here: cpu, cuda)"),
        ("quantum", 0, "unknown device 'quantum': there are cpu, cuda, mps, auto, all (usable here: cpu)"),
        ("cpu:7", 0, "device 'cpu:7' cannot be used: torch has one CPU device, 'cpu' (usable here: cpu)"),
        ("cuda:-1", 0, "device 'cuda:-1': the index must be a number such as 'cuda:0' (usable here: cpu)"),
        (
            "cuda:01",
            2,
            "device 'cuda:01': the index must be a number such as 'cuda:0' (usable here: cpu, cuda:0, cuda:1)",
        ),
        ("cuda:", 0, "device 'cuda:': the index must be a number such as 'cuda:0' (usable here: cpu)"),
        ("cuda:0:1", 0, "device 'cuda:0:1': the index must be a number such as 'cuda:0' (usable here: cpu)"),
        (
            "cuda:\u0661",
            2,
            "device 'cuda:\u0661': the index must be a number such as 'cuda:0' (usable here: cpu, cuda:0, cuda:1)",
        ),
        ("", 0, "a device name is empty (usable here: cpu)"),
        ("  ", 0, "a device name is empty (usable here: cpu)"),
        ("cuda", 0, "device 'cuda' cannot be used: no GPU (usable here: cpu)"),
        ("cuda:99", 0, "device 'cuda:99' cannot be used: no GPU (usable here: cpu)"),
        ("cuda:99", 1, "device 'cuda:99' cannot be used: there is 1, 'cuda:0' (usable here: cpu, cuda)"),
        (
            "cuda:99",
            2,
            "device 'cuda:99' cannot be used: there are 2, 'cuda:0' to 'cuda:1' (usable here: cpu, cuda:0, cuda:1)",
        ),
        ("meta", 0, "device 'meta' is not a device to run on: its tensors hold no values (usable here: cpu)"),
        ("auto:1", 0, "device 'auto:1': 'auto' takes no index (usable here: cpu)"),
        ("cpu\ncuda", 0, "unknown device 'cpu\\ncuda': did you mean 'cuda'? (usable here: cpu)"),
    ],
)
def test_a_name_that_cannot_be_had_is_one_line(name, gpus, message):
    with pytest.raises(DeviceError) as caught:
        resolve_devices(["cpu", name], backends=machine(gpus))
    assert str(caught.value) == message


def test_gpu_means_the_one_that_works():
    with pytest.raises(DeviceError, match="did you mean 'mps'"):
        resolve_devices(["gpu"], backends=machine(mps=True))


def test_no_name_is_an_error():
    with pytest.raises(DeviceError, match=r"^no device is named"):
        resolve_devices([], backends=machine())


def test_kinds_are_listed_without_importing_torch():
    code = (
        "import sys; from pytest_torchbasics.backends import known_kinds; print(known_kinds(), 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("('cpu', 'cuda', 'mps', 'xpu'")
    assert ran.stdout.rstrip().endswith("False")


def test_every_kind_has_a_backend_of_that_kind():
    assert tuple(backends()) == known_kinds()
    assert all(backend.kind == kind for kind, backend in backends().items())
    assert backend_for("cuda:1").kind == "cuda"


def test_the_backend_of_an_unknown_device_is_an_error():
    with pytest.raises(DeviceError, match=r"unknown device 'tpu:0': there are cpu, cuda"):
        backend_for("tpu:0")


class Point:
    """An entry point of another package."""

    def __init__(self, name, loaded):
        self.name, self.value, self.loaded = name, "other:BACKEND", loaded

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.fixture
def installed(monkeypatch):
    """Installs entry points."""

    def install(*points):
        monkeypatch.setattr("pytest_torchbasics.backends.registry.entry_points", lambda group: list(points))

    return install


def test_an_entry_point_adds_a_kind(installed):
    installed(Point("npu", FakeBackend(kind="npu")))
    assert known_kinds()[-1] == "npu"
    assert resolve_devices(["npu"]) == ("npu",)
    assert backend_for("npu:0").kind == "npu"


def test_an_entry_point_does_not_replace_a_kind_of_ours(installed):
    installed(Point("cpu", FakeBackend(kind="cpu", unavailable="hidden")))
    assert resolve_devices(["cpu"]) == ("cpu",)


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (ImportError("no libnpu"), "device kind 'npu': its entry point other:BACKEND raises ImportError: no libnpu"),
        (object(), "device kind 'npu': its entry point other:BACKEND is no Backend of that kind"),
        (FakeBackend(kind="tpu"), "device kind 'npu': its entry point other:BACKEND is no Backend of that kind"),
    ],
)
def test_a_broken_entry_point_is_named(installed, loaded, message):
    installed(Point("npu", loaded))
    with pytest.raises(DeviceError) as caught:
        backend_for("npu")
    assert str(caught.value) == message
