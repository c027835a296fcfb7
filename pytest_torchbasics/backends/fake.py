"""A simulated accelerator, with which timing on accelerators is tested on a CPU.

The machine has a host and in-order queues, as a GPU's streams; one of them is the current one. Time passes only when
the simulation says so: enqueuing costs the host, kernels cost the device, and each waits for the other as on a real
machine. Queues run side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .base import Backend, Backlog, Event, Reading, Sensors

if TYPE_CHECKING:
    import torch


@dataclass
class Machine:
    """Host and device with a virtual clock, in seconds.

    Attributes:
        record_cost: host time to enqueue an event or a sleep kernel.
        queue_limit: how many kernels may wait; enqueuing one more waits for the oldest. CUDA holds about 1000.
        mark_cost: device time that an event takes.
        marks_hide: a kernel hides the device time of the event after it.
        clear_cost: device time of clearing the cache.
        current: the queue that kernels, events and the sleep kernel go to.
        now: the host's time.
        launches, synchronizations: how often each happened.
        held, peak: bytes of memory now, and the most since the peak was reset.
    """

    record_cost: float = 1e-6
    queue_limit: int = 1000
    mark_cost: float = 0.0
    marks_hide: bool = False
    clear_cost: float = 30e-6
    current: int = 0
    now: float = 0.0
    launches: int = 0
    synchronizations: int = 0
    held: int = 0
    peak: int = 0
    _idle_at: dict[int, float] = field(default_factory=dict)
    _ends: deque[float] = field(default_factory=deque)
    _cached: bool = False
    _after_kernel: bool = False
    _replaying: bool = False

    @property
    def idle_at(self) -> float:
        """When the device will have done all that is enqueued."""
        return max(self._idle_at.values(), default=0.0)

    def wall_ns(self) -> int:
        """The host's clock."""
        return round(self.now * 1e9)

    def work(self, seconds: float) -> None:
        """The host computes."""
        self.now += seconds

    def launch(self, host: float, device: float, *, cold: float = 0.0, queue: int | None = None) -> None:
        """The host takes `host` seconds to enqueue a kernel that runs for `device` seconds.

        Args:
            host, device: seconds.
            cold: how much longer the kernel runs if the cache was cleared before it.
            queue: where it goes; the current one if None.
        """
        self.launches += 1
        self.now += 0.0 if self._replaying else host
        while self._ends and self._ends[0] <= self.now:
            self._ends.popleft()
        if len(self._ends) >= self.queue_limit:
            self.now = self._ends.popleft()
        self._ends.append(self._run(device if self._cached else device + cold, queue))
        self._cached = self._after_kernel = True

    def mark(self) -> float:
        """Enqueue an event; when the device will have passed it."""
        self.now += self.record_cost
        hidden = self.marks_hide and self._after_kernel
        self._after_kernel = False
        return self._run(0.0 if hidden else self.mark_cost)

    def clear_cache(self) -> None:
        """Enqueue what clears the cache."""
        self.launch(self.record_cost, self.clear_cost)
        self._cached = False

    def wait(self, queue: int, other: int) -> None:
        """A queue goes on when what is in the other one now is done, as `wait_stream` does."""
        self._idle_at[queue] = max(self._idle_at.get(queue, 0.0), self._idle_at.get(other, 0.0))

    def synchronize(self) -> None:
        """The host waits for the device, all queues of it."""
        self.synchronizations += 1
        self.now = max(self.now, self.idle_at)

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """A context in which kernels cost the host nothing: they are launched as one graph."""
        self.now += self.record_cost
        self._replaying = True
        try:
            yield
        finally:
            self._replaying = False

    def allocate(self, count: int) -> None:
        """Take bytes of memory, or give them back if negative."""
        self.held += count
        self.peak = max(self.peak, self.held)

    def _run(self, seconds: float, queue: int | None = None) -> float:
        """When a queue will have done so much more."""
        name = self.current if queue is None else queue
        self._idle_at[name] = max(self._idle_at.get(name, 0.0), self.now) + seconds
        return self._idle_at[name]


@dataclass
class FakeEvent:
    """A mark in the machine's current queue."""

    machine: Machine
    passed_at: float | None = None

    def record(self) -> None:
        """Enqueue the mark."""
        self.passed_at = self.machine.mark()

    def query(self) -> bool:
        """True if the device has passed the mark."""
        return self.passed_at is not None and self.passed_at <= self.machine.now

    def synchronize(self) -> None:
        """The host waits for the mark alone."""
        assert self.passed_at is not None
        self.machine.now = max(self.machine.now, self.passed_at)

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
        clears: whether its cache can be cleared.
        graphs: whether it has graphs.
        readings: what its sensors say, one after the other; the last one stays. None if it has no sensors.
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
        clears: bool = True,
        graphs: bool = False,
        readings: Sequence[Reading] | None = None,
    ) -> None:
        self.kind = kind
        self.machine = machine or Machine()
        self.devices = devices
        self.unavailable = unavailable
        self.events = events
        self.sleeps = sleeps
        self.longest_sleep = longest_sleep
        self.clears = clears
        self.graphs = graphs
        self.readings = readings
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

    def in_use(self) -> tuple[str, ...]:
        """All of them, always."""
        return tuple(f"{self.kind}:{i}" for i in range(self.count()))

    def held_memory(self, device: str) -> int | None:
        """What the machine holds."""
        return self.machine.held

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

    def cache_clearer(self, device: str) -> Callable[[], None] | None:
        """Of the machine's cache, if it can be."""
        return self.machine.clear_cache if self.clears else None

    def sensors(self, device: str) -> Sensors | None:
        """The planted readings."""
        if self.readings is None:
            return None
        left = deque(self.readings)
        return lambda: left.popleft() if len(left) > 1 else left[0]

    @property
    def has_graphs(self) -> bool:
        """As given."""
        return self.graphs

    def graphed(self, call: Callable[..., Any], inputs: tuple[Any, ...], device: str) -> Callable[..., Any]:
        """The call with one launch for all its kernels."""
        if not self.graphs:
            return super().graphed(call, inputs, device)

        def replay(*new: Any) -> Any:
            with self.machine.replaying():
                return call(*new)

        return replay

    def peak_of(self, call: Callable[..., object], prepare: Callable[[], tuple[Any, ...]], device: str) -> int | None:
        """What the call allocates of the machine's memory at once."""
        arguments = prepare()
        before = self.machine.peak = self.machine.held
        call(*arguments)
        return self.machine.peak - before
