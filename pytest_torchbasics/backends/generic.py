"""A kind of accelerator that this package does not know, such as `hpu` or `npu`, through what torch offers for any.

Latency and pipelined times alone: torch has no sleep kernel for all accelerators, so nothing hides the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .streams import ModuleBackend


class GenericBackend(ModuleBackend):
    """The devices behind torch.accelerator, and torch's module of the kind for names and random state."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @property
    def module(self) -> Any:
        """The module that the kind registered in torch."""
        import torch

        return torch.get_device_module(self.kind)

    def why_unavailable(self) -> str | None:
        """What torch says."""
        import torch

        return None if torch.accelerator.is_available() else f"torch finds no {self.kind} device"

    def count(self) -> int:
        """How many torch finds."""
        import torch

        return torch.accelerator.device_count()

    def describe(self, index: int = 0) -> str:
        """The name that the kind's module tells, else the kind."""
        name = getattr(self.module, "get_device_name", None)
        return f"{self.kind} {index}" if name is None else str(name(index))

    def synchronize(self, device: str) -> None:
        """Wait for all streams of the device."""
        import torch

        torch.accelerator.synchronize(device)

    @contextmanager
    def active(self, device: str) -> Iterator[None]:
        """A context in which this device is the current one."""
        import torch

        # torch before 2.7 has these names alone.
        get = getattr(torch.accelerator, "current_device_index", None) or torch.accelerator.current_device_idx
        switch = getattr(torch.accelerator, "set_device_index", None) or torch.accelerator.set_device_idx
        before = get()
        switch(torch.device(device).index or 0)
        try:
            yield
        finally:
            switch(before)
