"""Running a block from a fixed seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .base import Backend
from .registry import backend_for


@contextmanager
def seeded(device: str, seed: int, backend: Backend | None = None) -> Iterator[None]:
    """Seed the default generators of the host and of the device, and restore them.

    Not by torch.manual_seed, which seeds every kind of device there could be: where CUDA is not started it formats a
    stack trace for later, which takes longer than a small layer.

    Args:
        device: `"cpu"` or `"cuda:1"`.
        seed: of both.
        backend: of the device; found by its name if None.
    """
    host, backend = backend_for("cpu"), backend or backend_for(device)
    generators = [(host, "cpu")] if backend.kind == host.kind else [(host, "cpu"), (backend, device)]
    states = [each.rng_state(where) for each, where in generators]
    for each, where in generators:
        with each.active(where):  # a seed goes to the current device
            each.manual_seed(seed)
    try:
        yield
    finally:
        for (each, where), state in zip(generators, states, strict=True):
            each.set_rng_state(state, where)
