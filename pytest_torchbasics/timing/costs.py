"""What one call costs besides time: operations, memory traffic, parameters, and the most memory it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..backends import Backend
from .counting import count
from .metrics import Measured, measured
from .phases import Work

if TYPE_CHECKING:
    from .peaks import Peaks


@dataclass(frozen=True)
class Costs:
    """The costs of one call of one phase; None for what cannot be known.

    Attributes:
        flops: floating point operations of matrix products, convolutions, recurrent layers and attention, as torch
            counts them (torch.utils.flop_counter: a multiply-add is two). None if there are none of those.
        bytes_moved: bytes that the operators read and write, each operand once, of a table what is looked up, views
            not at all. It is what memory has to move if nothing stays in a cache or is fused.
        peak_bytes: the most memory in tensors that the call adds to what was there before it.
        complete: False if an operator has no formula, or a layout cannot be counted.
    """

    flops: int | None
    bytes_moved: int | None
    peak_bytes: int | None
    complete: bool = True


def costs(work: Work, written: Work, backend: Backend, device: str) -> Costs:
    """Count what one call costs. It runs twice, untimed.

    Args:
        work: what is timed, whose memory is counted.
        written: the same as it is written, whose operations and traffic are: what a compiler fuses is not known.
        backend: of the device.
        device: where both run.
    """
    counted = count(written)
    peak = backend.peak_of(work.call, work.arguments, device)
    return Costs(
        counted.flops or None, counted.bytes_moved or None, peak, None not in (counted.flops, counted.bytes_moved)
    )


def derived(found: Costs, parameters: int | None, seconds: float, peaks: Peaks | None) -> list[Measured]:
    """The metrics of costs, and the rates that they come to in the time that a call took."""
    values: dict[str, float | None] = {
        "parameters": parameters,
        "flops": found.flops,
        "bytes_moved": found.bytes_moved,
        "peak": found.peak_bytes,
    }
    if seconds > 0:
        values["flop_rate"] = found.flops and found.flops / seconds
        values["byte_rate"] = found.bytes_moved and found.bytes_moved / seconds
    if found.flops and found.bytes_moved:
        values["flop_per_byte"] = found.flops / found.bytes_moved
    if peaks is not None and seconds > 0:
        values["roofline_share"] = peaks.shortest_s(found.flops, found.bytes_moved) / seconds or None
    return [measured(name, [value]) for name, value in values.items() if value is not None]
