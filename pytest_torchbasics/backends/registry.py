"""The only list of device kinds: the modules of this package, and the entry points of others."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from .base import Backend, DeviceError

if TYPE_CHECKING:
    import torch

ENTRY_POINTS = "pytest_torchbasics.backends"
#: Modules of this package that are no device kinds; the simulated accelerator is for tests alone.
_SUPPORT = {
    "base",
    "cpu_memory",
    "fake",
    "generic",
    "graphs",
    "nvml",
    "precision",
    "registry",
    "resolving",
    "seeding",
    "streams",
}


def known_kinds() -> tuple[str, ...]:
    """The device kinds, those of this package first; nothing is imported."""
    others = sorted(point.name for point in _entry_points())
    return (*_own_kinds(), *others)


def backends() -> Mapping[str, Backend]:
    """All backends by kind, in the order of `known_kinds`.

    Raises:
        DeviceError: an entry point of another package does not give a backend.
    """
    own = {kind: _own(kind) for kind in _own_kinds()}
    return own | {point.name: _load(point) for point in _entry_points()}


def backend_for(device: str | torch.device) -> Backend:
    """The backend of a device, whether the device can be used or not.

    Raises:
        DeviceError: the kind is not known.
    """
    kind = str(device).strip().lower().partition(":")[0]
    if kind in _own_kinds():
        return _own(kind)
    for point in _entry_points():
        if point.name == kind:
            return _load(point)
    if (other := torch_backend()) is not None and other.kind == kind:
        return other
    raise DeviceError(f"unknown device {str(device)!r}: there are {', '.join(known_kinds())}")


def torch_backend() -> Backend | None:
    """A backend of this torch's accelerator if it is none of the known kinds. Imports torch."""
    import torch

    try:
        accelerator = torch.accelerator.current_accelerator()
    except RuntimeError:  # torch 2.6, where there is none
        return None
    if accelerator is None or accelerator.type in known_kinds():
        return None
    from .generic import GenericBackend

    return GenericBackend(accelerator.type)


@functools.cache  # the modules of this package do not change while it runs
def _own_kinds() -> tuple[str, ...]:
    from . import __path__

    names = {module.name for module in pkgutil.iter_modules(__path__)} - _SUPPORT
    return tuple(sorted(names))


def _own(kind: str) -> Backend:
    backend = importlib.import_module(f"{__package__}.{kind}").BACKEND
    assert isinstance(backend, Backend)
    assert backend.kind == kind
    return backend


def _entry_points() -> list[EntryPoint]:
    """Those that name a new kind: a package cannot replace one of ours."""
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    return [point for name, point in sorted(found.items()) if name not in _own_kinds()]


def _load(point: EntryPoint) -> Backend:
    try:
        backend = point.load()
    except Exception as error:
        raise DeviceError(
            f"device kind {point.name!r}: its entry point {point.value} raises {type(error).__name__}: {error}"
        ) from error
    if not isinstance(backend, Backend) or backend.kind != point.name:
        raise DeviceError(f"device kind {point.name!r}: its entry point {point.value} is no Backend of that kind")
    return backend
