"""From a trial of a case to a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .phases import Workload

if TYPE_CHECKING:
    from ..trials import Trial


def workload(trial: Trial) -> Workload:
    """What a trial calls, its inputs at the sizes for timing, and what it is differentiated by.

    Layers are in training mode, as they are when their backward runs (cuDNN's recurrent layers refuse another),
    so that all phases of a case are of the same computation.
    """
    import torch

    from ..numerics.trees import map_tensors, tensors
    from ..trials import EXECUTED

    module = trial.subject(training=True).module
    call = EXECUTED[trial.mode](module if module is not None else trial.case.target)
    inputs = trial.timing_sample()
    wanted = [leaf.value for leaf in tensors(inputs)]
    wanted += [] if module is None else list(module.parameters())
    leaves = {id(tensor): tensor for tensor in wanted if tensor.requires_grad}
    return Workload(
        call,
        inputs,
        tuple(leaves.values()),
        (lambda: map_tensors(torch.Tensor.clone, inputs)) if _changes_inputs(trial) else None,
    )


def _changes_inputs(trial: Trial) -> bool:
    """True if a call writes to its arguments, as ReLU(inplace=True) does.

    Found out with another module, eagerly and without a graph, so that the first call that is timed still has
    the costs of a first call; what the process does once, such as loading kernels, it has done by then.
    """
    import torch

    from ..numerics.trees import map_tensors, tensors

    subject = trial.subject(training=True)
    target = subject.module if subject.module is not None else trial.case.target
    inputs = map_tensors(torch.Tensor.clone, trial.timing_sample())
    given = [leaf.value for leaf in tensors(inputs)]
    before = [tensor._version for tensor in given]
    with torch.no_grad(), trial.seeded():
        target(*inputs)
    return [tensor._version for tensor in given] != before
