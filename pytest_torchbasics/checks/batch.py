"""The check `batch`."""

from __future__ import annotations

from typing import Any

import torch

from ..numerics.bounds import compare
from ..numerics.trees import map_tensors, tensors
from ..trials import Arguments, Subject, Trial, is_floating
from .outcome import Outcome, Status, failed, not_applicable, passed
from .support.inputs import generator, is_random, settled, uninformative
from .support.results import output_bounds


def batch(trial: Trial) -> Outcome:
    """Finds items of a batch that influence each other, and batches of 1 or 0 that do not work (eval mode).

    Each item alone must give its row of the whole batch's result; permuting the batch must permute the result; an
    empty batch must give an empty result of the right shape.
    """
    positions = trial.case.batch
    if not positions:
        return not_applicable('no argument carries a batch: name its first size "N" or give batch=')
    samples = {index: inputs for index, inputs in enumerate(trial.samples()) if _size(inputs, positions) >= 2}
    if not samples:
        return not_applicable("no batch of 2 or more items is declared: give sizes=")
    subject = settled(trial, False, next(iter(samples.values())))
    largest = 0.0
    for index, inputs in samples.items():
        if found := uninformative(trial, inputs):
            return found
        if is_random(subject, inputs):
            return not_applicable("its result is random in evaluation mode")
        outcome = _one(trial, subject, index, inputs, positions)
        if outcome.status is not Status.PASSED:
            return outcome
        largest = max(largest, outcome.share or 0.0)
    return passed(share=largest)


def _one(trial: Trial, subject: Subject, index: int, inputs: Arguments, positions: tuple[int, ...]) -> Outcome:
    size = _size(inputs, positions)
    whole = tensors(subject.pure(inputs))
    for leaf in whole:
        if leaf.value.dim() == 0 or leaf.value.shape[0] != size:
            return failed(
                f"output{leaf.path} has no batch in dimension 0: {size} items give shape {tuple(leaf.value.shape)}",
                "the batch is flattened, squeezed or reduced; if that is meant (a loss, a batch in another "
                "dimension, as nn.LSTM), say that no argument carries it in dimension 0: batch=()",
            )
    bounds = output_bounds(trial, index, [leaf.value for leaf in whole])
    largest = 0.0
    order = torch.randperm(size, generator=generator(trial))
    if torch.equal(order, torch.arange(size)):
        order = order.flip(0)
    groups = [torch.tensor([item]) for item in range(size)] + [order]
    for group in groups:
        alone = len(group) == 1
        what = f"batch of 1 (item {int(group[0])})" if alone else "permuted batch"
        part = _take(inputs, positions, group)
        try:
            results = tensors(subject.pure(part))
        except Exception as error:
            return _raised(what, error)
        if len(results) != len(whole):
            return failed(f"a {what} returns {len(results)} tensors, the whole batch {len(whole)}")
        for leaf, all_, bound in zip(results, whole, bounds, strict=True):
            rows = all_.value.index_select(0, group.to(all_.value.device))
            if leaf.value.shape != rows.shape:
                return failed(
                    f"output{leaf.path} of a {what} has shape {tuple(leaf.value.shape)}, expected {tuple(rows.shape)}",
                    "a bare squeeze() or flatten() also removes a batch dimension of size 1",
                )
            if is_floating(rows.dtype) and bool(rows.isnan().any()):
                return not_applicable("its result is NaN for some items, which `reference` judges")
            mismatch = compare(
                f"output{leaf.path} of a {what}",
                leaf.value,
                rows,
                None if bound is None else bound.index_select(0, group),
            )
            if mismatch is not None and mismatch.share > 1:
                hint = "items of a batch influence each other: a sum, mean, softmax or norm over dimension 0"
                return failed(str(mismatch), hint, mismatch.error, mismatch.share)
            largest = max(largest, 0.0 if mismatch is None else mismatch.share)
    return _empty(subject, inputs, positions, whole) or passed(share=largest)


def _empty(subject: Subject, inputs: Arguments, positions: tuple[int, ...], whole: list[Any]) -> Outcome | None:
    nothing = torch.empty(0, dtype=torch.int64)
    try:
        results = tensors(subject.pure(_take(inputs, positions, nothing)))
    except Exception as error:
        return _raised("batch of 0", error)
    if len(results) != len(whole):
        return failed(f"an empty batch returns {len(results)} tensors, the whole batch {len(whole)}")
    for leaf, all_ in zip(results, whole, strict=True):
        if leaf.value.shape != (0, *all_.value.shape[1:]):
            return failed(
                f"output{leaf.path} of an empty batch has shape {tuple(leaf.value.shape)}, "
                f"expected {(0, *all_.value.shape[1:])}"
            )
    return None


def _raised(what: str, error: Exception) -> Outcome:
    first = str(error).strip().split("\n")[0]
    return failed(
        f"a {what} raises {type(error).__name__}: {first}",
        "the batch size is fixed somewhere, or an operator cannot take it; if it is torch's, declare "
        'known_failure={"batch": "..."}',
    )


def _size(inputs: Arguments, positions: tuple[int, ...]) -> int:
    return min((leaf.value.shape[0] for i in positions if i < len(inputs) for leaf in tensors(inputs[i])), default=0)


def _take(inputs: Arguments, positions: tuple[int, ...], group: torch.Tensor) -> Arguments:
    def take(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().index_select(0, group.to(tensor.device)).requires_grad_(tensor.requires_grad)

    return tuple(map_tensors(take, item) if i in positions else item for i, item in enumerate(inputs))
