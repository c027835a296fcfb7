"""A simulated accelerator, with which timing on accelerators is tested on a CPU.

The machine has a host and one in-order queue, as a GPU's stream. Time passes only when the simulation says so:
enqueuing costs the host, kernels cost the device, and each waits for the other as on a real machine.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .base import Backend, Backlog, Event

if TYPE_CHECKING:
    import torch


@dataclass
class Machine:
    """Host and device with a virtual clock, in seconds.

    Attributes:
        record_cost: host time to enqueue an event or a sleep kernel.
        queue_limit: how many kernels may wait; enqueuing one more waits for the oldest. CUDA holds about 1000.
        now: the host's time.
        idle_at: when the device will have done all that is enqueued.
        launches, synchronizations: how often each happened.
    """

    record_cost: float = 1e-6
    queue_limit: int = 1000
    now: float = 0.0
    idle_at: float = 0.0
    launches: int = 0
    synchronizations: int = 0
    _ends: deque[float] = field(default_factory=deque)

    def wall_ns(self) -> int:
        """The host's clock."""
        return round(self.now * 1e9)

    def work(self, seconds: float) -> None:
        """The host computes."""
        self.now += seconds

    def launch(self, host: float, device: float) -> None:
        """The host takes `host` seconds to enqueue a kernel that runs for `device` seconds."""
        self.launches += 1
        self.now += host
        while self._ends and self._ends[0] <= self.now:
            self._ends.popleft()
        if len(self._ends) >= self.queue_limit:
            self.now = self._ends.popleft()
        self.idle_at = max(self.idle_at, self.now) + device
        self._ends.append(self.idle_at)

    def synchronize(self) -> None:
        """The host waits for the device."""
        self.synchronizations += 1
        self.now = max(self.now, self.idle_at)


@dataclass
class FakeEvent:
    """A mark in the machine's queue."""

    machine: Machine
    passed_at: float | None = None

    def record(self) -> None:
        """Enqueue the mark."""
        self.machine.now += self.machine.record_cost
        self.passed_at = max(self.machine.now, self.machine.idle_at)

    def query(self) -> bool:
        """True if the device has passed the mark."""
        return self.passed_at is not None and self.passed_at <= self.machine.now

    def elapsed_time(self, end: FakeEvent, /) -> float:
        """Milliseconds from this mark to `end`."""
        if not self.query() or not end.query():
            raise RuntimeError("the device has not passed both events")
        assert self.passed_at is not None
        assert end.passed_at is not None
        return (end.passed_at - self.passed_at) * 1e3


class FakeBackend(Backend):
    """A backend of simulated devices that share one machine.

    Args:
        machine: host and device.
        kind: the kind it plays.
        devices: how many there are.
        unavailable: why they cannot be used; None if they can.
        events, sleeps: whether it has events and a sleep kernel.
        longest_sleep: no backlog is longer than this; a backlog that is too short is planted so.
    """

    def __init__(
        self,
        machine: Machine | None = None,
        *,
        kind: str = "fake",
        devices: int = 1,
        unavailable: str | None = None,
        events: bool = True,
        sleeps: bool = True,
        longest_sleep: float = float("inf"),
    ) -> None:
        self.kind = kind
        self.machine = machine or Machine()
        self.devices = devices
        self.unavailable = unavailable
        self.events = events
        self.sleeps = sleeps
        self.longest_sleep = longest_sleep
        self.seed = 0

    def why_unavailable(self) -> str | None:
        """As given."""
        return self.unavailable

    def count(self) -> int:
        """As given; none if they cannot be used."""
        return 0 if self.unavailable else self.devices

    def describe(self, index: int = 0) -> str:
        """A made-up model."""
        return f"simulated {self.kind} {index}"

    def synchronize(self, device: str) -> None:
        """Wait for the machine."""
        self.machine.synchronize()

    def manual_seed(self, seed: int) -> None:
        """Keep the seed, which is all of the random state."""
        self.seed = seed

    def rng_state(self, device: str) -> torch.Tensor:
        """The seed."""
        import torch

        return torch.tensor([self.seed])

    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Set the seed."""
        self.seed = int(state.item())

    @property
    def has_events(self) -> bool:
        """As given."""
        return self.events

    def event(self) -> Event:
        """A mark that is not enqueued yet."""
        return FakeEvent(self.machine)

    def backlog(self, device: str) -> Backlog | None:
        """A sleep kernel, if there are any."""
        if not self.sleeps:
            return None
        return lambda seconds: self.machine.launch(self.machine.record_cost, min(seconds, self.longest_sleep))
