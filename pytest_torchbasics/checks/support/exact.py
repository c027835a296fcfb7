"""The computation in float64 that results are judged by."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from ...cases import CaseError, Tensor
from ...numerics.bounds import allowed_errors
from ...numerics.dtypes import torch_dtype, wide
from ...numerics.trees import Leaf, map_leaves, map_tensors, tensors
from ...trials import (
    Arguments,
    Trial,
    cast_module,
    differentiable_outputs,
    floating_inputs,
    gradients,
    is_floating,
    substitute,
)
from .inputs import cotangents, generator
from .tracing import Rounded

#: A gradient of less than this share of the largest one is zero by cancellation (of a bias whose mean is subtracted).
CANCELLED = 1e-9

Gradients = dict[str, "torch.Tensor | None"]
Weights = dict[str, torch.Tensor]


class Exact:
    """A trial's computation in float64 on the CPU, from the same rounded weights and inputs.

    Args:
        trial: the trial whose results are judged.
        training: the module's mode.
        own: use the case's own reference, if it has one.
    """

    def __init__(self, trial: Trial, training: bool, own: bool = True) -> None:
        self.trial = trial
        self.reference = trial.case.reference if own else None
        self._exact = trial.exact()
        #: The narrowest dtype that is computed in: the trial's, or that of an input of a fixed dtype.
        fixed = [torch_dtype(i.dtype) for i in trial.case.inputs if isinstance(i, Tensor) and i.dtype is not None]
        dtypes = [dtype for dtype in (trial.torch_dtype, *fixed) if is_floating(dtype)]
        self.dtype = max(dtypes, key=lambda dtype: torch.finfo(dtype).eps, default=torch.float64)
        self._module = trial.subject(training).module
        if self._module is not None:
            cast_module(self._module, self._exact.torch_dtype, "cpu")

    def inputs(self, inputs: Arguments) -> Arguments:
        """The trial's inputs, on the CPU and in the exact dtype; devices and dtypes among them as well."""

        def move(leaf: Any) -> Any:
            if isinstance(leaf, torch.Tensor):
                return leaf.detach().cpu().to(wide(leaf.dtype)).requires_grad_(leaf.requires_grad)
            if isinstance(leaf, torch.device):
                return torch.device("cpu")
            return wide(leaf) if isinstance(leaf, torch.dtype) else leaf

        return map_leaves(move, inputs)  # type: ignore[no-any-return]

    def values(self, inputs: Arguments) -> dict[str, torch.Tensor]:
        """Everything that rounding touches: floating inputs and all parameters, by name."""
        found = dict(floating_inputs(inputs))
        if self._module is not None:
            found |= {f"parameter {name}": p for name, p in self._module.named_parameters()}
        return found

    def outputs(self, inputs: Arguments, values: Mapping[str, torch.Tensor]) -> list[Leaf]:
        """The tensors of the result for given values of inputs and parameters."""
        replaced, parameters = substitute(inputs, values)
        call, _ = self._prepared(parameters)
        return tensors(call(replaced))

    def gradients(
        self,
        inputs: Arguments,
        values: Mapping[str, torch.Tensor],
        cotangents_of: Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]],
    ) -> dict[str, torch.Tensor | None] | None:
        """The gradients by every input that requires one and every trainable parameter, by name.

        Returns None if no result depends on them differentiably (a reference written without autograd).
        """
        replaced, parameters = substitute(inputs, values)
        call, weights = self._prepared(parameters)
        wanted = {name: value for name, value in floating_inputs(replaced).items() if value.requires_grad}
        wanted |= {f"parameter {name}": value for name, value in weights.items() if value.requires_grad}
        results = differentiable_outputs(call(replaced))
        if not results or not wanted:
            return None
        return dict(zip(wanted, gradients(results, list(wanted.values()), cotangents_of(results)), strict=True))

    def bounds(self, inputs: Arguments, expected: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
        """The allowed error of each result for these exact inputs; None for integers and booleans."""
        values = self.values(inputs)
        names = list(values)
        floating = [index for index, result in enumerate(expected) if is_floating(result.dtype)]

        def compute(arguments: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            with self.rounded(arguments):
                results = self.outputs(inputs, dict(zip(names, arguments, strict=True)))
            return [results[index].value.detach() for index in floating]

        kept = [expected[index].detach() for index in floating]
        found = allowed_errors(compute, list(values.values()), kept, self.dtype, generator(self.trial))
        bounds: list[torch.Tensor | None] = [None] * len(expected)
        for index, bound in zip(floating, found, strict=True):
            bounds[index] = bound
        return bounds

    def rounded(self, given: Sequence[torch.Tensor]) -> AbstractContextManager[Any]:
        """Where intermediate results are rounded, to float32 at most: anything narrower inside would be a fault.

        Of the author's reference, whose formula is trusted, only what is computed from constants alone (positions,
        phases, tables). Without one the layer's own formula is all there is, and all of it is rounded.
        """
        state = [] if self._module is None else [*self._module.parameters(), *self._module.buffers()]
        return Rounded(self.trial.torch_dtype, [*given, *state] if self.reference is not None else [])

    def _prepared(self, parameters: Mapping[str, torch.Tensor]) -> tuple[Callable[[Arguments], Any], Weights]:
        """The function of the inputs with these values of the parameters, and all parameters that it uses."""
        module = self._module
        if module is None:
            return self._seeded(self.reference or self.trial.case.target), {}
        if self.reference is not None:
            module = copy.deepcopy(module)  # the author's reference looks at its attributes
            with torch.no_grad():
                for name, parameter in module.named_parameters():
                    if name in parameters:
                        parameter.copy_(parameters[name])
            judge = functools.partial(_without_the_judged, self.reference, module)
            return self._seeded(judge), dict(module.named_parameters())
        weights = {
            name: parameters.get(name, parameter).detach().clone().requires_grad_(parameter.requires_grad)
            for name, parameter in module.named_parameters()
        }
        state = {**weights, **{name: buffer.clone() for name, buffer in module.named_buffers()}}
        return self._seeded(lambda *inputs: torch.func.functional_call(module, state, inputs)), weights

    def _seeded(self, function: Callable[..., Any]) -> Callable[[Arguments], Any]:
        def call(inputs: Arguments) -> Any:
            with self._exact.seeded():
                return function(*map_tensors(torch.Tensor.clone, inputs))

        return call


def _without_the_judged(reference: Callable[..., Any], module: torch.nn.Module, *inputs: Any) -> Any:
    """What a reference says of these inputs; parts of the module may tell it, and the module of other inputs."""

    def refuse(_: torch.nn.Module, given: Arguments) -> None:
        if len(given) == len(inputs) and all(mine is its for mine, its in zip(inputs, given, strict=True)):
            raise CaseError("the reference calls the module that it judges: compute the result in another way")

    handle = module.register_forward_pre_hook(refuse)
    try:
        return reference(module, *inputs)
    finally:
        handle.remove()


def has_exact_reference(trial: Trial) -> bool:
    """True if the exact computation is another one than the code under test itself."""
    return trial.case.reference is not None or trial != trial.exact()


def gradients_and_bounds(
    trial: Trial, exact: Exact, inputs: Arguments
) -> tuple[Gradients, dict[str, torch.Tensor]] | None:
    """The float64 gradients by name for the case's random gradient sent back, and their bounds; None if none.

    Where terms cancel to zero, what low precision leaves of them follows from the rounding on the way, which the bounds
    leave out: there anything is allowed, and float32 judges.
    """
    sent: list[torch.Tensor] = []

    def send(results: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        sent.extend(cotangents(trial, results))
        return sent

    found = exact.gradients(inputs, {}, send)
    known = {name: value for name, value in (found or {}).items() if value is not None}
    if found is None or not known:
        return None
    values = exact.values(inputs)

    def compute(moved: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        replaced = dict(zip(values, moved[: len(values)], strict=True))
        with exact.rounded(moved):
            others = exact.gradients(inputs, replaced, lambda _: moved[len(values) :]) or {}
        return [value if (other := others.get(name)) is None else other for name, value in known.items()]

    # What is sent back is rounded to the trial's dtype on its way as well, so it is perturbed too.
    bounds = allowed_errors(compute, [*values.values(), *sent], list(known.values()), exact.dtype, generator(trial))
    allowed = dict(zip(known, bounds, strict=True))
    if torch.finfo(exact.dtype).bits < 32:
        sizes = {name: float(value.abs().max()) for name, value in known.items() if value.numel()}
        for name, size in sizes.items():
            if size <= CANCELLED * max(sizes.values()):
                allowed[name] = torch.full_like(allowed[name], torch.inf)
    return found, allowed
