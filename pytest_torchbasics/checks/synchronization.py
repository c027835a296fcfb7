"""The check `synchronization`."""

from __future__ import annotations

from ..backends import backend_for
from ..numerics.trees import tensors
from ..trials import Trial
from .outcome import Outcome, failed, not_applicable, passed
from .support.inputs import mode_name, training_modes
from .support.meta import Trouble, meta_run

HINT = (
    "a value is read on the host: .item(), .tolist(), .cpu(), float(), `if tensor`, or a boolean mask as an index "
    "(torch.where needs none); the host waits for the device at every call, and nothing can be captured in a graph"
)


def synchronization(trial: Trial) -> Outcome:
    """Finds hidden waits of the host for the device: values read in forward or backward.

    On the CPU the meta device stands in, from which nothing can be read; on an accelerator the backend reports waits.
    """
    if trial.mode != "eager":
        return not_applicable("it watches the eager function")
    why_none = "it takes no tensor"
    ran = False
    backend = backend_for(trial.device)
    for training in training_modes(trial):
        for inputs in trial.samples():
            if not tensors(inputs):
                continue
            where = f"in {mode_name(training)}"
            found = meta_run(trial, inputs, training, backward=trial.case.differentiable)
            if found.trouble is Trouble.VALUE:
                return failed(f"it reads a value on the host {where}, at `{found.where}`: {found.message}", HINT)
            if found.trouble is not None:
                why_none = f"it does not run on the meta device: {found.message}"
            else:
                ran = True
            if backend.asynchronous:
                ran = True
                waits = _waits(trial, inputs, training)
                if waits:
                    return failed(f"the host waits for the device {where}: {waits}", HINT)
    return passed() if ran else not_applicable(why_none)


def _waits(trial: Trial, inputs: tuple[object, ...], training: bool) -> str:
    """What torch reports of synchronizing calls on the device; empty if nothing."""
    subject = trial.subject(training)
    subject(*inputs)  # caches and kernels are loaded at first use, which may wait
    return backend_for(trial.device).reported_waits(trial.device, lambda: subject(*inputs))
