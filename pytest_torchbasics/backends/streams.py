"""What all device kinds share whose module in torch is made like torch.cuda: streams, events, allocator statistics."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from .base import Backend, Event

if TYPE_CHECKING:
    import torch


class StreamBackend(Backend):
    """GPUs behind `torch.<kind>`, such as torch.cuda and torch.xpu."""

    @property
    def module(self) -> Any:
        """The module of torch that is named like the kind."""
        return importlib.import_module(f"torch.{self.kind}")

    def count(self) -> int:
        """How many GPUs are visible."""
        return int(self.module.device_count())

    def describe(self, index: int = 0) -> str:
        """The name of the GPU."""
        return str(self.module.get_device_name(index))

    def synchronize(self, device: str) -> None:
        """Wait for all streams of the GPU."""
        self.module.synchronize(device)

    def manual_seed(self, seed: int) -> None:
        """Seed the current GPU's default generator."""
        self.module.manual_seed(seed)

    def rng_state(self, device: str) -> torch.Tensor:
        """The state of the GPU's default generator."""
        state: torch.Tensor = self.module.get_rng_state(device)
        return state

    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Put the GPU's default generator into a state taken by `rng_state`."""
        self.module.set_rng_state(state, device)

    def active(self, device: str) -> AbstractContextManager[object]:
        """A context in which this GPU is the current one."""
        context: AbstractContextManager[object] = self.module.device(device)
        return context

    @property
    def has_events(self) -> bool:
        """True."""
        return True

    def event(self) -> Event:
        """An event on the current stream."""
        event: Event = self.module.Event(enable_timing=True)
        return event

    def peak_of(self, call: Callable[..., object], prepare: Callable[[], tuple[Any, ...]], device: str) -> int | None:
        """What the caching allocator counts; whatever runs on the device beside the call is counted too."""
        arguments = prepare()
        self.synchronize(device)
        self.module.reset_peak_memory_stats(device)
        before = self.module.memory_allocated(device)
        result = call(*arguments)
        self.synchronize(device)
        peak = int(self.module.max_memory_allocated(device)) - int(before)
        del result  # what the call returns is held until here
        return peak
