"""NVIDIA GPUs, and AMD ones, which torch names `cuda` too."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from .base import Backend, Backlog, Event

if TYPE_CHECKING:
    import torch

#: The sleep kernel counts cycles of a clock that torch does not tell: its rate is measured with a sleep of at
#: least this long, which is a thousand times the resolution of an event (0.5 us).
_CALIBRATION_MS = 0.5


class CudaBackend(Backend):
    """GPUs behind torch.cuda."""

    kind = "cuda"
    also_called = ("gpu", "nvidia", "hip", "rocm", "amd")

    def why_unavailable(self) -> str | None:
        """Why there is no GPU: torch's build, the environment, or what torch itself warns about the driver."""
        import torch

        if torch.version.cuda is None and torch.version.hip is None:
            return f"torch {torch.__version__} is built without CUDA and ROCm"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if torch.cuda.is_available():
                return None
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None:
            return f"torch finds no GPU, CUDA_VISIBLE_DEVICES is {hidden!r}"
        why = " ".join(str(caught[0].message).split())[:160] if caught else "no GPU or no driver"
        return f"torch finds no GPU: {why}"

    def count(self) -> int:
        """How many GPUs are visible."""
        import torch

        return torch.cuda.device_count()

    def describe(self, index: int = 0) -> str:
        """The name of the GPU."""
        import torch

        return torch.cuda.get_device_name(index)

    def synchronize(self, device: str) -> None:
        """Wait for all streams of the GPU."""
        import torch

        torch.cuda.synchronize(device)

    def manual_seed(self, seed: int) -> None:
        """Seed the current GPU's default generator."""
        import torch

        torch.cuda.manual_seed(seed)

    def rng_state(self, device: str) -> torch.Tensor:
        """The state of the GPU's default generator."""
        import torch

        return torch.cuda.get_rng_state(device)

    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Put the GPU's default generator into a state taken by `rng_state`."""
        import torch

        torch.cuda.set_rng_state(state, device)

    def active(self, device: str) -> AbstractContextManager[object]:
        """A context in which this GPU is the current one."""
        import torch

        return torch.cuda.device(device)

    @property
    def has_events(self) -> bool:
        """True."""
        return True

    def event(self) -> Event:
        """A CUDA event on the current stream."""
        import torch

        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def backlog(self, device: str) -> Backlog | None:
        """torch's sleep kernel, its clock measured now; None in a torch that has lost this private function."""
        import torch

        sleep = getattr(torch.cuda, "_sleep", None)
        if sleep is None:
            return None
        per_second = self._cycles_per_second(sleep, device)
        return lambda seconds: sleep(max(1, int(seconds * per_second)))

    def reset_peak_memory(self, device: str) -> None:
        """Reset the caching allocator's peak."""
        import torch

        torch.cuda.reset_peak_memory_stats(device)

    def peak_memory(self, device: str) -> int | None:
        """The caching allocator's peak of bytes in tensors."""
        import torch

        return torch.cuda.max_memory_allocated(device)

    @contextmanager
    def tf32_off(self) -> Iterator[None]:
        """A context in which matrix products and convolutions of float32 do not round to TF32."""
        from .precision import full_float32

        with full_float32():
            yield

    def _cycles_per_second(self, sleep: Callable[[int], None], device: str) -> float:
        cycles = 100_000  # 1 ms at the slowest known clock, AMD's 100 MHz; 0.05 ms at 2 GHz
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


BACKEND = CudaBackend()
