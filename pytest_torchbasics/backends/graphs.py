"""A call captured as graphs: anything with tensors somewhere in its inputs and results, for a capture of flat ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..numerics.trees import map_leaves, map_tensors, tensors

#: torch.cuda.make_graphed_callables: a module and sample tensors to a function of such tensors.
Capture = Callable[..., Callable[..., Any]]
#: Stands for a tensor in a result, whose memory is the graph's.
_TENSOR = object()


def graphed(call: Callable[..., Any], inputs: tuple[Any, ...], capture: Capture) -> Callable[..., Any]:
    """What `Backend.graphed` promises, by a capture that takes and returns tensors alone.

    The samples are copies: with the caller's own tensors as the graph's memory, a replay would leave out the copying
    that any other input needs.
    """
    flat = _Flat(call, inputs)
    samples = tuple(leaf.value.detach().clone().requires_grad_(leaf.value.requires_grad) for leaf in tensors(inputs))
    replay = capture(flat, samples, allow_unused_input=True)

    def run(*new: Any) -> Any:
        return _filled(flat.result, iter(replay(*(leaf.value for leaf in tensors(new)))))

    return run


class _Flat(nn.Module):
    """A call on tensors alone; everything else among its inputs stays as it was.

    It is a module because a capture differentiates by the parameters of one, and by those of no closure.
    """

    def __init__(self, call: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        super().__init__()
        self._call = [call]  # not an attribute, which would be registered under two names
        self._inputs = map_tensors(lambda tensor: _TENSOR, inputs)
        self.owner = _module_of(call)
        self.result: Any = _TENSOR

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        result = self._call[0](*_filled(self._inputs, iter(values)))
        self.result = map_tensors(lambda tensor: _TENSOR, result)
        return tuple(leaf.value for leaf in tensors(result))


def _filled(tree: Any, values: Any) -> Any:
    return map_leaves(lambda leaf: next(values) if leaf is _TENSOR else leaf, tree)


def _module_of(call: Callable[..., Any]) -> nn.Module | None:
    """The module that is called, through wrappers and bound methods."""
    inner = inspect.unwrap(call)
    inner = getattr(inner, "__self__", inner)
    return inner if isinstance(inner, nn.Module) else None
