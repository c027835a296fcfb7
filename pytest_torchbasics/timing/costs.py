"""What one call costs besides time: operations, memory traffic, parameters, and the most memory it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..backends import Backend
from .metrics import Measured, measured
from .phases import Work

if TYPE_CHECKING:
    import torch

    from .peaks import Peaks


@dataclass(frozen=True)
class Costs:
    """The costs of one call of one phase; None for what cannot be known.

    Attributes:
        flops: floating point operations of matrix products, convolutions and attention, as torch counts them
            (torch.utils.flop_counter: a multiply-add is two). None if there are none of those.
        bytes_moved: bytes that the operators read and write, each operand once, views not at all. It is what
            memory has to move if nothing stays in a cache or is fused.
        peak_bytes: the most memory in tensors that the call adds to what was there before it.
    """

    flops: int | None
    bytes_moved: int | None
    peak_bytes: int | None


def costs(work: Work, written: Work, backend: Backend, device: str) -> Costs:
    """Count what one call costs. It runs twice, untimed.

    Args:
        work: what is timed, whose memory is counted.
        written: the same as it is written, whose operations and traffic are: what a compiler fuses is not known.
        backend: of the device.
        device: where both run.
    """
    arguments = written.arguments()
    with _counter() as counter:
        written.call(*arguments)
    peak = backend.peak_of(work.call, work.arguments, device)
    return Costs(counter.flops or None, counter.bytes_moved or None, peak)


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


def _counter() -> Any:
    """A mode that adds up the operations and the bytes of the operands of every operator.

    torch's FlopCounterMode has the same formulas, and hooks into modules besides, which the gradient of a leaf of a
    graph does not allow. As there, an operator that has no formula is taken apart if it can be.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        flops = 0
        bytes_moved = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            formula = flop_registry.get(func._overloadpacket)
            if formula is None:
                with self:
                    result = func.decompose(*args, **kwargs)
                if result is not NotImplemented:
                    return result
            result = func(*args, **kwargs)
            self.flops += 0 if formula is None else int(formula(*args, **kwargs, out_val=result))
            if not _moves_nothing(func):
                self.bytes_moved += _bytes((args, kwargs)) + _bytes(result)
            return result

    return Counter()  # type: ignore[no-untyped-call]


def _moves_nothing(operator: Any) -> bool:
    """True for views, and for memory that is taken and not filled."""
    views = any(value.alias_info is not None and not value.alias_info.is_write for value in operator._schema.returns)
    return views or operator._schema.name.split("::")[-1].startswith(("empty", "new_empty"))


def _bytes(tree: Any) -> int:
    from ..numerics.trees import tensors

    return sum(_extent(leaf.value) for leaf in tensors(tree))


def _extent(tensor: torch.Tensor) -> int:
    """The bytes that a tensor's elements take in memory; an expanded dimension takes none."""
    import torch

    if tensor.layout != torch.strided:
        return int(tensor.values().numel()) * tensor.element_size() if tensor.layout != torch.sparse_coo else 0
    sizes = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size]
    return math.prod(sizes) * tensor.element_size()
