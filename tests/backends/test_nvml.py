"""Sensors, on a stand-in for the package nvidia-ml-py."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch

from pytest_torchbasics.backends import Reading, backend_for, nvml
from pytest_torchbasics.backends.base import THROTTLES

UUID = "11111111-2222-3333-4444-555555555555"


class NVMLError(Exception):
    """What every function of the package raises."""


def refuse(*_):
    raise NVMLError("Not Supported")


class Library(ModuleType):
    """The package, with one GPU that knows the UUID alone; functions can be replaced."""

    NVMLError = NVMLError
    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *, kind="GPU", **functions):
        super().__init__("pynvml")
        self.known = f"{kind}-{UUID}"
        self.nvmlInit = lambda: None
        self.nvmlDeviceGetHandleByUUID = lambda uuid: uuid if uuid == self.known else refuse()
        self.nvmlDeviceGetClockInfo = lambda handle, clock: {1: 1980}[clock]
        self.nvmlDeviceGetPowerUsage = lambda handle: 312_500
        self.nvmlDeviceGetTemperature = lambda handle, sensor: {0: 64}[sensor]
        self.nvmlDeviceGetCurrentClocksThrottleReasons = lambda handle: 0x01
        for name, function in functions.items():
            setattr(self, name, function)


@pytest.fixture
def installed(monkeypatch):
    """Installs a library; None stands for a package that is not there."""
    return lambda library: monkeypatch.setitem(sys.modules, "pynvml", library)


def test_readings_are_in_si_units(installed):
    installed(Library())
    read = nvml.sensors(UUID)
    assert read() == Reading(sm_clock=1.98e9, power=312.5, temperature=64.0, reasons=())


@pytest.mark.parametrize("uuid", [UUID, f"GPU-{UUID}"])
@pytest.mark.parametrize("kind", ["GPU", "MIG"])
def test_a_gpu_is_found_by_its_uuid(installed, uuid, kind):
    installed(Library(kind=kind))
    assert nvml.sensors(uuid) is not None


def test_another_gpu_is_not_taken_for_it(installed):
    installed(Library())
    assert nvml.sensors("99999999" + UUID[8:]) is None


def test_without_the_package_there_are_no_sensors(installed):
    installed(None)
    assert nvml.sensors(UUID) is None


def test_without_the_drivers_library_there_are_no_sensors(installed):
    installed(Library(nvmlInit=refuse))
    assert nvml.sensors(UUID) is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("nvmlDeviceGetClockInfo", "sm_clock"),
        ("nvmlDeviceGetPowerUsage", "power"),
        ("nvmlDeviceGetTemperature", "temperature"),
    ],
)
def test_what_a_slice_does_not_support_is_absent(installed, query, field):
    installed(Library(kind="MIG", **{query: refuse}))
    found = vars(nvml.sensors(UUID)())
    assert found.pop(field) is None
    assert None not in found.values()


def test_a_slice_that_supports_nothing_reads_nothing(installed):
    names = ("ClockInfo", "PowerUsage", "Temperature", "CurrentClocksThrottleReasons")
    installed(Library(kind="MIG", **{f"nvmlDeviceGet{name}": refuse for name in names}))
    assert nvml.sensors(UUID)() == Reading()


@pytest.mark.parametrize(
    "name", ["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"]
)
def test_reasons_have_names(installed, name):
    installed(Library(**{name: lambda handle: 0x04 | 0x40 | 0x01}))
    read = nvml.sensors(UUID)()
    assert read.reasons == ("sw_power_cap", "hw_thermal_slowdown")
    assert read.throttled


def test_an_old_driver_is_asked_by_the_old_name(installed):
    """The package has the new function, the driver's library has not."""
    installed(
        Library(
            nvmlDeviceGetCurrentClocksEventReasons=refuse,
            nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: 0x80,
        )
    )
    assert nvml.sensors(UUID)().reasons == ("hw_power_brake_slowdown",)


def test_every_throttle_has_a_bit():
    assert set(nvml.REASONS.values()) >= THROTTLES


def test_cuda_asks_for_the_gpu_that_torch_means(installed, monkeypatch):
    """CUDA_VISIBLE_DEVICES reorders torch's indices, not NVML's."""
    installed(Library())
    properties = {"cuda:0": SimpleNamespace(uuid="other"), "cuda:1": SimpleNamespace(uuid=UUID)}
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties.__getitem__)
    assert backend_for("cuda").sensors("cuda:0") is None
    assert backend_for("cuda").sensors("cuda:1")().power == 312.5


def test_amd_has_no_readings(installed, monkeypatch):
    installed(Library())
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert backend_for("cuda").sensors("cuda") is None


def test_a_device_without_sensors_has_no_readings():
    assert backend_for("cpu").sensors("cpu") is None
    assert backend_for("mps").sensors("mps") is None
