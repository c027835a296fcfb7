"""A kind of accelerator that this package does not know, such as `hpu` or `npu`, through what torch offers for any.

Latency and pipelined times alone: torch has no sleep kernel for all accelerators, so nothing hides the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .base import Backend

if TYPE_CHECKING:
    import torch


class GenericBackend(Backend):
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

    def manual_seed(self, seed: int) -> None:
        """Seed the current device's default generator."""
        self.module.manual_seed(seed)

    def rng_state(self, device: str) -> torch.Tensor:
        """The state of the device's default generator."""
        state: torch.Tensor = self.module.get_rng_state(device)
        return state

    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Put the device's default generator into a state taken by `rng_state`."""
        self.module.set_rng_state(state, device)

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
