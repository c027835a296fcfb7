"""The check `movement`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ..numerics.dtypes import dtype_name
from ..numerics.trees import Leaf, detached, identical, tensors
from ..trials import Arguments, Trial, cast_module, floating_inputs, is_floating
from .outcome import Outcome, failed, not_applicable, passed
from .support.inputs import is_random
from .support.meta import Trouble, meta_run


def movement(trial: Trial) -> Outcome:
    """Finds what does not move with .to(device) and .to(dtype): hidden tensors and modules, stale caches, fixed dtypes.

    Also computations in float64 inside a narrower layer, results that depend on torch's default dtype, and
    reset_parameters() that replaces parameters. The meta device stands in for another device.
    """
    if trial.mode != "eager":
        return not_applicable("it looks at the module itself, which only eager mode runs")
    samples = [inputs for inputs in trial.samples() if tensors(inputs)]
    if not samples:
        return not_applicable("it takes no tensor")
    return (
        _hidden(trial)
        or _to_device(trial, samples)
        or _resetting(trial)
        or _wider_inside(trial, samples)
        or _to_dtype(trial, samples)
        or _default_dtype(trial, samples)
        or passed()
    )


def _hidden(trial: Trial) -> Outcome | None:
    """Modules and parameters that are kept where torch does not look."""
    module = trial.subject().module
    if module is None:
        return None
    known = {id(child) for child in module.modules()} | {id(p) for p in module.parameters()}
    for name, child in module.named_modules():
        registered = {"_parameters", "_buffers", "_modules"}
        attributes = {key: value for key, value in vars(child).items() if key not in registered}
        for path, value in _attributes(attributes, name):
            # What a hook computes anew before each call (pruning, the old weight norm) may stay.
            trainable = isinstance(value, torch.Tensor) and value.requires_grad and not child._forward_pre_hooks
            if (isinstance(value, nn.Module) or trainable) and id(value) not in known:
                kind = "module" if isinstance(value, nn.Module) else "tensor that requires a gradient"
                return failed(
                    f"{path} is a {kind} that is not registered",
                    "it is neither trained, moved nor saved: use nn.ModuleList, nn.ModuleDict, nn.ParameterList, or "
                    "assign an nn.Parameter itself, not the result of an operation on one",
                )
    return None


#: Objects of these are not looked into.
_LIBRARIES = ("torch", "builtins", "collections")


def _attributes(attributes: dict[str, Any], owner: str) -> Iterator[tuple[str, Any]]:
    for key, value in attributes.items():
        yield from _inside(value, f"{owner}.{key}" if owner else key)


def _inside(value: Any, path: str, depth: int = 4) -> Iterator[tuple[str, Any]]:
    """The modules and tensors in containers and plain objects, by path; modules are not looked into."""
    if isinstance(value, (nn.Module, torch.Tensor)):
        yield path, value
    elif depth == 0 or isinstance(value, (str, bytes, int, float, type(None), type)):
        return
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _inside(
                item, f"{path}{key}" if path.endswith(".") or not path else f"{path}[{key!r}]", depth - 1
            )
    elif isinstance(value, (list, tuple, set)):
        for position, item in enumerate(value):
            yield from _inside(item, f"{path}[{position}]", depth - 1)
    elif hasattr(value, "__dict__") and type(value).__module__.split(".")[0] not in _LIBRARIES:
        for key, item in vars(value).items():
            yield from _inside(item, f"{path}.{key}", depth - 1)


def _to_device(trial: Trial, samples: list[Arguments]) -> Outcome | None:
    for inputs in samples:
        found = meta_run(trial, inputs)
        if found.trouble is Trouble.DEVICE:
            return failed(
                f"moved to another device it meets a tensor that was not moved, at `{found.where}`: {found.message}",
                "a tensor is made without device=, or kept as a plain attribute: register it as a buffer",
            )
        stayed = [leaf for leaf in found.outputs if leaf.value.device.type != "meta"]
        if stayed:
            return failed(
                f"moved to another device, output{stayed[0].path} is still on {stayed[0].value.device}",
                "a tensor is made without device=, or a device is written down",
            )
    return None


def _resetting(trial: Trial) -> Outcome | None:
    """reset_parameters() after a move must fill the same parameters."""
    module = trial.subject().module
    if module is None or not callable(reset := getattr(module, "reset_parameters", None)):
        return None
    before = dict(module.named_parameters())
    with trial.seeded():
        try:
            reset()
        except TypeError:
            return None  # it takes arguments: not torch's protocol
    for name, parameter in module.named_parameters():
        if before.get(name) is not parameter:
            return failed(
                f"reset_parameters() replaces parameter {name}",
                "the optimizer keeps the old one, and dtype and device are lost: fill it in place, by nn.init",
            )
    return None


class _Upcasts(TorchDispatchMode):
    """Notes casts to float64 of what came from the inputs or the parameters."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.derived = {id(tensor): tensor for tensor in given}
        self.found = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sources = [leaf.value for leaf in tensors((args, kwargs or {})) if id(leaf.value) in self.derived]
        if sources:
            made = [leaf.value for leaf in tensors(result)]
            self.derived |= {id(tensor): tensor for tensor in made}
            narrow = any(is_floating(s.dtype) and torch.finfo(s.dtype).bits < 64 and s.dim() for s in sources)
            if narrow and any(tensor.dtype == torch.float64 and tensor.dim() for tensor in made):
                self.found = self.found or str(func)
        return result


