"""One phase of one workload, made ready once and then measured a block at a time, whenever somebody asks.

What `measure` does block after block, for comparing: blocks of two processes take turns there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ..backends import Backend, backend_for, seeded
from .accelerators import Stand
from .clocks import Clock
from .costs import Costs, costs
from .measuring import _explained, _gradients, _named, _threads, _without_garbage_collection, _written
from .phases import PHASES, Workload
from .sampler import plan_for, take_block, warm_up


@dataclass(frozen=True)
class _Setting:
    """What has to hold around every call: threads, seeds, gradients on, no garbage collection."""

    device: str
    threads: int
    seed: int
    backend: Backend

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(_explained())
            stack.enter_context(_gradients())
            stack.enter_context(_threads(self.threads))
            stack.enter_context(seeded(self.device, self.seed, self.backend))
            stack.enter_context(self.backend.active(self.device))
            stack.enter_context(_without_garbage_collection())
            yield


class Blocks:
    """Blocks of one phase.

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
        found = _named(PHASES, "phase", phase)
        self._clock = clock
        self._setting = _Setting(device, threads, seed, kind)
        with self._setting():
            self._work = found.work(workload, seed)
            self._plain = _written(self._work, workload, found, seed)
            if kind.asynchronous:
                self._stand: Any = Stand(self._work, kind, device, clock.wall_ns)
            else:
                self._stand = None
                self._plan = plan_for(self._work, warm_up(self._work, clock.wall_ns).call_s)

    def take(self) -> dict[str, float]:
        """Seconds of one call, out of one block: `median`, and on an accelerator `host` too."""
        with self._setting():
            if self._stand is None:
                return {"median": take_block(self._work, self._plan, self._clock).value_s}
            block = self._stand.take()
            return {"median": block.latency if block.device is None else block.device, "host": block.host}

    def costs(self) -> Costs:
        """What one call costs besides time."""
        with self._setting():
            return costs(self._work, self._plain, self._setting.backend, self._setting.device)
