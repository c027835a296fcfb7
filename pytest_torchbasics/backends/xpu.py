"""Intel GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .streams import StreamBackend

if TYPE_CHECKING:
    import torch


class XpuBackend(StreamBackend):
    """GPUs behind torch.xpu."""

    kind = "xpu"
    also_called = ("gpu", "intel")
    cache_size = "last_level_cache_size"

    def why_unavailable(self) -> str | None:
        """Why there is no Intel GPU. Every torch answers, whether it is built for them or not."""
        import torch

        return None if torch.xpu.is_available() else "torch finds no Intel GPU, or is built without XPU"

    def supports(self, dtype: torch.dtype) -> str | None:
        """Some Intel GPUs have no 64-bit floating point."""
        import torch

        double = dtype in (torch.float64, torch.complex128)
        if double and self.why_unavailable() is None and not torch.xpu.get_device_properties(0).has_fp64:
            return f"this xpu has no {str(dtype).removeprefix('torch.')}"
        return None


BACKEND = XpuBackend()
