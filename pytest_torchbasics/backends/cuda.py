"""NVIDIA GPUs, and AMD ones, which torch names `cuda` too."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from . import nvml
from .base import Sensors
from .streams import StreamBackend


class CudaBackend(StreamBackend):
    """GPUs behind torch.cuda."""

    kind = "cuda"
    also_called = ("gpu", "nvidia", "hip", "rocm", "amd")
    cache_size = "L2_cache_size"

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

    def sensors(self, device: str) -> Sensors | None:
        """NVML's, of this GPU; none of an AMD one."""
        import torch

        if torch.version.hip is not None:
            return None
        uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
        return None if uuid is None else nvml.sensors(str(uuid))

    @property
    def has_graphs(self) -> bool:
        """True."""
        return True

    def graphed(self, call: Callable[..., Any], inputs: tuple[Any, ...], device: str) -> Callable[..., Any]:
        """The call as CUDA graphs by torch.cuda.make_graphed_callables, one of forward and one of backward."""
        import torch

        from .graphs import graphed

        with self.active(device):
            return graphed(call, inputs, torch.cuda.make_graphed_callables)


BACKEND = CudaBackend()
