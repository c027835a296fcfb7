"""NVIDIA GPUs, and AMD ones, which torch names `cuda` too."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .base import Backlog
from .streams import StreamBackend

#: The sleep kernel counts cycles of a clock that torch does not tell: its rate is measured with a sleep of at
#: least this long, which is a thousand times the resolution of an event (0.5 us).
_CALIBRATION_MS = 0.5


class CudaBackend(StreamBackend):
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

    def backlog(self, device: str) -> Backlog | None:
        """torch's sleep kernel, its clock measured now; None in a torch that has lost this private function."""
        import torch

        sleep = getattr(torch.cuda, "_sleep", None)
        if sleep is None:
            return None
        per_second = self._cycles_per_second(sleep, device)
        return lambda seconds: sleep(max(1, int(seconds * per_second)))

    @contextmanager
    def tf32_off(self) -> Iterator[None]:
        """A context in which matrix products and convolutions of float32 do not round to TF32."""
        from .precision import full_float32

        with full_float32():
            yield

    def reported_waits(self, device: str, call: Callable[[], object]) -> str:
        """The first synchronizing call that torch warns of in its synchronization debug mode."""
        import torch

        before = torch.cuda.get_sync_debug_mode()
        with self.active(device), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                call()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        return next((str(w.message).split("\n")[0] for w in caught if "synchroniz" in str(w.message)), "")

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
