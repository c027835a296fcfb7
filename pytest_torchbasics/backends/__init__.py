"""Devices: which there are, whether they can be used, and what timing and checks need from each.

A backend is a module of this package that is named after its device kind and holds a `BACKEND`. Other packages
add kinds through the entry point group `pytest_torchbasics.backends`: the name is the kind, the value an instance
of `Backend`. Nothing else lists them. Importing this package does not import torch.
"""

from __future__ import annotations

from .base import Backend, DeviceError, Event, Reading, Sensors
from .registry import backend_for, backends, known_kinds
from .resolving import resolve_devices
from .seeding import seeded

__all__ = [
    "Backend",
    "DeviceError",
    "Event",
    "Reading",
    "Sensors",
    "backend_for",
    "backends",
    "known_kinds",
    "resolve_devices",
    "seeded",
]
