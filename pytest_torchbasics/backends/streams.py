"""What all device kinds share whose module in torch is made like torch.cuda: streams, events, allocator statistics."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from .base import Backend, Backlog, Event

if TYPE_CHECKING:
    import torch


#: The sleep kernel counts cycles of a clock that torch does not tell: its rate is measured with a sleep of at
#: least this long, which is a thousand times the resolution of an event (0.5 us).
_CALIBRATION_MS = 0.5
#: 1 ms at the slowest known clock, AMD's 100 MHz; 0.05 ms at 2 GHz.
_CALIBRATION_CYCLES = 100_000
#: What is written to clear a cache of unknown size, as triton's do_bench does; of a known one, twice its bytes.
_CLEARED_BYTES = 256 * 2**20


#: Of a GPU's memory, for the tensors of all processes that share it: contexts and libraries take 0.5 GB each.
_SHARED_MEMORY = 0.9


class ModuleBackend(Backend):
    """Devices with a module of torch for their random state, made like torch.cuda."""

    @property
    @abc.abstractmethod
    def module(self) -> Any:
        """The module of torch for the kind."""

    def in_use(self) -> tuple[str, ...]:
        """All devices once the kind's module is initialized."""
        initialized = getattr(self.module, "is_initialized", None)
        return tuple(f"{self.kind}:{i}" for i in range(self.count())) if initialized and initialized() else ()

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


class StreamBackend(ModuleBackend):
    """GPUs behind `torch.<kind>`, such as torch.cuda and torch.xpu."""

    #: What the device's properties call the size of its last cache, in bytes.
    cache_size: str = ""

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

    def active(self, device: str) -> AbstractContextManager[object]:
        """A context in which this GPU is the current one."""
        context: AbstractContextManager[object] = self.module.device(device)
        return context

    def take_share(self, device: str, part: int, of: int) -> None:
        """One GPU for each process in turn; those that share one may take the same part of its memory each.

        Too much for a part is then out of memory in the test that asks for it, and not in its neighbour's.
        """
        _, _, index = device.partition(":")
        count = self.count()
        mine = int(index) if index else part % count
        sharing = of if index else len(range(mine, of, count))
        if not index:
            self.module.set_device(mine)
        limit = getattr(self.module, "set_per_process_memory_fraction", None)  # torch.xpu has it since 2.8
        if sharing > 1 and limit is not None:
            limit(_SHARED_MEMORY / sharing, mine)

    @property
    def has_events(self) -> bool:
        """True."""
        return True

    def event(self) -> Event:
        """An event on the current stream."""
        event: Event = self.module.Event(enable_timing=True)
        return event

    def backlog(self, device: str) -> Backlog | None:
        """torch's sleep kernel, its clock measured now; None in a torch without this private function."""
        sleep = getattr(self.module, "_sleep", None)
        if sleep is None:
            return None
        per_second = self._cycles_per_second(sleep, device)
        return lambda seconds: sleep(max(1, int(seconds * per_second)))

    def held_memory(self, device: str) -> int | None:
        """What the caching allocator has given out."""
        return int(self.module.memory_allocated(device))

    def cache_clearer(self, device: str) -> Callable[[], None] | None:
        """Zeros over twice the last cache's bytes."""
        import torch

        known = int(getattr(self.module.get_device_properties(device), self.cache_size, 0))
        buffer = torch.empty(2 * known or _CLEARED_BYTES, dtype=torch.uint8, device=device)

        def clear() -> None:
            buffer.zero_()

        return clear

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

    def _cycles_per_second(self, sleep: Callable[[int], None], device: str) -> float:
        cycles = _CALIBRATION_CYCLES
        with self.active(device):
            sleep(cycles)  # the first launch loads the kernel
            while True:
                start, end = self.event(), self.event()
                start.record()
                sleep(cycles)
                end.record()
                self.synchronize(device)
                if (took := start.elapsed_time(end)) >= _CALIBRATION_MS:
                    return cycles / (took * 1e-3)
                cycles *= 4
