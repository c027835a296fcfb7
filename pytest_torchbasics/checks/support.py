"""What several checks need: the modes to run in, inputs that can show a fault, the exact computation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..cases import Tensor
from ..numerics.bounds import allowed_errors, plain_bound
from ..numerics.dtypes import dtype_name, torch_dtype, wide
from ..numerics.trees import Leaf, identical, map_leaves, map_tensors, tensors
from ..trials import (
    Arguments,
    Subject,
    Trial,
    cast_module,
    differentiable_outputs,
    floating_inputs,
    is_floating,
    substitute,
    variables,
)
from .outcome import Outcome, failed, not_applicable


def training_modes(trial: Trial) -> tuple[bool, ...]:
    """Evaluation mode, and training mode for a layer."""
    return (False, True) if trial.case.kind == "layer" else (False,)


def mode_name(training: bool) -> str:
    """How messages call a mode."""
    return "training mode" if training else "evaluation mode"


def why_not_floating(trial: Trial) -> str | None:
    """Why gradients and rounding say nothing about this trial, if so."""
    if not is_floating(trial.torch_dtype):
        return f"{trial.dtype} has no gradient"
    if not trial.case.differentiable:
        return "declared differentiable=False"
    declared = trial.case.output_dtype
    if isinstance(declared, (str, torch.dtype)) and not is_floating(torch_dtype(dtype_name(declared))):
        return f"its output is declared as {dtype_name(declared)}, which has no gradient"
    return None


def uninformative(trial: Trial, inputs: Arguments) -> Outcome | None:
    """The outcome for inputs that hide faults: constant, or a matrix that equals its transpose.

    A zeros input hides a missing bias, a wrong weight and a wrong gradient. Declared as such (`fill=`), the
    check does not apply; found out here, it is a fault of the declaration.
    """
    judged = {name: _hides(value) for name, value in floating_inputs(inputs).items() if value.numel() >= 2}
    if not judged or not all(judged.values()):
        return None
    name, what = next(iter(judged.items()))
    if any(isinstance(item, Tensor) and item.fill is not None for item in trial.case.inputs):
        return not_applicable(f"the declared input is {what}, which would hide most faults")
    return failed(
        f"{name} is {what}: such an input hides most faults",
        "let samples() draw random values, or declare a plain Tensor(...)",
    )


def _hides(value: torch.Tensor) -> str:
    """What is wrong with the values of an input; empty if they can show a fault."""
    flat = value.detach().reshape(-1)
    if bool((flat == flat[0]).all()):
        return "constant"
    square = value.dim() == 2 and value.shape[0] == value.shape[1]
    return "symmetric" if square and torch.equal(value, value.T) else ""


def modes_that_differ(trial: Trial, inputs: Arguments) -> tuple[bool, ...]:
    """Evaluation mode, and training mode if its results or gradients are not the very same."""
    if trial.case.kind == "op":
        return (False,)
    results = [_results_and_gradients(trial, trial.subject(training), inputs) for training in (False, True)]
    same = len(results[0]) == len(results[1]) and all(
        a is b or (a is not None and b is not None and identical(a, b)) for a, b in zip(*results, strict=True)
    )
    return (False,) if same else (False, True)


def _results_and_gradients(trial: Trial, subject: Subject, inputs: Arguments) -> list[torch.Tensor | None]:
    values = variables(subject, inputs)
    replaced, parameters = substitute(inputs, values)
    outputs = subject.pure(replaced, parameters)
    floating = differentiable_outputs(outputs)
    if not values or not floating:
        return [leaf.value for leaf in tensors(outputs)]
    gradients = torch.autograd.grad(floating, list(values.values()), cotangents(trial, floating), allow_unused=True)
    return [*(leaf.value for leaf in tensors(outputs)), *gradients]


def is_random(subject: Subject, inputs: Arguments) -> bool:
    """True if it is declared to be random in this mode, or two calls from different seeds differ."""
    if subject.module is not None and subject.module.training and subject.trial.case.random_in_training:
        return True
    first, second = (tensors(subject.pure(inputs, seed=seed)) for seed in (1, 2))
    return any(not identical(a.value, b.value) for a, b in zip(first, second, strict=True))


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
        return tensors(self._call(self._filled(parameters), replaced))

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
        module = self._filled(parameters)
        wanted = {name: value for name, value in floating_inputs(replaced).items() if value.requires_grad}
        if module is not None:
            wanted |= {f"parameter {n}": p for n, p in module.named_parameters() if p.requires_grad}
        results = differentiable_outputs(self._call(module, replaced))
        if not results or not wanted:
            return None
        found = torch.autograd.grad(results, list(wanted.values()), cotangents_of(results), allow_unused=True)
        return dict(zip(wanted, found, strict=True))

    def bounds(self, inputs: Arguments, expected: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
        """The allowed error of each result for these exact inputs; None for integers and booleans."""
        values = self.values(inputs)
        names = list(values)
        floating = [index for index, result in enumerate(expected) if is_floating(result.dtype)]

        def compute(arguments: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            results = self.outputs(inputs, dict(zip(names, arguments, strict=True)))
            return [results[index].value.detach() for index in floating]

        kept = [expected[index].detach() for index in floating]
        found = allowed_errors(compute, list(values.values()), kept, self.dtype, generator(self.trial))
        bounds: list[torch.Tensor | None] = [None] * len(expected)
        for index, bound in zip(floating, found, strict=True):
            bounds[index] = bound
        return bounds

    def _filled(self, parameters: Mapping[str, torch.Tensor]) -> nn.Module | None:
        """A copy of the module with these values of its parameters; tied ones stay tied."""
        if self._module is None:
            return None
        module = copy.deepcopy(self._module)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in parameters:
                    parameter.copy_(parameters[name])
        return module

    def _call(self, module: nn.Module | None, inputs: Arguments) -> Any:
        inputs = map_tensors(torch.Tensor.clone, inputs)
        with self._exact.seeded():
            if module is None:
                return (self.reference or self.trial.case.target)(*inputs)
            return self.reference(module, *inputs) if self.reference else module(*inputs)


def has_exact_reference(trial: Trial) -> bool:
    """True if the exact computation is another one than the code under test itself."""
    return trial.case.reference is not None or trial != trial.exact()


def loose_bound(trial: Trial, inputs: Arguments, results: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
    """Allowed differences between two computations of the same result in the trial's dtype."""
    bounds: list[torch.Tensor | None]
    if is_floating(trial.torch_dtype) and "float64" in trial.case.dtypes:
        # Around the float64 results, not the trial's own: those may hold the very fault that is looked for.
        exact = Exact(trial, training=False, own=False)
        exact_inputs = exact.inputs(inputs)
        bounds = exact.bounds(exact_inputs, [leaf.value for leaf in exact.outputs(exact_inputs, {})])
    else:
        # It does not run in float64: only the dtype itself is left to go by.
        bounds = [plain_bound(r.detach().cpu(), r.dtype) if is_floating(r.dtype) else None for r in results]
    return [None if bound is None else 2 * bound for bound in bounds]


def generator(trial: Trial) -> torch.Generator:
    """A CPU generator seeded for the trial's case."""
    return torch.Generator().manual_seed(trial.seed)


def cotangents(trial: Trial, outputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Random, dense gradients of the outputs, rounded to the trial's dtype, the same on every device.

    Random, not ones: the sum of a softmax is constant, so ones would accept any gradient of it.
    """
    source = generator(trial)
    real = trial.torch_dtype.to_real()
    # There is no half-precision complex arithmetic worth the name.
    complex_ = torch.complex128 if real == torch.float64 else torch.complex64
    return [
        torch.randn(output.shape, generator=source, dtype=wide(output.dtype))
        .to(complex_ if output.is_complex() else real)
        .to(output.device, output.dtype)
        for output in outputs
    ]
