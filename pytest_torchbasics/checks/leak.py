"""The check `leak`."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ..numerics.trees import tensors
from ..trials import Arguments, Subject, Trial
from .outcome import Outcome, failed, not_applicable, passed
from .support.inputs import mode_name, training_modes
from .support.results import called

#: Calls before counting starts (caches may be filled), and calls that are counted.
WARM_UP = 2
CALLS = 10
#: A cache may hold what one call made, not what each of many calls made.
KEPT = 3


def leak(trial: Trial) -> Outcome:
    """Finds what keeps results, graphs or hooks alive from call to call, and modules that are never freed."""
    if trial.mode != "eager":
        return not_applicable("it watches the eager function")
    inputs = next((sample for sample in trial.samples() if tensors(sample)), None)
    if inputs is None:
        return not_applicable("it takes no tensor")
    for training in training_modes(trial):
        outcome = _calls(trial, inputs, training)
        if outcome is not None:
            return outcome
    return _freed(trial, inputs) or passed()


def _calls(trial: Trial, inputs: Arguments, training: bool) -> Outcome | None:
    subject = trial.subject(training)
    for _ in range(WARM_UP):
        _step(trial, subject, inputs)
    hooks = _hooks(subject.module)
    with _Watch() as watch:
        for _ in range(CALLS):
            watch.next_call()
            watch.add(_step(trial, subject, inputs))
    where = f"in {mode_name(training)}"
    kept = [name for name, buffer in _buffers(subject.module) if buffer.grad_fn is not None]
    if kept:
        return failed(
            f"buffer {kept[0]} keeps the graph of the calls before {where}",
            "it is updated without torch.no_grad(): use .detach() or no_grad, else each step keeps all earlier ones",
        )
    alive = watch.alive_in()
    if alive >= KEPT:
        return failed(
            f"results of {alive} of {CALLS} calls are still alive after them {where}",
            "something collects tensors: a list on the module, a dictionary of the file, a hook, or an attribute with "
            "the last result, whose graph leads to the ones before; keep .detach() of the last one, or numbers",
        )
    if (now := _hooks(subject.module)) > hooks:
        return failed(
            f"the number of hooks grew from {hooks} to {now} in {CALLS} calls {where}",
            "a hook is registered in forward: register it once in __init__, or remove its handle",
        )
    return None


def _step(trial: Trial, subject: Subject, inputs: Arguments) -> list[torch.Tensor]:
    """A call and a backward pass, as in training; returns what the call returned."""
    try:
        outputs, _ = called(trial, subject, subject, inputs)
    except RuntimeError as error:
        if "second time" not in str(error) and "modified by an inplace" not in str(error):
            raise
        return []  # a graph of an earlier call is still in use; the buffers and what is still alive tell where
    return [leaf.value for leaf in tensors(outputs)]


class _Watch(TorchFunctionMode):
    """Remembers every tensor that a torch function returns, without keeping it alive."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[list[weakref.ref[torch.Tensor]]] = []

    def next_call(self) -> None:
        self._calls.append([])

    def add(self, found: list[torch.Tensor]) -> None:
        self._calls[-1].extend(weakref.ref(tensor) for tensor in found)

    def alive_in(self) -> int:
        """In how many calls something was made that still lives."""
        count = self._count()
        if count >= KEPT:
            gc.collect()  # it may only wait for the collector
            count = self._count()
        return count

    def _count(self) -> int:
        return sum(any(reference() is not None for reference in call) for call in self._calls)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        # Reading an attribute, and working in place, return tensors that were there before.
        made = (
            not any(result is given for given in (*args, *(kwargs or {}).values()))
            and getattr(func, "__name__", "") != "__get__"
        )
        if made and isinstance(result, torch.Tensor) and self._calls:
            self._calls[-1].append(weakref.ref(result))
        return result


def _freed(trial: Trial, inputs: Arguments) -> Outcome | None:
    subject = trial.subject()
    if subject.module is None:
        return None
    _step(trial, subject, inputs)
    reference = weakref.ref(subject.module)
    subject.module = None
    if reference() is not None:
        gc.collect()
    if reference() is None:
        return None
    return failed(
        "the module is still alive after its last use",
        "a list of the class or of the file keeps every instance: use weakref.WeakSet",
    )


def _hooks(module: nn.Module | None) -> int:
    """The number of hooks on a module and its submodules."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    children = [] if module is None else module.modules()
    return sum(len(getattr(child, name, ())) for child in children for name in names)


def _buffers(module: nn.Module | None) -> Iterator[tuple[str, torch.Tensor]]:
    return iter(()) if module is None else module.named_buffers()
