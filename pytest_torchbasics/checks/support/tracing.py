"""Which operators a call runs, and what memory they read and write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ...numerics.trees import map_tensors, tensors
from ...trials import Arguments, Subject, differentiable_outputs


@dataclass(frozen=True)
class Operation:
    """One call of an operator.

    Attributes:
        name: such as `aten.mm.default`.
        reads, writes: the storages of its arguments and results.
        mutates: the storages that it writes to in place.
        costly: True for products and convolutions, whose FLOPs torch knows.
    """

    name: str
    reads: set[int]
    writes: set[int]
    mutates: set[int]
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
        mutated = _written_to(func._schema, args, kwargs or {})
        self.kept += made
        costly = func._overloadpacket in flop_registry
        self.operations.append(
            Operation(str(func), storages(read), storages(made + mutated), storages(mutated), costly)
        )
        if not any(returned.alias_info is not None for returned in func._schema.returns):
            self.elements += sum(tensor.numel() for tensor in made)
            self.largest = max([self.largest, *(tensor.numel() for tensor in made)])
        return result


def _written_to(schema: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """The arguments that the operator works on in place."""
    if not schema.is_mutable:
        return []
    given = {**dict(zip([argument.name for argument in schema.arguments], args, strict=False)), **kwargs}
    written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
    return [leaf.value for name in written for leaf in tensors(given.get(name))]


def storages(values: list[torch.Tensor]) -> set[int]:
    """What identifies the memory of tensors, views included."""
    return {value.untyped_storage()._cdata for value in values if value.layout == torch.strided}


def writes_its_state(subject: Subject, inputs: Arguments) -> bool:
    """True if a call works in place on the module's parameters or buffers, even if their values stay."""
    if subject.module is None:
        return False
    state = storages([*subject.module.parameters(), *subject.module.buffers()])
    with Trace() as trace, torch.no_grad(), subject.trial.seeded():
        subject(*map_tensors(lambda tensor: tensor.detach().clone(), inputs))
    return any(operation.mutates & state for operation in trace.operations)


def graph_nodes(outputs: Any) -> Iterator[Any]:
    """The nodes of the autograd graph behind outputs, each once."""
    stack = [output.grad_fn for output in differentiable_outputs(outputs)]
    seen = set()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            stack.extend(following for following, _ in node.next_functions)


#: The dtypes that are rounded, each with the next narrower one.
_NEXT = {torch.float64: torch.float32, torch.float32: torch.bfloat16}


class Rounded(TorchDispatchMode):
    """Moves results by one epsilon of float32 (of float64 for float64), where float32 cannot hold them.

    What the function computes in float32 itself is moved by one epsilon of that.

    Args:
        dtype: the dtype under test.
        given: what is not rounded here, and with it whatever is computed from it; nothing rounds everything.
    """

    def __init__(self, dtype: torch.dtype, given: Sequence[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        wide = dtype in (torch.float64, torch.complex128)
        self._narrow = torch.float64 if wide else torch.float32
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
            dense = tensor.layout == torch.strided
            if tensor.dtype in _NEXT and dense and not func._schema.is_mutable and not func.is_view:
                self._round(tensor, [leaf.value for leaf in tensors((args, kwargs or {}))])
        return result

    def _round(self, tensor: torch.Tensor, given: Sequence[torch.Tensor]) -> None:
        signs = torch.randint(0, 2, tensor.shape, generator=self._generator, dtype=tensor.dtype) * 2 - 1
        eps = torch.finfo(self._narrow if tensor.dtype == torch.float64 else tensor.dtype).eps
        # What a narrower dtype holds (whole numbers, masks, one half) is exact from there on.
        exact = tensor.to(_NEXT[tensor.dtype]).to(tensor.dtype) == tensor
        # A mask of finfo.min must not become infinite.
        exact |= tensor.abs() > torch.finfo(tensor.dtype).max / 4
        # So is what an operator only selects (a maximum, an element): the backward of amax looks for it by its value.
        for other in given if tensor.numel() else ():
            # Its first element tells whether a look at all of them can pay.
            if (
                other.dtype == tensor.dtype
                and other.layout == torch.strided
                and bool((other == tensor[(0,) * tensor.dim()]).any())
            ):
                exact |= torch.isin(tensor.flatten(), other.flatten()).view(tensor.shape)
        tensor.copy_(torch.where(exact, tensor, tensor * (1 + eps * signs)))
