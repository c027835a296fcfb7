"""Intel GPUs."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from .base import Backend, Event

if TYPE_CHECKING:
    import torch


class XpuBackend(Backend):
    """GPUs behind torch.xpu."""

    kind = "xpu"
    also_called = ("gpu", "intel")

    def why_unavailable(self) -> str | None:
        """Why there is no Intel GPU. Every torch answers, whether it is built for them or not."""
        import torch

        return None if torch.xpu.is_available() else "torch finds no Intel GPU, or is built without XPU"

    def count(self) -> int:
        """How many GPUs are visible."""
        import torch

        return torch.xpu.device_count()

    def describe(self, index: int = 0) -> str:
        """The name of the GPU."""
        import torch

        return str(torch.xpu.get_device_name(index))

    def synchronize(self, device: str) -> None:
        """Wait for all streams of the GPU."""
        import torch

        torch.xpu.synchronize(device)

    def manual_seed(self, seed: int) -> None:
        """Seed the current GPU's default generator."""
        import torch

        torch.xpu.manual_seed(seed)

    def rng_state(self, device: str) -> torch.Tensor:
        """The state of the GPU's default generator."""
        import torch

        return torch.xpu.get_rng_state(device)

    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Put the GPU's default generator into a state taken by `rng_state`."""
        import torch

        torch.xpu.set_rng_state(state, device)

    def supports(self, dtype: torch.dtype) -> str | None:
        """Some Intel GPUs have no 64-bit floating point."""
        import torch

        double = dtype in (torch.float64, torch.complex128)
        if double and self.why_unavailable() is None and not torch.xpu.get_device_properties(0).has_fp64:
            return f"this xpu has no {str(dtype).removeprefix('torch.')}"
        return None

    def active(self, device: str) -> AbstractContextManager[object]:
        """A context in which this GPU is the current one."""
        import torch

        return torch.xpu.device(device)

    @property
    def has_events(self) -> bool:
        """True."""
        return True

    def event(self) -> Event:
        """An XPU event on the current stream."""
        import torch

        return torch.xpu.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def reset_peak_memory(self, device: str) -> None:
        """Reset the caching allocator's peak."""
        import torch

        torch.xpu.reset_peak_memory_stats(device)

    def peak_memory(self, device: str) -> int | None:
        """The caching allocator's peak of bytes in tensors."""
        import torch

        return torch.xpu.max_memory_allocated(device)


BACKEND = XpuBackend()
