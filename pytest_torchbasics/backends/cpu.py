"""The CPU: always there, works in step with the host, holds every dtype."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .base import Backend

if TYPE_CHECKING:
    import torch


class CpuBackend(Backend):
    """The host's processor."""

    kind = "cpu"
    asynchronous = False

    def why_unavailable(self) -> str | None:
        """None: there is always one."""
        return None

    def count(self) -> int:
        """1: torch knows one CPU device, however many processors there are."""
        return 1

    def describe(self, index: int = 0) -> str:
        """The processor's model, or its architecture where the system does not tell the model."""
        try:
            lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return next(iter(models), "") or platform.processor() or platform.machine() or "unknown CPU"

    def synchronize(self, device: str) -> None:
        """Nothing to wait for: a call on the CPU returns when it is done."""
        return

    def manual_seed(self, seed: int) -> None:
        """Seed the CPU's default generator alone; torch.manual_seed seeds every device."""
        import torch

        torch.default_generator.manual_seed(seed)

    def peak_of(self, call: Callable[..., object], prepare: Callable[[], tuple[Any, ...]], device: str) -> int | None:
        """What torch's CPU allocator reports to the profiler; memory that libraries take elsewhere is not seen."""
        from .cpu_memory import peak_of

        return peak_of(call, prepare)

    def rng_state(self, device: str) -> torch.Tensor:
        """The state of the CPU's default generator."""
        import torch

        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Put the CPU's default generator into a state taken by `rng_state`."""
        import torch

        torch.set_rng_state(state)


BACKEND = CpuBackend()
