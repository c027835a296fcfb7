"""Sensors of NVIDIA GPUs, by the package nvidia-ml-py where it is installed (the extra `nvml`).

What a GPU does not tell, as most of a MIG slice's sensors, is absent. Nothing is set. AMD GPUs have no NVML, so they
have no readings.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

from .base import Reading, Sensors

#: The new name, and the old one, which older drivers have alone.
_ASKS_FOR_REASONS = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
#: Bits of nvmlClocksEventReasons (nvml.h). Idle, locked clocks and sync boost are no news.
REASONS = {
    0x04: "sw_power_cap",
    0x08: "hw_slowdown",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
}


def sensors(uuid: str) -> Sensors | None:
    """A reader of the GPU of this UUID, as torch tells it: an index would mean another GPU to NVML than to CUDA.

    Args:
        uuid: with or without the prefix `GPU-`.

    Returns:
        None where the package, the driver's library or the GPU is not there.
    """
    nvml = _library()
    if nvml is None:
        return None
    bare = uuid.removeprefix("GPU-").removeprefix("MIG-")
    handles = (_answer(nvml, nvml.nvmlDeviceGetHandleByUUID, f"{prefix}{bare}") for prefix in ("GPU-", "MIG-"))
    handle = next((found for found in handles if found is not None), None)
    return None if handle is None else lambda: _reading(nvml, handle)


def _library() -> Any | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old package of the same module name advises to change it
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return None
    try:
        nvml.nvmlInit()  # counted: once more costs nothing
    except nvml.NVMLError:
        return None
    return nvml


def _reading(nvml: Any, handle: Any) -> Reading:
    megahertz = _answer(nvml, nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM)
    milliwatts = _answer(nvml, nvml.nvmlDeviceGetPowerUsage, handle)
    celsius = _answer(nvml, nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU)
    queries = (getattr(nvml, name, None) for name in _ASKS_FOR_REASONS)
    answers = (_answer(nvml, query, handle) for query in queries if query is not None)
    bits = next((answer for answer in answers if answer is not None), 0)
    return Reading(
        sm_clock=None if megahertz is None else megahertz * 1e6,
        power=None if milliwatts is None else milliwatts * 1e-3,
        temperature=None if celsius is None else float(celsius),
        reasons=tuple(name for bit, name in REASONS.items() if bits & bit),
    )


def _answer(nvml: Any, query: Callable[..., Any], *arguments: Any) -> Any | None:
    """None where NVML raises: not supported, no permission, no such GPU."""
    try:
        return query(*arguments)
    except nvml.NVMLError:
        return None
