"""Execution modes: the only list of the ways to run a case, and what each does to the function and its inputs.

A mode is named by its parts, joined by `+` and applied from left to right: `eager`, `compile`, `compile:aot_eager`,
`channels_last+compile`. A part with a choice takes it after a colon. Nothing here imports torch before it is needed.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Function = Callable[..., Any]

#: What torch.compile calls its modes; any other choice after `compile:` is a backend.
COMPILE_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
AUTOCAST_DTYPES = ("bfloat16", "float16")


class ModeError(ValueError):
    """A mode that means nothing, or parts that exclude each other; the message is one line."""


@dataclass(frozen=True)
class Situation:
    """Where a part is applied.

    Attributes:
        device: torch's name of it, `cuda:1`.
        dtype: the dtype under test.
        choice: what stands after the colon of the part; empty if nothing does.
    """

    device: str
    dtype: str
    choice: str = ""


@dataclass(frozen=True)
class Part:
    """One way to run a function.

    Attributes:
        name: as in --mode.
        description: one line for the help.
        execute: makes the function that is called of the one that was given.
        convert: makes the tensor that is given (an input, a parameter) of the one that was made; None for a tensor
            that it says nothing about.
        why_not: why it has no meaning there; None if it has.
        choices: what may stand after the colon; called only where something does, as it may import torch.
        unlisted: what may stand there besides, and is not told to everybody.
        checked: the checks run in it too. The others are ways to be fast, each with a check of its own.
        compiles: the first call compiles.
        isolated: a failure leaves the process unusable, so it runs in one of its own.
        training: the module is in training mode.
        narrows: it computes in another dtype than the one under test.
    """

    name: str
    description: str
    execute: Callable[[Function, Situation], Function] = lambda function, situation: function
    convert: Callable[[torch.Tensor], torch.Tensor | None] | None = None
    why_not: Callable[[Situation], str | None] = lambda situation: None
    choices: Callable[[], Sequence[str]] = tuple
    unlisted: Callable[[], Sequence[str]] = tuple
    checked: bool = False
    compiles: bool = False
    isolated: bool = False
    training: bool = True
    narrows: bool = False


@dataclass(frozen=True)
class Mode:
    """What `parse_mode` makes of a name: its parts, each with its choice."""

    name: str
    parts: tuple[tuple[Part, str], ...]

    def execute(self, function: Function, device: str, dtype: str) -> Function:
        """The function as it is called in this mode."""
        for part, choice in self.parts:
            function = part.execute(function, Situation(device, dtype, choice))
        return function

    def convert(self, tensor: torch.Tensor) -> torch.Tensor:
        """An input or a parameter as it is given in this mode."""
        for part, _ in self.parts:
            found = None if part.convert is None else part.convert(tensor)
            tensor = tensor if found is None else found
        return tensor

    def without(self, attribute: str) -> Mode:
        """The mode less the parts that have the attribute."""
        return Mode(self.name, tuple((part, choice) for part, choice in self.parts if not getattr(part, attribute)))

    @property
    def converts(self) -> bool:
        """True if `convert` does anything."""
        return any(part.convert is not None for part, _ in self.parts)

    def why_not(self, device: str, dtype: str) -> str | None:
        """Why the mode has no meaning on a device or in a dtype; None if it has."""
        reasons = (part.why_not(Situation(device, dtype, choice)) for part, choice in self.parts)
        return next((f"mode {self.name}: {reason}" for reason in reasons if reason), None)

    def why_not_for(self, tensors: Sequence[torch.Tensor]) -> str | None:
        """Why the mode has no meaning for a case with these inputs and parameters; None if it has."""
        for part, _ in self.parts:
            if part.convert is not None and all(part.convert(tensor) is None for tensor in tensors):
                return f"mode {self.name}: no input and no parameter is an image or a volume ({part.name})"
        return None

    def all(self, attribute: str) -> bool:
        """True if every part has the attribute."""
        return all(getattr(part, attribute) for part, _ in self.parts)

    def any(self, attribute: str) -> bool:
        """True if some part has the attribute."""
        return any(getattr(part, attribute) for part, _ in self.parts)


def parse_mode(name: str) -> Mode:
    """The mode of a name such as `compile:max-autotune` or `channels_last+compile`.

    Raises:
        ModeError: a part is unknown, its choice is, or one stands twice.
    """
    parts = []
    for text in name.split("+"):
        head, colon, choice = text.partition(":")
        if not text:
            raise ModeError(f"mode {name!r}: a part of it is empty")
        if head not in PARTS:
            near = "".join(f", did you mean {name!r}?" for name in difflib.get_close_matches(head, PARTS, n=1))
            known = ", ".join(PARTS)
            raise ModeError(f"unknown mode {text!r}{near}; there are: {known}, and several of them joined by +")
        part = PARTS[head]
        if colon and choice not in (*part.choices(), *part.unlisted()):
            choices = part.choices()
            near = "".join(f", did you mean {near!r}?" for near in difflib.get_close_matches(choice, choices, n=1))
            raise ModeError(f"mode {text!r}: {choice!r} is none of {', '.join(choices) or '(it has no choices)'}{near}")
        parts.append((part, choice))
    heads = [part.name for part, _ in parts]
    if len(set(heads)) < len(heads) or (len(heads) > 1 and "eager" in heads):
        raise ModeError(f"mode {name!r}: a part stands there twice, or eager beside another")
    if "cudagraph" in heads[:-1]:
        raise ModeError(f"mode {name!r}: cudagraph captures what stands before it, so it stands last")
    return Mode(name, tuple(parts))


def parse_modes(names: Sequence[str]) -> tuple[str, ...]:
    """The names of modes, each once.

    Raises:
        ModeError: there is none, or one is wrong.
    """
    if not names:
        raise ModeError(f"no mode is named; there are: {', '.join(PARTS)}")
    return tuple(dict.fromkeys(parse_mode(name).name for name in names))


def _compile(function: Function, situation: Situation) -> Function:
    """The function compiled, with nothing left of what was compiled before it."""
    import torch

    torch.compiler.reset()
    choice = situation.choice
    if choice in COMPILE_MODES:
        return torch.compile(function, mode=choice)
    return torch.compile(function, backend=choice) if choice else torch.compile(function)


def _compile_choices() -> tuple[str, ...]:
    import torch

    return (*COMPILE_MODES, *torch.compiler.list_backends())


def _backends_for_tests() -> Sequence[str]:
    """All backends, those included that torch keeps for its own tests and for finding faults."""
    import torch

    return torch.compiler.list_backends(exclude_tags=())


def _autocast(function: Function, situation: Situation) -> Function:
    import torch

    kind = situation.device.partition(":")[0]
    dtype = getattr(torch, situation.choice) if situation.choice else torch.get_autocast_dtype(kind)

    @functools.wraps(function)
    def call(*inputs: Any) -> Any:
        with torch.autocast(kind, dtype):
            return function(*inputs)

    return call


def _autocast_why_not(situation: Situation) -> str | None:
    return None if situation.dtype == "float32" else f"autocast starts from float32, not from {situation.dtype}"


def _inference(function: Function, situation: Situation) -> Function:
    import torch

    @functools.wraps(function)
    def call(*inputs: Any) -> Any:
        with torch.inference_mode():
            return function(*inputs)

    return call


def _channels_last(tensor: torch.Tensor) -> torch.Tensor | None:
    """Images and volumes with the channels innermost in memory; None for everything else."""
    import torch

    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    if tensor.dim() not in formats:
        return None
    return tensor.contiguous(memory_format=formats[tensor.dim()])


def _cudagraph(function: Function, situation: Situation) -> Function:
    """Captured at the first call, whose inputs tell the shapes; afterwards each call replays."""
    from .backends import backend_for

    graphed: list[Function] = []

    def call(*inputs: Any) -> Any:
        if not graphed:
            graphed.append(backend_for(situation.device).graphed(function, inputs, situation.device))
        return graphed[0](*inputs)

    return call


def _cudagraph_why_not(situation: Situation) -> str | None:
    from .backends import backend_for

    if backend_for(situation.device).has_graphs:
        return None
    return f"{situation.device} has no graphs to capture"


_ALL = (
    Part("eager", "as written", checked=True),
    Part(
        "compile",
        "torch.compile; compile:NAME with a backend (compile:aot_eager) or one of its modes (compile:max-autotune)",
        _compile,
        choices=_compile_choices,
        unlisted=_backends_for_tests,
        checked=True,
        compiles=True,
    ),
    Part(
        "cudagraph",
        "captured as a CUDA graph and replayed, in a process of its own",
        _cudagraph,
        why_not=_cudagraph_why_not,
        compiles=True,
        isolated=True,
    ),
    Part(
        "autocast",
        "under torch.autocast; autocast:bfloat16, autocast:float16",
        _autocast,
        why_not=_autocast_why_not,
        choices=lambda: AUTOCAST_DTYPES,
        narrows=True,
    ),
    Part("channels_last", "images and volumes with the channels innermost in memory", convert=_channels_last),
    Part(
        "inference",
        "evaluation mode under torch.inference_mode: forward alone",
        _inference,
        training=False,
    ),
)

PARTS: Mapping[str, Part] = MappingProxyType({part.name: part for part in _ALL})
