"""Trees of tensors: nested tuples, lists and dicts, as layers take and return them.

torch.utils._pytree does the same, but it is private; these few functions also keep the path of each leaf,
which the messages of the checks need.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import torch

Step = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A value inside a tree, where it is and how to get it.

    Attributes:
        path: as it is written behind the tree's name: `""` for the tree itself, else `[0]`, `.logits`, `['a'][1]`.
        value: what stands there.
        steps: functions that lead from the tree to the value, one after the other.
    """

    path: str
    value: Any
    steps: tuple[Step, ...] = dataclasses.field(default=(), compare=False, repr=False)


def leaves(tree: Any, path: str = "", steps: tuple[Step, ...] = ()) -> list[Leaf]:
    """All leaves of a tree, in a fixed order."""
    children = _children(tree)
    if children is None:
        return [Leaf(path, tree, steps)]
    return [leaf for text, step in children for leaf in leaves(step(tree), path + text, (*steps, step))]


def _children(tree: Any) -> list[tuple[str, Step]] | None:
    """What stands in a tree, how it is written and how to get at each; None for a leaf."""
    if isinstance(tree, Mapping):
        return [(f"[{key!r}]", itemgetter(key)) for key in tree]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return [(f".{name}", attrgetter(name)) for name in tree._fields]
    if isinstance(tree, (tuple, list)):
        return [(f"[{index}]", itemgetter(index)) for index in range(len(tree))]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return [(f".{field.name}", attrgetter(field.name)) for field in dataclasses.fields(tree)]
    return None


def tensors(tree: Any) -> list[Leaf]:
    """The leaves that are tensors."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf.value, torch.Tensor)]


def bytes_of(tree: Any) -> int:
    """The bytes that the elements of a tree's tensors take in memory; an expanded dimension takes none."""
    return sum(_extent(leaf.value) for leaf in tensors(tree))


def _extent(tensor: torch.Tensor) -> int:
    if tensor.layout == torch.sparse_coo:
        return _extent(tensor._indices()) + _extent(tensor._values())
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return _extent(tensor.crow_indices()) + _extent(tensor.col_indices()) + _extent(tensor.values())
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return _extent(tensor.ccol_indices()) + _extent(tensor.row_indices()) + _extent(tensor.values())
    if tensor.is_nested or tensor.layout != torch.strided:
        return tensor.numel() * tensor.element_size()
    sizes = [size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size]
    return math.prod(sizes) * tensor.element_size()


def map_tensors(function: Callable[[torch.Tensor], Any], tree: Any) -> Any:
    """A copy of the tree in which every tensor is replaced by `function(tensor)`, in the order of `leaves`."""
    return map_leaves(lambda leaf: function(leaf) if isinstance(leaf, torch.Tensor) else leaf, tree)


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """A copy of the tree in which every leaf is replaced by `function(leaf)`, in the order of `leaves`."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(map_leaves(function, item) for item in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(map_leaves(function, item) for item in tree)
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
        return dataclasses.replace(tree, **{name: map_leaves(function, value) for name, value in fields.items()})
    return function(tree)


def is_differentiable(value: Any) -> bool:
    """A tensor of a dtype that gradients are defined for."""
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def identical(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Bit for bit the same values, NaN in the same places included."""
    if first.shape != second.shape:
        return False
    return bool(((first == second) | ((first != first) & (second != second))).all())


def first_difference(first: Sequence[Leaf], second: Sequence[Leaf], what: str = "output") -> str | None:
    """The name of the first tensor of two lists that is not bit for bit the same; None if all are.

    Args:
        first, second: outputs, or what else is named.
        what: how one of them is called: `output[0]`, `the number of outputs`.
    """
    if len(first) != len(second):
        return f"the number of {what}s"
    pairs = zip(first, second, strict=True)
    return next((f"{what}{a.path}" for a, b in pairs if not identical(a.value, b.value)), None)


def kept(tree: Any) -> list[Leaf]:
    """The tensors of a result in memory of their own, which the next call cannot overwrite."""
    return [Leaf(leaf.path, leaf.value.detach().clone()) for leaf in tensors(tree)]


def detached(tree: Any) -> Any:
    """A copy of a tree whose tensors are copies without a graph, for a call that may change what it is given."""
    return map_tensors(lambda tensor: tensor.detach().clone(), tree)
