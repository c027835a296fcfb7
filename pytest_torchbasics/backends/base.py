"""What a device kind has to offer: availability, synchronising, random state, events, backlog, memory."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

#: Enqueues work that keeps the device busy for about this many seconds, and returns at once. It is enqueued where
#: the caller's work is, on the current stream.
Backlog = Callable[[float], None]
#: What a `Reading` may hold besides reasons.
QUANTITIES = ("sm_clock", "power", "temperature")
#: Reasons for a lower clock that are not the user's settings, and that spoil a measurement. The software power cap is
#: none: a large GPU runs into it whenever it is busy.
THROTTLES = frozenset({"hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"})


@dataclass(frozen=True)
class Reading:
    """What a device's sensors say; None for what they do not.

    Attributes:
        sm_clock: of the processors, in Hz.
        power: in W.
        temperature: in degrees Celsius.
        reasons: why the clock is lower than it could be, by NVML's names: `sw_power_cap`, `hw_slowdown`.
    """

    sm_clock: float | None = None
    power: float | None = None
    temperature: float | None = None
    reasons: tuple[str, ...] = ()

    @property
    def throttled(self) -> bool:
        """True if heat or the power supply slows the device down."""
        return not THROTTLES.isdisjoint(self.reasons)


#: Reads the sensors of a device, without waiting for its work; raises nothing.
Sensors = Callable[[], Reading]


class DeviceError(ValueError):
    """A device name that means nothing, or a device that this machine cannot use; the message is one line."""


class Event(Protocol):
    """A mark in the device's queue. The events of torch.cuda, torch.xpu and torch.mps are such."""

    def record(self) -> None:
        """Enqueue the mark."""

    def query(self) -> bool:
        """True if the device has passed the mark."""

    def synchronize(self) -> None:
        """Wait until the device has passed the mark."""

    def elapsed_time(self, end: Any, /) -> float:
        """Milliseconds of the device between this mark and `end`; both have been passed."""


class Backend(abc.ABC):
    """One device kind. Instances hold no state; devices are named by torch's strings, `"cuda"` or `"cuda:1"`.

    The defaults are those of a device without events, backlog, sensors, graphs, memory statistics and TF32.
    """

    #: The part of a device name before the colon.
    kind: str
    #: Names that people type for this kind and torch does not know; used in hints only.
    also_called: tuple[str, ...] = ()
    #: True if the device computes beside the host, so that its work must be waited for.
    asynchronous: bool = True

    @abc.abstractmethod
    def why_unavailable(self) -> str | None:
        """Why no device of this kind can be used, in a few words; None if one can. Allocates nothing."""

    @abc.abstractmethod
    def count(self) -> int:
        """How many devices of this kind can be used."""

    @abc.abstractmethod
    def describe(self, index: int = 0) -> str:
        """The name of the model, such as `NVIDIA H100 80GB HBM3`."""

    @abc.abstractmethod
    def synchronize(self, device: str) -> None:
        """Wait until the device has done all its work, on all its streams."""

    def reported_waits(self, device: str, call: Callable[[], object]) -> str:
        """What the device's runtime reports of the host waiting for it during a call; empty if nothing is known."""
        call()
        return ""

    @abc.abstractmethod
    def manual_seed(self, seed: int) -> None:
        """Seed the default generator of the current device, and no other."""

    @abc.abstractmethod
    def rng_state(self, device: str) -> torch.Tensor:
        """The state of the device's default generator."""

    @abc.abstractmethod
    def set_rng_state(self, state: torch.Tensor, device: str) -> None:
        """Put the device's default generator into a state taken by `rng_state`."""

    def in_use(self) -> tuple[str, ...]:
        """The devices that this process has started to use; asking starts none. None of a kind that cannot tell."""
        return ()

    def held_memory(self, device: str) -> int | None:
        """The bytes of tensors on a device that is in use; None where torch does not count them."""
        return None

    def supports(self, dtype: torch.dtype) -> str | None:
        """Why the device can never hold tensors of this dtype; None if it can."""
        return None

    def active(self, device: str) -> AbstractContextManager[object]:
        """A context in which this device is the current one, which events and streams refer to."""
        return contextlib.nullcontext()

    def take_share(self, device: str, part: int, of: int) -> None:  # noqa: B027 (nothing is a good default)
        """Be one of several processes that use the kind at the same time; nothing to do where they do not interfere.

        Args:
            device: without index, the current one becomes the one whose turn it is.
            part: the number of this process, from 0.
            of: how many processes there are.
        """

    @property
    def has_events(self) -> bool:
        """True if `event` works."""
        return False

    def event(self) -> Event:
        """A new event that measures time, for the current device."""
        raise NotImplementedError(f"{self.kind} has no events")

    def backlog(self, device: str) -> Backlog | None:
        """A way to keep the device busy for a given time; None if the kind has none."""
        return None

    def cache_clearer(self, device: str) -> Callable[[], None] | None:
        """Enqueues, on the current stream, what throws all data out of the device's cache; None if nothing does."""
        return None

    def sensors(self, device: str) -> Sensors | None:
        """A reader of clock, power and temperature; None if the kind has none, or they do not answer."""
        return None

    @property
    def has_graphs(self) -> bool:
        """True if `graphed` works."""
        return False

    def graphed(self, call: Callable[..., Any], inputs: tuple[Any, ...], device: str) -> Callable[..., Any]:
        """The call captured once with inputs like these; it replays, forward and backward.

        Args:
            call: a module or a function; the parameters of a function are those of the module that it wraps
                (`__wrapped__`, a bound method) if any.
            inputs: samples; tensors anywhere in them are the inputs of the graph, everything else is fixed.
            device: where they are.

        Returns:
            Takes inputs of the same structure and shapes. Each call copies them into the graph's own memory, which
            is part of its time, and its results are overwritten by the next one.

        Raises:
            NotImplementedError: the kind has no graphs.
            RuntimeError: the call cannot be captured; the process may be unusable afterwards.
        """
        raise NotImplementedError(f"{self.kind} has no graphs to capture")

    def peak_of(self, call: Callable[..., object], prepare: Callable[[], tuple[Any, ...]], device: str) -> int | None:
        """The most bytes of tensors that `call(*prepare())` holds at once beyond what was there when it is called.

        None where torch does not count them.
        """
        call(*prepare())
        return None

    @contextlib.contextmanager
    def tf32_off(self) -> Iterator[None]:
        """A context in which float32 is computed in float32."""
        yield
