"""The check `device_parity`."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..numerics.trees import map_tensors, tensors
from ..trials import Arguments, Trial
from .outcome import Outcome, not_applicable
from .support.inputs import is_random, mode_name, training_modes
from .support.results import Differences, allowed, results_of


def device_parity(trial: Trial) -> Outcome:
    """Finds outputs and gradients that differ between this device and the CPU in the same dtype, TF32 off."""
    if trial.device == "cpu":
        return not_applicable("the run is on the CPU itself")
    host = replace(trial, device="cpu", mode="eager")
    found = Differences()
    for training in training_modes(trial):
        here, there = trial.subject(training), host.subject(training)
        for index, (inputs, same) in enumerate(zip(trial.samples(), host.samples(), strict=True)):
            if is_random(here, inputs):
                found.unjudged = f"its result is random in {mode_name(training)}"
                continue
            actual = results_of(trial, here, inputs)
            expected = results_of(host, there, _moved(inputs, same))
            hint = "a kernel of the device computes something else: compare the operators one by one"
            what = f"on {trial.device} in {mode_name(training)}"
            if not found.add(what, actual, expected, allowed(host, training, index), hint):
                return found.outcome()
    return found.outcome()


def _moved(inputs: Arguments, same: Arguments) -> Arguments:
    """The values of the device's inputs with the CPU's other arguments: samples() may draw on the device."""
    values = iter([leaf.value for leaf in tensors(inputs)])

    def take(tensor: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = next(values)
        return value.detach().cpu().requires_grad_(tensor.requires_grad)

    return map_tensors(take, same)  # type: ignore[no-any-return]
