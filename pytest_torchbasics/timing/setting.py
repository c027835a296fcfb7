"""What has to hold around everything that is timed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ..backends import Backend, seeded
from .phases import DoesNotApply


@contextmanager
def setting(device: str, threads: int, seed: int, backend: Backend) -> Iterator[None]:
    """Gradients on, so many threads, the default generators seeded; what torch refuses is told in words.

    Raises:
        DoesNotApply: torch's error tells that the phase has no meaning for the workload.
        ValueError: fewer than one thread.
    """
    with explained(), gradients_on(), _threads(threads), seeded(device, seed, backend):
        yield


@contextmanager
def gradients_on() -> Iterator[None]:
    """Gradients on, whatever the caller's context is."""
    import torch

    with torch.inference_mode(False), torch.enable_grad():
        yield


#: What torch's errors say where a phase does not apply, and why it does not.
_REASONS = {
    "Mismatch in shape: grad_output": "the shapes of its outputs change from call to call, so no gradient fits them",
    "checkpoint is incompatible with .grad()": "torch.autograd.grad refuses reentrant checkpoints: use_reentrant=False",
}


@contextmanager
def explained() -> Iterator[None]:
    """Where torch's error tells that the phase does not apply, say so."""
    try:
        yield
    except RuntimeError as error:
        for part, reason in _REASONS.items():
            if part in str(error):
                raise DoesNotApply(reason) from error
        raise


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """That many threads within an operation, and as many as before afterwards."""
    import torch

    if not isinstance(count, int) or count < 1:
        raise ValueError(f"threads must be a whole number, 1 or more, got {count!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """No collection in a timed window: a full one of a large test session's heap takes 200 ms.

    The young generations are collected before, which costs little; a full collection before each of hundreds of
    measurements would cost more than they do.
    """
    gc.collect(1)
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
