"""What is timed: the only list of phases, and how each turns a workload into work.

Each phase is one window with a fresh graph in every call. Never `retain_graph` (which measures another state of
memory, 6 % less to 12 % more), never `sum().backward()` (whose gradient has stride 0: 32 % more for a
convolution), never a difference of two timings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from ..numerics.trees import Step


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
        no_gradients: why nothing can be differentiated; empty if it can.
    """

    call: Callable[..., Any]
    inputs: tuple[Any, ...]
    leaves: tuple[torch.Tensor, ...] = ()
    fresh_inputs: Callable[[], tuple[Any, ...]] | None = None
    plain: Callable[..., Any] | None = None
    compiles: bool = False
    parameters: int | None = None
    no_gradients: str = ""

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
        most: how many calls may be prepared at once.
    """

    call: Callable[..., Any]
    prepare: Callable[[], Any] | None = None
    bytes_each: int = 0
    most: int = sys.maxsize

    def arguments(self) -> tuple[Any, ...]:
        """What one call takes, made now."""
        return () if self.prepare is None else (self.prepare(),)

    def within(self, memory: int, calls: int) -> int:
        """As many of the calls, but one, as can be prepared at once in so many bytes."""
        return calls if self.prepare is None else min(calls, self.most, max(1, memory // max(1, self.bytes_each)))


@dataclass(frozen=True)
class Phase:
    """A phase: its name, what it measures, and how to make work of a workload and a seed."""

    name: str
    description: str
    work: Callable[[Workload, int], Work]


def _forward(workload: Workload, seed: int) -> Work:
    if workload.fresh_inputs is None:
        return Work(partial(workload.call, *workload.inputs))
    from ..numerics.trees import bytes_of

    call = workload.call
    return Work(lambda inputs: call(*inputs), workload.fresh_inputs, bytes_of(workload.inputs))


def _backward(workload: Workload, seed: int) -> Work:
    from torch.autograd import grad

    graph = _graph(workload, seed)
    leaves, gradients, take, call = workload.leaves, graph.gradients, graph.take, workload.call
    inputs = workload.fresh_inputs or (lambda: workload.inputs)
    return Work(
        lambda outputs: grad(outputs, leaves, gradients, allow_unused=True),
        lambda: take(call(*inputs())),
        graph.bytes_held,
        graph.most,
    )


def _forward_backward(workload: Workload, seed: int) -> Work:
    from torch.autograd import grad

    from ..numerics.trees import bytes_of

    graph = _graph(workload, seed)
    leaves, gradients, take, call = workload.leaves, graph.gradients, graph.take, workload.call
    if workload.fresh_inputs is None:
        inputs = workload.inputs
        return Work(lambda: grad(take(call(*inputs)), leaves, gradients, allow_unused=True))
    return Work(
        lambda fresh: grad(take(call(*fresh)), leaves, gradients, allow_unused=True),
        workload.fresh_inputs,
        bytes_of(workload.inputs),
    )


_ALL = (
    Phase("forward", "one call with gradients enabled", _forward),
    Phase("backward", "the gradients of all outputs by all leaves, on a graph that is built untimed", _backward),
    Phase("forward_backward", "one call and its gradients in one window", _forward_backward),
)

PHASES: Mapping[str, Phase] = MappingProxyType({phase.name: phase for phase in _ALL})


@dataclass(frozen=True)
class _Graph:
    """What a trial call tells: which outputs have gradients, dense gradients for them, and about the graphs.

    Attributes:
        take: from a result to the outputs that have gradients.
        gradients: for each of them.
        bytes_held: about the memory of a graph.
        most: how many graphs there can be at once.
    """

    take: Callable[[Any], Any]
    gradients: tuple[torch.Tensor, ...]
    bytes_held: int
    most: int


def _graph(workload: Workload, seed: int) -> _Graph:
    from ..numerics.trees import bytes_of, tensors

    if workload.no_gradients:
        raise DoesNotApply(workload.no_gradients)
    if not workload.leaves:
        raise DoesNotApply("nothing requires a gradient: there are no parameters and no floating inputs")
    outputs, saved = _call_and_saved(workload)
    returned = tensors(outputs)
    if not returned:
        raise DoesNotApply(f"no tensor was found in what it returned, a {type(outputs).__name__}")
    found = [leaf for leaf in returned if leaf.value.requires_grad]
    if not found:
        raise DoesNotApply("no output has a gradient")
    gradients = tuple(_dense_gradient(leaf.value, f"output{leaf.path}", seed) for leaf in found)
    held = saved.bytes_held + bytes_of(gradients)
    return _Graph(_taker([leaf.steps for leaf in found]), gradients, held, saved.most())


def _dense_gradient(output: torch.Tensor, name: str, seed: int) -> torch.Tensor:
    """Seeded normal values in the output's own layout: zeros and denormals take other times."""
    import torch

    if output.is_nested or output.layout != torch.strided:
        layout = "nested" if output.is_nested else str(output.layout).removeprefix("torch.")
        raise DoesNotApply(f"{name} is {layout}: there are dense gradients for dense outputs only")
    generator = torch.Generator(output.device).manual_seed(seed)
    return torch.empty_like(output.detach()).normal_(generator=generator)


class _Saved:
    """What the graph of one call keeps, without inputs and parameters."""

    def __init__(self, workload: Workload) -> None:
        from ..numerics.trees import tensors

        self.workload = workload
        self.lasting = {
            _address(tensor): tensor._version
            for tensor in (*workload.leaves, *(leaf.value for leaf in tensors(workload.inputs)))
            if _has_storage(tensor)
        }
        self.sizes: dict[int, int] = {}
        self.changed: list[tuple[torch.Tensor, int]] = []

    def pack(self, tensor: torch.Tensor) -> torch.Tensor:
        """Note a tensor that the graph keeps."""
        if _has_storage(tensor):
            before = self.lasting.get(_address(tensor))
            if before is None:
                self.sizes[_address(tensor)] = tensor.untyped_storage().nbytes()
            if tensor._version != (before or 0):
                self.changed.append((tensor, tensor._version))
        return tensor.detach()

    @property
    def bytes_held(self) -> int:
        """Of all of them."""
        return sum(self.sizes.values())

    def most(self) -> int:
        """One graph at a time if another call changes in place what this one's graph keeps, a buffer say."""
        if self.changed:
            make = self.workload.fresh_inputs or (lambda: self.workload.inputs)
            self.workload.as_written(*make())
        return 1 if any(tensor._version != version for tensor, version in self.changed) else sys.maxsize


def _call_and_saved(workload: Workload) -> tuple[Any, _Saved]:
    """The result of one call as written, and what its graph keeps."""
    import torch

    make = workload.fresh_inputs or (lambda: workload.inputs)
    inputs = make()
    saved = _Saved(workload)
    try:
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda tensor: tensor):
            return workload.as_written(*inputs), saved
    except RuntimeError:
        # torch.func's transforms inside the call refuse such hooks: count the outputs alone.
        return workload.as_written(*make()), _Saved(workload)


def _has_storage(tensor: torch.Tensor) -> bool:
    import torch

    return tensor.layout == torch.strided and not tensor.is_nested


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _taker(paths: list[tuple[Step, ...]]) -> Callable[[Any], Any]:
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
