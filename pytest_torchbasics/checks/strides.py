"""The check `strides`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import torch

from ..numerics.trees import map_tensors, tensors
from ..trials import Arguments, Subject, Trial
from .outcome import Outcome, failed, not_applicable
from .support.inputs import is_random
from .support.results import Allowed, Differences, Layout, allowed, results_of


def strides(trial: Trial) -> Outcome:
    """Finds results that depend on strides: transposed, gapped, offset, expanded and conjugated inputs and gradients.

    The same values in another memory layout must give the same outputs and gradients; so must a gradient that is sent
    back in another layout, as `.sum()`, a transpose or a concatenation does.
    """
    samples = trial.samples()
    if not any(leaf.value.dim() for inputs in samples for leaf in tensors(inputs)):
        return not_applicable("it takes no tensor with a dimension")
    subject = trial.subject()
    found = Differences()
    for index, inputs in enumerate(samples):
        if is_random(subject, inputs):
            return not_applicable("its result is random in evaluation mode")
        bounds = allowed(trial, False, index)
        expected = results_of(trial, subject, inputs)
        for name, layout in _variants(inputs).items():
            try:
                actual = results_of(trial, subject, inputs, layout=layout)
            except RuntimeError as error:  # contiguous inputs have worked
                return failed(f"for {name} inputs it raises: {str(error).strip().splitlines()[0]}", _INPUTS)
            if not found.add(f"for {name} inputs", actual, expected, bounds, _INPUTS):
                return found.outcome()
        if not expected.gradients:
            continue
        for name, layout in SENT.items():
            actual = results_of(trial, subject, inputs, sent_layout=layout)
            if not found.add(f"for {name} gradients sent back", actual, expected, bounds, _SENT):
                return found.outcome()
    for inputs in samples:
        if not _expanded(trial, subject, inputs, found):
            break
    return found.outcome()


def _expanded(trial: Trial, subject: Subject, inputs: Arguments, found: Differences) -> bool:
    """Stride 0: every item the first one, once as a view and once in memory of its own."""

    def copied(tensor: torch.Tensor) -> torch.Tensor:
        return _repeated(tensor).contiguous()

    try:
        actual = results_of(trial, subject, inputs, layout=_repeated)
        expected = results_of(trial, subject, inputs, layout=copied)
        bounds = Allowed(
            trial, False, map_tensors(lambda t: copied(t.detach()).requires_grad_(t.requires_grad), inputs)
        )
        if not found.add("for expanded inputs", actual, expected, bounds, _INPUTS):
            return False
        actual = results_of(trial, subject, inputs, sent_layout=_repeated)
        expected = results_of(trial, subject, inputs, sent_layout=copied)
    except RuntimeError as error:
        if re.search("single memory location|view of a leaf", str(error)):
            return True  # it works in place on what it is given, which torch refuses here; `mutation` judges that
        raise
    return found.add("for expanded gradients sent back", actual, expected, bounds, _SENT)


_INPUTS = "raw memory is read without the strides (data_ptr, as_strided, view): call .contiguous() or use reshape"
_SENT = "the backward of a hand-written autograd.Function reads grad_output without its strides: call .contiguous()"


def _transposed(tensor: torch.Tensor) -> torch.Tensor:
    """The dimensions in reverse order in memory."""
    order = list(range(tensor.dim()))[::-1]
    return tensor.permute(order).contiguous().permute(order) if tensor.dim() > 1 else tensor.clone()


def _gapped(tensor: torch.Tensor) -> torch.Tensor:
    """Every second element of a row, with other values between them."""
    if not tensor.dim():
        return tensor.clone()
    between = tensor.detach().flip(-1)
    if tensor.is_floating_point() or tensor.is_complex():
        between = torch.full_like(between, torch.nan)
    return torch.stack([between, tensor], -1).flatten(-2)[..., 1::2]


def _offset(tensor: torch.Tensor) -> torch.Tensor:
    """Contiguous, behind other values in the same memory."""
    if not tensor.dim() or not tensor.shape[0]:
        return tensor.clone()
    return torch.cat([tensor.detach()[:1], tensor])[1:]


def _repeated(tensor: torch.Tensor) -> torch.Tensor:
    """The first item in place of all, by stride 0; a single number for a vector, as .sum() sends back."""
    if not tensor.numel() or not tensor.dim():
        return tensor.clone()
    first = tensor[:1] if tensor.dim() > 1 else tensor.flatten()[:1]
    return first.expand(tensor.shape)


def _conjugated(tensor: torch.Tensor) -> torch.Tensor:
    """Lazily conjugated twice over, as x.conj() leaves it."""
    return tensor.conj().resolve_conj().conj() if tensor.is_complex() else tensor.clone()


def _variants(inputs: Arguments) -> Mapping[str, Layout]:
    found = {"transposed": _transposed, "gapped": _gapped, "offset": _offset}
    if any(leaf.value.is_complex() for leaf in tensors(inputs)):
        found["lazily conjugated"] = _conjugated
    return found


SENT: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {"transposed": _transposed, "gapped": _gapped}
