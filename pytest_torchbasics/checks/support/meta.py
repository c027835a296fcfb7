"""A run on the meta device: shapes without data. It stands in for an accelerator where there is none.

A tensor that is made on the CPU does not mix with those on the meta device, and a value cannot be read, as on an
accelerator it cannot be read without waiting.
"""

from __future__ import annotations

import enum
import re
import traceback
from dataclasses import dataclass
from typing import Any

import torch

from ...numerics.trees import Leaf, map_tensors, tensors
from ...trials import Arguments, Trial, cast_module, differentiable_outputs


class Trouble(enum.Enum):
    """Why a run on the meta device stopped."""

    VALUE = "a value is read on the host"
    DEVICE = "a tensor is on another device"
    KERNEL = "torch has no meta kernel"
    OTHER = "something else"


#: How torch words each, in 2.6 to 2.14.
_WORDING = {
    Trouble.VALUE: re.compile(
        r"item\(\) cannot be called on meta|Cannot copy out of meta|convert meta device|nonzero\(\) raises|"
        r"_local_scalar_dense|aten::(nonzero|masked_select|unique|equal|_unique|bincount)|data-dependent",
        re.IGNORECASE,
    ),
    Trouble.DEVICE: re.compile(r"not on the expected device|on the same device|at least two devices", re.IGNORECASE),
    Trouble.KERNEL: re.compile(r"no fake impl or Meta kernel|from the 'Meta' backend|register_meta", re.IGNORECASE),
}


@dataclass(frozen=True)
class MetaRun:
    """What came of a run on the meta device.

    Attributes:
        outputs: the tensors that it returned.
        trouble: why it stopped; None if it ran.
        message: the first line of torch's message.
        where: the innermost line of code outside torch.
    """

    outputs: list[Leaf]
    trouble: Trouble | None = None
    message: str = ""
    where: str = ""


def meta_run(trial: Trial, inputs: Arguments, training: bool = False, backward: bool = False) -> MetaRun:
    """Run the case on the meta device, and back through it on request."""
    subject = trial.subject(training)
    if subject.module is not None:
        cast_module(subject.module, trial.torch_dtype, "meta")
    moved: Any = map_tensors(_moved, inputs)
    try:
        with trial.seeded():
            outputs = subject(*moved)
            ends = differentiable_outputs(outputs) if backward else []
            if ends:
                torch.autograd.backward(ends, [torch.empty_like(end) for end in ends])
    except Exception as error:
        return MetaRun([], _trouble(error), str(error).strip().split("\n")[0], _where(error))
    return MetaRun(tensors(outputs))


def _moved(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().to("meta").requires_grad_(tensor.requires_grad)


def _trouble(error: Exception) -> Trouble:
    return next((kind for kind, wording in _WORDING.items() if wording.search(str(error))), Trouble.OTHER)


def _where(error: Exception) -> str:
    """The innermost line of the traceback that is neither torch's nor ours."""
    own = __name__.split(".")[0]
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f"/{own}/" not in f.filename.replace("\\", "/")]
    users = [f for f in frames if "/torch/" not in f.filename.replace("\\", "/")] or frames
    return f"{users[-1].line}" if users and users[-1].line else ""
