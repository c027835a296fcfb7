"""What is timed: the only list of phases, and how each turns a workload into work.

Each phase is one window with a fresh graph in every call. Never `retain_graph` (which measures another state of
memory, 6 % less to 12 % more), never `sum().backward()` (whose gradient has stride 0: 32 % more for a
convolution), never a difference of two timings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: A value inside a result: the steps that lead to it.
Path = tuple[Callable[[Any], Any], ...]


class DoesNotApply(Exception):
    """The phase has no meaning for the workload; the message says why."""


@dataclass(frozen=True)
class Workload:
    """What a case calls.

    Attributes:
        call: takes the inputs, returns a tensor or a nested tuple, list, dict or dataclass of them.
        inputs: the arguments.
        leaves: what the outputs are differentiated by: parameters, and inputs that require a gradient.
        fresh_inputs: makes new arguments outside the timed window, for a call that changes its arguments in
            place; they must depend differentiably on the leaves (clones do). None if every call can have `inputs`.
        plain: the same as `call`, as it was written, for what is counted and not timed; `call` itself if None.
        compiles: the first call compiles, which is told apart from running.
        parameters: how many numbers the parameters of the module hold; None for a function.
    """

    call: Callable[..., Any]
    inputs: tuple[Any, ...]
    leaves: tuple[torch.Tensor, ...] = ()
    fresh_inputs: Callable[[], tuple[Any, ...]] | None = None
    plain: Callable[..., Any] | None = None
    compiles: bool = False
    parameters: int | None = None

    @property
    def as_written(self) -> Callable[..., Any]:
        """`plain`, or `call` itself."""
        return self.call if self.plain is None else self.plain


@dataclass(frozen=True)
class Work:
    """What is run in the timed window, and what is done before it.

    Attributes:
        call: the window; takes what `prepare` made, or nothing if there is no `prepare`.
        prepare: makes what one call needs, untimed; None if calls need nothing.
        bytes_each: about how much memory a prepared call holds.
    """

    call: Callable[..., Any]
    prepare: Callable[[], Any] | None = None
    bytes_each: int = 0

    def arguments(self) -> tuple[Any, ...]:
        """What one call takes, made now."""
        return () if self.prepare is None else (self.prepare(),)

    def within(self, memory: int, calls: int) -> int:
        """As many of the calls, but one, as can be prepared at once in so many bytes."""
        return calls if self.prepare is None else min(calls, max(1, memory // max(1, self.bytes_each)))


@dataclass(frozen=True)
class Phase:
    """A phase: its name, what it measures, and how to make work of a workload and a seed."""

    name: str
    description: str
    work: Callable[[Workload, int], Work]


def _forward(workload: Workload, seed: int) -> Work:
    if workload.fresh_inputs is None:
        return Work(partial(workload.call, *workload.inputs))
    call = workload.call
    return Work(lambda inputs: call(*inputs), workload.fresh_inputs, _bytes_of(workload.inputs))


def _backward(workload: Workload, seed: int) -> Work:
    from torch.autograd import grad

    graph = _graph(workload, seed)
    leaves, gradients, take, call = workload.leaves, graph.gradients, graph.take, workload.call
    inputs = workload.fresh_inputs or (lambda: workload.inputs)
    return Work(
        lambda outputs: grad(outputs, leaves, gradients, allow_unused=True),
        lambda: take(call(*inputs())),
        graph.bytes_held,
    )


def _forward_backward(workload: Workload, seed: int) -> Work:
    from torch.autograd import grad

    graph = _graph(workload, seed)
    leaves, gradients, take, call = workload.leaves, graph.gradients, graph.take, workload.call
    if workload.fresh_inputs is None:
        inputs = workload.inputs
        return Work(lambda: grad(take(call(*inputs)), leaves, gradients, allow_unused=True))
    return Work(
        lambda fresh: grad(take(call(*fresh)), leaves, gradients, allow_unused=True),
        workload.fresh_inputs,
        _bytes_of(workload.inputs),
    )


_ALL = (
    Phase("forward", "one call with gradients enabled", _forward),
    Phase("backward", "the gradients of all outputs by all leaves, on a graph that is built untimed", _backward),
    Phase("forward_backward", "one call and its gradients in one window", _forward_backward),
)

PHASES: Mapping[str, Phase] = MappingProxyType({phase.name: phase for phase in _ALL})


@dataclass(frozen=True)
class _Graph:
    """What a trial call tells: which outputs have gradients, dense gradients for them, and the memory of a graph."""

    take: Callable[[Any], Any]
    gradients: tuple[torch.Tensor, ...]
    bytes_held: int


def _graph(workload: Workload, seed: int) -> _Graph:
    if not workload.leaves:
        raise DoesNotApply("nothing requires a gradient: there are no parameters and no floating inputs")
    outputs, saved = _call_counting_bytes(workload)
    found = [(path, tensor) for path, tensor in _tensors(outputs, ()) if tensor.requires_grad]
    if not found:
        raise DoesNotApply("no output has a gradient")
    gradients = tuple(_dense_gradient(tensor, seed) for _, tensor in found)
    return _Graph(_taker([path for path, _ in found]), gradients, saved + _bytes_of(gradients))


def _dense_gradient(output: torch.Tensor, seed: int) -> torch.Tensor:
    """Seeded normal values in the output's own layout: zeros and denormals take other times."""
    import torch

    generator = torch.Generator(output.device).manual_seed(seed)
    return torch.empty_like(output.detach()).normal_(generator=generator)


def _call_counting_bytes(workload: Workload) -> tuple[Any, int]:
    """One call as written, and the bytes of what its graph keeps, without those of inputs and parameters."""
    import torch

    make = workload.fresh_inputs or (lambda: workload.inputs)
    inputs = make()
    lasting = [*workload.leaves, *(tensor for _, tensor in _tensors(workload.inputs, ()))]
    held: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outputs = workload.as_written(*inputs)
    except RuntimeError:
        # torch.func's transforms inside the call refuse such hooks: count the outputs alone.
        return workload.as_written(*make()), 0
    for tensor in lasting:
        if tensor.layout == torch.strided:
            held.pop(tensor.untyped_storage().data_ptr(), None)
    return outputs, sum(held.values())


def _bytes_of(tree: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for _, tensor in _tensors(tree, ()))


def _tensors(tree: Any, path: Path) -> Iterator[tuple[Path, torch.Tensor]]:
    """The tensors of a result and how to get at each."""
    import torch

    if isinstance(tree, torch.Tensor):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _tensors(value, (*path, itemgetter(key)))
    elif isinstance(tree, (tuple, list)):
        for index, value in enumerate(tree):
            yield from _tensors(value, (*path, itemgetter(index)))
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield from _tensors(getattr(tree, field.name), (*path, attrgetter(field.name)))


def _taker(paths: list[Path]) -> Callable[[Any], Any]:
    """A function from a result to its tensors at these paths, with as little work in the window as it can."""
    if paths == [()]:
        return _itself
    if all(len(path) == 1 for path in paths):
        steps = [path[0] for path in paths]
        return lambda result: [step(result) for step in steps]

    def take(result: Any) -> list[torch.Tensor]:
        found = []
        for path in paths:
            value = result
            for step in path:
                value = step(value)
            found.append(value)
        return found

    return take


def _itself(result: Any) -> Any:
    return result
