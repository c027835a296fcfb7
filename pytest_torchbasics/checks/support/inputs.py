"""What a check runs on: the modes, inputs that can show a fault, the gradients that are sent back."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...cases import Tensor
from ...numerics.dtypes import dtype_name, torch_dtype, wide
from ...numerics.trees import detached, first_difference, identical, tensors
from ...trials import (
    Arguments,
    Subject,
    Trial,
    differentiable_outputs,
    floating_inputs,
    gradients,
    is_floating,
    substitute,
    variables,
)
from ..outcome import Outcome, failed, not_applicable


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
    judged = {name: _hides(value) for name, value in _judged(trial, inputs).items()}
    if not judged or not all(judged.values()):
        return None
    name, what = next(iter(judged.items()))
    if any(isinstance(item, Tensor) and item.fill is not None for item in trial.case.inputs):
        return not_applicable(f"the declared input is {what}, which would hide most faults")
    return failed(
        f"{name} is {what}: such an input hides most faults",
        "let samples() draw random values, or declare a plain Tensor(...)",
    )


def _judged(trial: Trial, inputs: Arguments) -> dict[str, torch.Tensor]:
    """The inputs whose values tell: those of several elements, else of one.

    Integers only where there is nothing else, and where the author draws them: of few indices all may be the same.
    """
    found = floating_inputs(inputs)
    if not found and trial.case.samples is not None:
        indices = {f"input{leaf.path}": leaf.value for leaf in tensors(inputs) if leaf.value.dtype != torch.bool}
        return {name: value for name, value in indices.items() if value.numel() >= 2}
    several = {name: value for name, value in found.items() if value.numel() >= 2}
    return several or {name: value for name, value in found.items() if value.numel() == 1}


def _hides(value: torch.Tensor) -> str:
    """What is wrong with the values of an input; empty if they can show a fault."""
    value = value.detach().to_dense()
    flat = value.reshape(-1)
    if len(flat) == 1:
        return "" if bool(flat[0]) else "zero"
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


@functools.lru_cache(maxsize=64)
def modes_to_judge(trial: Trial) -> tuple[bool, ...]:
    """The modes in which values are compared: `modes_that_differ` on the last sample.

    Results that are bit for bit those of evaluation mode need no second judgement.
    """
    return modes_that_differ(trial, trial.samples()[-1])


def _results_and_gradients(trial: Trial, subject: Subject, inputs: Arguments) -> list[torch.Tensor | None]:
    values = variables(subject, inputs)
    replaced, parameters = substitute(inputs, values)
    outputs = subject.pure(replaced, parameters)
    floating = differentiable_outputs(outputs)
    if not values or not floating:
        return [leaf.value for leaf in tensors(outputs)]
    found = gradients(floating, list(values.values()), cotangents(trial, floating))
    return [*(leaf.value for leaf in tensors(outputs)), *found]


def settled(trial: Trial, training: bool, inputs: Arguments) -> Subject:
    """A subject that has initialised itself from its first data, if it does so (as an ActNorm).

    A module that changes at every call in evaluation mode is given as it was made: `mutation` judges that.
    """
    subject = trial.subject()
    module = subject.module
    if module is None:
        return subject
    states = []
    with torch.no_grad():
        for _ in range(2):
            states.append(copy.deepcopy(module.state_dict()))
            with trial.seeded():
                subject(*detached(inputs))
        states.append(module.state_dict())
    if not _equal(states[1], states[2]) or _equal(states[0], states[1]):
        return trial.subject(training)
    module.train(training)
    return subject


def _equal(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    return all(
        not isinstance(value, torch.Tensor) or identical(value, second[name])
        for name, value in first.items()
        if name in second
    )


def feeds_back(subject: Subject, inputs: Arguments) -> bool:
    """True if a call updates buffers without a gradient that its own result depends on: a mean that is subtracted.

    Its gradient leaves that path out, on purpose, so a difference quotient is another number.
    """
    module = subject.module
    if module is None or not module.training:
        return False
    before = {name: buffer.clone() for name, buffer in module.named_buffers() if buffer.is_floating_point()}
    twin = subject.trial.subject(training=True)
    with subject.trial.seeded(), torch.no_grad():
        twin(*detached(inputs))
    after = dict(twin.module.named_buffers()) if twin.module is not None else {}
    if not any(name in after and not identical(value, after[name]) for name, value in before.items()):
        return False
    moved = {name: value * 1.5 + 0.25 for name, value in before.items()}
    first, second = (tensors(subject.pure(inputs, state)) for state in (before, moved))
    return first_difference(first, second) is not None


def is_random(subject: Subject, inputs: Arguments) -> bool:
    """True if it is declared to be random in this mode, or two calls from different seeds differ."""
    if subject.module is not None and subject.module.training and subject.trial.case.random_in_training:
        return True
    first, second = (tensors(subject.pure(inputs, seed=seed)) for seed in (1, 2))
    return first_difference(first, second) is not None


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
