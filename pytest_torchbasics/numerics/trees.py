"""Trees of tensors: nested tuples, lists and dicts, as layers take and return them.

torch.utils._pytree does the same, but it is private; these few functions also keep the path of each leaf,
which the messages of the checks need.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A value inside a tree and where it is: `""` for the tree itself, else `[0]`, `.logits`, `['a'][1]`."""

    path: str
    value: Any


def leaves(tree: Any, path: str = "") -> list[Leaf]:
    """All leaves of a tree, in a fixed order."""
    if isinstance(tree, Mapping):
        return [leaf for key in tree for leaf in leaves(tree[key], f"{path}[{key!r}]")]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return [leaf for name in tree._fields for leaf in leaves(getattr(tree, name), f"{path}.{name}")]
    if isinstance(tree, (tuple, list)):
        return [leaf for index, item in enumerate(tree) for leaf in leaves(item, f"{path}[{index}]")]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return [
            leaf
            for field in dataclasses.fields(tree)
            for leaf in leaves(getattr(tree, field.name), f"{path}.{field.name}")
        ]
    return [Leaf(path, tree)]


def tensors(tree: Any) -> list[Leaf]:
    """The leaves that are tensors."""
    return [leaf for leaf in leaves(tree) if isinstance(leaf.value, torch.Tensor)]


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
