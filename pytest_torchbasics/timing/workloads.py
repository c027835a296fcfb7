"""From a trial of a case to a workload."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING

from ..cases import CaseError
from ..modes import Mode, parse_mode
from .phases import DoesNotApply, Workload

if TYPE_CHECKING:
    import torch

    from ..trials import Trial


def workload(trial: Trial, sizes: str = "") -> Workload:
    """What a trial calls, its inputs at the sizes for timing, and what it is differentiated by.

    Layers are in training mode, as they are when their backward runs (cuDNN's recurrent layers refuse another), so
    that all phases of a case are of the same computation; but not in the mode `inference`.

    Args:
        trial: what to time.
        sizes: a key of the case's `timing_assignments`.

    Raises:
        DoesNotApply: the trial's mode has no meaning there.
    """
    import torch

    from ..numerics.trees import map_tensors, tensors

    mode = parse_mode(trial.mode)
    if reason := mode.why_not(trial.device, trial.dtype):
        raise DoesNotApply(reason)
    if mode.any("compiles"):
        _start_compiler(mode.without("isolated"), trial.device, trial.dtype)
    module = trial.subject(training=mode.all("training")).module
    target = module if module is not None else trial.case.target
    parameters = [] if module is None else list(module.parameters())
    inputs = trial.timing_sample(sizes)
    given = [*(leaf.value for leaf in tensors(inputs)), *parameters]
    if reason := mode.why_not_for(given):
        raise DoesNotApply(reason)
    if mode.converts:
        inputs = map_tensors(lambda tensor: _converted(mode, tensor), inputs)
        for parameter in parameters:
            parameter.data = mode.convert(parameter.data)
    wanted = [*(leaf.value for leaf in tensors(inputs)), *parameters]
    leaves = {id(tensor): tensor for tensor in wanted if tensor.requires_grad}
    return Workload(
        call=mode.execute(target, trial.device, trial.dtype),
        inputs=inputs,
        leaves=tuple(leaves.values()),
        fresh_inputs=(lambda: map_tensors(torch.Tensor.clone, inputs)) if _changes_inputs(trial, sizes) else None,
        plain=mode.without("compiles").execute(target, trial.device, trial.dtype),
        compiles=mode.any("compiles"),
        parameters=None if module is None else sum(parameter.numel() for parameter in parameters),
        no_gradients="" if mode.all("training") else f"mode {trial.mode}: there are no gradients, forward alone",
    )


@functools.cache
def _start_compiler(mode: Mode, device: str, dtype: str) -> None:
    """Compile something small, once a process, so that the first case's compile time does not hold the imports."""
    import torch

    from ..numerics.dtypes import torch_dtype

    made = torch_dtype(dtype)
    differentiable = made.is_floating_point or made.is_complex
    argument = torch.ones(2, device=device).to(made).requires_grad_(differentiable)
    # What cannot compile this is told by the case.
    with contextlib.suppress(Exception):
        result = mode.execute(lambda tensor: tensor * 2, device, dtype)(argument)
        if result.requires_grad:
            torch.autograd.grad(result, argument, torch.ones_like(result))


def _converted(mode: Mode, tensor: torch.Tensor) -> torch.Tensor:
    return mode.convert(tensor.detach()).requires_grad_(tensor.requires_grad)


def _require_work(trial: Trial, result: object) -> None:
    """Refuse a result that only says what would be computed.

    Raises:
        CaseError: it is a generator, a coroutine, a module or another function, or on the meta device.
    """
    from ..numerics.trees import tensors

    lazy = isinstance(result, (Iterator, Awaitable)) or callable(result)
    if lazy or any(leaf.value.is_meta for leaf in tensors(result)):
        what = type(result).__name__ if lazy else "tensor without values"
        raise CaseError(f"case {trial.case.name!r}: it returns a {what}, so there is no work to time")


def _changes_inputs(trial: Trial, sizes: str) -> bool:
    """True if a call writes to its arguments, as ReLU(inplace=True) does.

    Found out with another module, eagerly and without a graph, so that the first call that is timed still has
    the costs of a first call; what the process does once, such as loading kernels, it has done by then.
    """
    import torch

    from ..numerics.trees import map_tensors, tensors

    subject = trial.subject(training=True)
    target = subject.module if subject.module is not None else trial.case.target
    inputs = map_tensors(torch.Tensor.clone, trial.timing_sample(sizes))
    given = [leaf.value for leaf in tensors(inputs)]
    before = [tensor._version for tensor in given]
    with torch.no_grad(), trial.seeded():
        _require_work(trial, target(*inputs))
    return [tensor._version for tensor in given] != before
