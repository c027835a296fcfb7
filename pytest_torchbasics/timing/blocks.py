"""One phase of one workload, made ready once and then measured a block at a time, whenever somebody asks.

What `measure` does block after block, for comparing: blocks of two processes take turns there.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..backends import Backend, backend_for
from .accelerators import Stand
from .clocks import Clock
from .costs import Costs, costs
from .measuring import named, written
from .phases import PHASES, Workload
from .sampler import plan_for, take_block, warm_up
from .setting import setting, without_garbage_collection

#: Where the heap puts results makes up to 10 % for some functions (convolution, gelu), and differs from process to
#: process: two processes of identical code by 2.4 % there, by 1.2 % if what is held during a block is drawn anew for
#: each. So many tensors at most, of so many bytes at most.
BALLAST, BALLAST_BYTES = 8, 2**15


#: Seconds of warming up: the processor is at work all along, on cell after cell, and only caches have to settle.
SETTLE_S = 5e-3


class Blocks:
    """Blocks of one phase, each with another layout of the heap.

    Args:
        workload: what to call; its tensors are on the device.
        phase: a name out of `PHASES`.
        device: where it runs.
        clock: of the thread that measures.
        threads: of the CPU.
        seed: of the gradients and the generators.
        backend: of the device; found by its name if None.

    Raises:
        DoesNotApply: the phase has no meaning for the workload.
        ValueError: there is no such phase, or fewer than one thread.
    """

    def __init__(
        self,
        workload: Workload,
        phase: str,
        device: str,
        clock: Clock,
        *,
        threads: int = 1,
        seed: int = 0,
        backend: Backend | None = None,
    ) -> None:
        kind = backend or backend_for(device)
        self._chance = random.Random(seed)
        found = named(PHASES, "phase", phase)
        self._clock = clock
        self._device, self._threads, self._seed, self._backend = device, threads, seed, kind
        with self._setting():
            self._work = found.work(workload, seed)
            self._plain = written(self._work, workload, found, seed)
            if kind.asynchronous:
                self._stand: Any = Stand(self._work, kind, device, clock.wall_ns)
            else:
                self._stand = None
                self._plan = plan_for(self._work, warm_up(self._work, clock.wall_ns, seconds=SETTLE_S).call_s)

    def take(self) -> dict[str, float]:
        """Seconds of one call, out of one block: `median`, and on an accelerator `host` too."""
        with self._setting(), self._ballast():
            if self._stand is None:
                return {"median": take_block(self._work, self._plan, self._clock).value_s}
            block = self._stand.take()
            return {"median": block.latency if block.device is None else block.device, "host": block.host}

    def costs(self) -> Costs:
        """What one call costs besides time."""
        with self._setting():
            return costs(self._work, self._plain, self._backend, self._device)

    @contextmanager
    def _ballast(self) -> Iterator[None]:
        """Some tensors in the heap, which move what is allocated meanwhile."""
        import torch

        sizes = [self._chance.randrange(64, BALLAST_BYTES) for _ in range(self._chance.randint(1, BALLAST))]
        held = [torch.empty(size, dtype=torch.uint8) for size in sizes]
        yield
        del held

    @contextmanager
    def _setting(self) -> Iterator[None]:
        around = setting(self._device, self._threads, self._seed, self._backend)
        with around, self._backend.active(self._device), without_garbage_collection():
            yield
