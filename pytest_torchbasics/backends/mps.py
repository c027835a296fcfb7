"""Apple's GPU through Metal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Backend, Event

if TYPE_CHECKING:
    import torch


class MpsBackend(Backend):
    """The one GPU behind torch.mps."""

    kind = "mps"
    also_called = ("gpu", "metal", "apple")

    def why_unavailable(self) -> str | None:
        """Why Metal cannot be used: torch's build or the machine."""
        import torch

        if not torch.backends.mps.is_built():
            return f"torch {torch.__version__} is built without MPS (it is there on macOS alone)"
        return None if torch.backends.mps.is_available() else "macOS offers torch no Metal GPU"

    def count(self) -> int:
        """1: Metal's default GPU."""
        return 1

    def describe(self, index: int = 0) -> str:
        """The name of the GPU where torch tells it."""
        import torch

        name = getattr(torch.backends.mps, "get_name", None)
        return str(name()) if name is not None else "Apple GPU"

    def synchronize(self, device: str) -> None:
        """Wait for the GPU."""
        import torch

        torch.mps.synchronize()

    def manual_seed(self, seed: int) -> None:
        """Seed the GPU's default generator."""
        import torch

        torch.mps.manual_seed(seed)

    def rng_state(self, device: str) -> torch.Tensor:
        """The state of the GPU's default generator."""
        import torch

        return torch.mps.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Put the GPU's default generator into a state taken by `rng_state`."""
        import torch

        torch.mps.set_rng_state(state)

    def supports(self, dtype: torch.dtype) -> str | None:
        """Metal has no 64-bit floating point."""
        import torch

        if dtype in (torch.float64, torch.complex128):
            return f"mps has no {str(dtype).removeprefix('torch.')}"
        return None

    @property
    def has_events(self) -> bool:
        """True."""
        return True

    def event(self) -> Event:
        """A Metal event."""
        import torch

        return torch.mps.event.Event(enable_timing=True)


BACKEND = MpsBackend()