def _wider_inside(trial: Trial, samples: list[Arguments]) -> Outcome | None:
    if trial.dtype in ("float64", "complex128") or not is_floating(trial.torch_dtype):
        return None
    subject = trial.subject()
    for inputs in samples:
        given = detached(inputs)
        weights = [] if subject.module is None else [*subject.module.parameters(), *subject.module.buffers()]
        with trial.seeded(), torch.no_grad():
            watch = _Upcasts([*(leaf.value for leaf in tensors(given)), *weights])
            with watch:
                subject(*given)
        if watch.found:
            return failed(
                f"it computes in float64 inside of {trial.dtype}: {watch.found}",
                "twice the memory and, on most GPUs, 1/32 or less of the speed; a float64 constant or a cast is left "
                'in; if it is meant, declare known_failure={"movement": "..."}',
            )
    return None


def _to_dtype(trial: Trial, samples: list[Arguments]) -> Outcome | None:
    """A module that has run in one dtype and is then converted is like one that was converted at once."""
    other = "float64" if trial.dtype == "float32" else "float32"
    if trial.dtype not in ("float32", "float64") or other not in trial.case.dtypes or trial.device.startswith("mps"):
        return None
    target = Trial(trial.case, trial.device, other)
    used, fresh = trial.subject(), trial.subject()
    if used.module is None or fresh.module is None:
        return None
    if is_random(used, samples[0]):
        return None
    for inputs in samples:
        _call(trial, used, inputs)
    for subject in (used, fresh):
        assert subject.module is not None
        cast_module(subject.module, target.torch_dtype, target.device)
    for inputs in target.samples():
        wanted = _call(target, fresh, inputs)
        try:
            found = _call(target, used, inputs)
        except RuntimeError as error:
            return failed(
                f"after a call in {trial.dtype} and .to({other}) it raises: {str(error).strip().splitlines()[0]}",
                _CACHE,
            )
        for got, expected in zip(found, wanted, strict=True):
            if got.value.dtype != expected.value.dtype or not identical(got.value, expected.value):
                return failed(
                    f"output{got.path} after a call in {trial.dtype} and .to({other}) is not that of a module that "
                    f"was converted at once",
                    _CACHE,
                )
    return None


_CACHE = "something cached at the first call is used in another dtype: make dtype and device part of the cache's key"


def _default_dtype(trial: Trial, samples: list[Arguments]) -> Outcome | None:
    subject = trial.subject()
    if is_random(subject, samples[0]):
        return None
    for inputs in samples:
        if not floating_inputs(inputs) and not subject.parameters:
            continue  # integers become the default dtype, as torch has it
        wanted = _call(trial, subject, inputs)
        other = trial.subject()  # made under the usual default, as modules are
        with _default(torch.float64 if torch.get_default_dtype() == torch.float32 else torch.float32):
            found = _call(trial, other, inputs)
        for got, expected in zip(found, wanted, strict=True):
            if got.value.dtype != expected.value.dtype or not identical(got.value, expected.value):
                return failed(
                    f"output{got.path} changes with torch.set_default_dtype: {dtype_name(expected.value.dtype)} "
                    f"before, {dtype_name(got.value.dtype)} after",
                    "a constant, torch.tensor(1.0) or torch.finfo(torch.get_default_dtype()) takes the default dtype: "
                    "use the input's",
                )
    return None


@contextlib.contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _call(trial: Trial, subject: Any, inputs: Arguments) -> list[Leaf]:
    with trial.seeded(), torch.no_grad():
        return tensors(subject(*detached(inputs)))
