"""Which operators a call runs, and what memory they read and write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ...numerics.trees import tensors


@dataclass(frozen=True)
class Operation:
    """One call of an operator.

    Attributes:
        name: such as `aten.mm.default`.
        reads, writes: the storages of its arguments and results.
        costly: True for products and convolutions, whose FLOPs torch knows.
    """

    name: str
    reads: set[int]
    writes: set[int]
    costly: bool


@dataclass
class Trace(TorchDispatchMode):
    """Every operator below autograd, with the storages that it reads and writes.

    Attributes:
        operations: in the order of the calls.
        elements: how many elements were written into new memory.
        largest: the elements of the largest new tensor.
    """

    operations: list[Operation] = field(default_factory=list)
    elements: int = 0
    largest: int = 0
    #: Keeps what was made, so that no storage is used twice.
    kept: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [leaf.value for leaf in tensors((args, kwargs or {}))]
        made = [leaf.value for leaf in tensors(result)]
        written = [*made, *(read if func._schema.is_mutable else [])]
        self.kept += made
        costly = func._overloadpacket in flop_registry
        self.operations.append(Operation(str(func), storages(read), storages(written), costly))
        if not any(returned.alias_info is not None for returned in func._schema.returns):
            self.elements += sum(tensor.numel() for tensor in made)
            self.largest = max([self.largest, *(tensor.numel() for tensor in made)])
        return result


def storages(values: list[torch.Tensor]) -> set[int]:
    """What identifies the memory of tensors, views included."""
    return {value.untyped_storage()._cdata for value in values}


class RoundedConstants(TorchDispatchMode):
    """Moves what is computed from constants alone by one epsilon of float32, where float32 cannot hold it.

    Args:
        given: what is no constant: inputs and state, and with them whatever is computed from them.
    """

    def __init__(self, given: Sequence[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # Kept, so that no id is used twice.
        self._derived = {id(tensor): tensor for tensor in given}
        self._generator = torch.Generator().manual_seed(0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        made = [leaf.value for leaf in tensors(result)]
        if any(id(leaf.value) in self._derived for leaf in tensors((args, kwargs or {}))):
            self._derived |= {id(tensor): tensor for tensor in made}
            return result
        for tensor in made:
            if tensor.dtype == torch.float64 and not func._schema.is_mutable and not func.is_view:
                signs = torch.randint(0, 2, tensor.shape, generator=self._generator, dtype=torch.float64) * 2 - 1
                exact = tensor.to(torch.float32).to(torch.float64) == tensor
                tensor.copy_(torch.where(exact, tensor, tensor * (1 + torch.finfo(torch.float32).eps * signs)))
        return result
