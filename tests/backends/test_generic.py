"""An accelerator of a kind that the package does not know, on a stand-in for torch.accelerator."""

from __future__ import annotations

from time import perf_counter_ns
from types import SimpleNamespace

import pytest
import torch

from pytest_torchbasics.backends import DeviceError, backend_for, known_kinds, resolve_devices
from pytest_torchbasics.backends.registry import torch_backend
from pytest_torchbasics.timing import QUALITIES
from pytest_torchbasics.timing.accelerators import time_on_accelerator
from pytest_torchbasics.timing.phases import Work


class Accelerator:
    """Two devices of a kind; `current` is the one that is switched to."""

    def __init__(self, kind="hpu", usable=True):
        self.kind, self.usable = kind, usable
        self.current, self.waited = 1, []

    def current_accelerator(self):
        return None if self.kind is None else SimpleNamespace(type=self.kind)

    def is_available(self):
        return self.usable

    def device_count(self):
        return 2 if self.usable else 0

    def current_device_index(self):
        return self.current

    def set_device_index(self, index):
        self.current = index

    def synchronize(self, device):
        self.waited.append((device, self.current))


class Module:
    """torch.hpu."""

    def __init__(self):
        self.state = {"hpu": torch.tensor([0]), "hpu:1": torch.tensor([1])}

    def manual_seed(self, seed):
        self.seed = seed

    def get_rng_state(self, device):
        return self.state[device]

    def set_rng_state(self, state, device):
        self.state[device] = state


@pytest.fixture
def machine(monkeypatch):
    def make(**options):
        accelerator, module = Accelerator(**options), Module()
        monkeypatch.setattr(torch, "accelerator", accelerator)
        monkeypatch.setattr(torch, "get_device_module", lambda kind: {"hpu": module}[kind])
        return accelerator, module

    return make


def test_its_devices_can_be_named(machine):
    machine()
    assert resolve_devices(["hpu:1", "hpu", "cpu"]) == ("hpu:1", "hpu", "cpu")
    assert {"hpu:0", "hpu:1"} <= set(resolve_devices(["all"]))
    assert backend_for("hpu:1").describe(1) == "hpu 1"
    assert "hpu" not in known_kinds()


def test_one_that_is_not_there_says_so(machine):
    machine(usable=False)
    with pytest.raises(DeviceError, match="'hpu' cannot be used: torch finds no hpu device"):
        resolve_devices(["hpu"])


@pytest.mark.parametrize("kind", [None, "cuda", "mps"])
def test_a_kind_of_ours_or_none_is_not_served_twice(machine, kind):
    machine(kind=kind)
    assert torch_backend() is None
    with pytest.raises(DeviceError, match="unknown device 'hpu'"):
        resolve_devices(["hpu"])
    with pytest.raises(DeviceError, match="unknown device 'hpu'"):
        backend_for("hpu")


def test_its_random_state_and_current_device(machine):
    accelerator, module = machine()
    backend = backend_for("hpu")
    backend.set_rng_state(torch.tensor([5]), "hpu:1")
    assert backend.rng_state("hpu:1").tolist() == [5]
    with backend.active("hpu:0"):
        assert accelerator.current == 0
        backend.manual_seed(3)
    assert (accelerator.current, module.seed) == (1, 3)
    with pytest.raises(KeyError), backend.active("hpu:0"):
        raise KeyError
    assert accelerator.current == 1


def test_its_latency_is_measured(machine):
    accelerator, _ = machine()
    work = Work(lambda: None)
    result = time_on_accelerator(work, backend_for("hpu"), "hpu:0", perf_counter_ns, QUALITIES["quick"])
    assert "no_backlog" in result.flags
    assert set(result.series) == {"median", "host", "latency", "pipelined"}
    assert set(accelerator.waited) == {("hpu:0", 0)}
