"""Healthy layers whose result is altered just where one check looks: a project for a run of pytest.

A check that compares values must reject zeroes, the negative, half as much again and another order; the twin that is
not altered must pass, so that the alteration is what was found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from pytest_torchbasics import Case, Tensor, equivariant, layer, op
from pytest_torchbasics.checks import check_names
from tests.broken import FOUND

Alter = Callable[[torch.Tensor], torch.Tensor]


def zeroed(y: torch.Tensor) -> torch.Tensor:
    return y * 0


def scaled(y: torch.Tensor) -> torch.Tensor:
    return y * 1.5


def permuted(y: torch.Tensor) -> torch.Tensor:
    return y.flip(-1)


#: Functions with names, since `state` pickles what a module holds.
ALTERATIONS: dict[str, Alter] = {"zeroed": zeroed, "negated": torch.neg, "scaled": scaled, "permuted": permuted}
TWIN: dict[str, Alter] = {"twin": torch.clone}
X = Tensor("N", 6)
SAME = {"output": ("N", 6)}

#: From an alteration to a case in which this check must see it.
PLANTED: dict[str, Callable[[str, Alter], Case]] = {}

#: What the others judge instead of values.
NO_VALUES = {
    "device_parity": "needs a second device: test_device_parity.py",
    "edge_values": "whether results and gradients are finite, and NaN shows",
    "leak": "what is alive after a call",
    "modes": "flags, and what can be trained",
    "parameters": "whether gradients are there, finite and not zero",
    "scaling": "counts of operations and memory",
    "shape": "shapes, dtypes, devices and layouts",
    "synchronization": "what the host waits for",
}


def where(check: str, altered: Callable[[torch.Tensor], bool], tensor: Tensor = X, **facts: Any) -> None:
    """An op for the check whose result is altered for these inputs."""

    def case(name: str, alter: Alter) -> Case:
        return op(name, lambda x: alter(x.sin()) if altered(x) else x.sin(), tensor, **facts)

    PLANTED[check] = case


def of(check: str, module: Callable[[Alter], nn.Module]) -> None:
    """A layer for the check, made of an alteration."""
    PLANTED[check] = lambda name, alter: layer(name, lambda: module(alter), X, **SAME)


def differentiated(check: str, function: Callable[[Alter], Any], **facts: Any) -> None:
    """A function for the check whose derivative is altered."""
    PLANTED[check] = lambda name, alter: op(name, function(alter).apply, X, **SAME, **facts)


def is_channels_last(x: torch.Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


where("reference", lambda x: True, reference=torch.sin, **SAME)
where("batch", lambda x: len(x) == 1, **SAME)
where("strides", lambda x: not x.is_contiguous(), Tensor(3, 6), output=(3, 6))
where("memory_format", is_channels_last, Tensor("N", 3, 5, 4), output=("N", 3, 5, 4))
where("autocast", lambda x: torch.is_autocast_enabled("cpu"), **SAME)
where("compile", lambda x: torch.compiler.is_compiling(), **SAME)
where("vmap", torch._C._functorch.is_batchedtensor, **SAME)
where("properties", lambda x: bool(x.flatten()[0] > 0), properties=(equivariant(torch.neg, torch.neg),), **SAME)


class Counting(nn.Module):
    """Every call but the first one is altered."""

    def __init__(self, alter: Alter) -> None:
        super().__init__()
        self.alter, self.calls = alter, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.alter(x.sin()) if self.calls > 1 else x.sin()


class Loaded(nn.Linear):
    """Altered once a state was loaded."""

    def __init__(self, alter: Alter) -> None:
        super().__init__(6, 6)
        self.alter, self.loaded = alter, False

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self.loaded = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return self.alter(y) if self.loaded else y


class Moved(nn.Linear):
    """Altered in another dtype than that of the first call."""

    def __init__(self, alter: Alter) -> None:
        super().__init__(6, 6)
        self.alter, self.first = alter, None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        self.first = self.first or x.dtype
        return y if x.dtype == self.first else self.alter(y)


of("determinism", Counting)
of("mutation", Counting)
of("state", Loaded)
of("movement", Moved)


def backward_of(alter: Alter) -> type[torch.autograd.Function]:
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return alter(g * ctx.saved_tensors[0].cos())

    return Sine


def second_of(alter: Alter) -> type[torch.autograd.Function]:
    class Slope(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x.cos()

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return alter(-g * ctx.saved_tensors[0].sin())

    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            ctx.save_for_backward(x)
            return x.sin()

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return g * Slope.apply(ctx.saved_tensors[0])

    return Sine


def forward_of(alter: Alter) -> type[torch.autograd.Function]:
    class Sine(torch.autograd.Function):
        @staticmethod
        def forward(x: torch.Tensor) -> torch.Tensor:
            return x.sin()

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
            return g * ctx.saved_tensors[0].cos()

        @staticmethod
        def jvp(ctx: Any, t: torch.Tensor) -> torch.Tensor:
            return alter(t * ctx.saved_tensors[0].cos())

    return Sine


differentiated("gradient", backward_of)
differentiated("gradient_reference", backward_of, reference=torch.sin)
differentiated("second_gradient", second_of)
differentiated("forward_gradient", forward_of)


def cases_of(check: str) -> list[Case]:
    """The planted cases of a check and their twin, and the first of its broken layers in tests/broken.py."""
    planted = [PLANTED[check](*named) for named in {**ALTERATIONS, **TWIN}.items()] if check in PLANTED else []
    broken = [found.case for found in FOUND if check in found.fails and found.dtype == "float32"]
    return planted + broken[:1]


def tests() -> dict[str, Any]:
    """A test for each check that has cases."""
    return {f"test_{check}": _test(check, cases) for check in check_names() if (cases := cases_of(check))}


def _test(name: str, cases: list[Case]) -> Any:
    @pytest.mark.cases(cases)
    @pytest.mark.checks(name)
    def test(check: Callable[[], Any]) -> None:
        check()

    return test
