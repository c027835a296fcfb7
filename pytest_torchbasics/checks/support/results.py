"""What a call gives, outputs and gradients, and whether two ways of calling give the same."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...numerics.bounds import Mismatch, compare, is_vacuous, plain_bound
from ...numerics.trees import Leaf, map_tensors, tensors
from ...trials import Arguments, Subject, Trial, differentiable_outputs, gradients, is_floating, substitute, variables
from ..outcome import Outcome, failed, not_applicable, passed
from .exact import Exact, gradients_and_bounds
from .inputs import cotangents

Gradients = dict[str, "torch.Tensor | None"]
Layout = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Results:
    """The tensors of a result, and the gradients by every input that requires one and every parameter, by name."""

    outputs: list[Leaf]
    gradients: Gradients


@dataclass(frozen=True)
class Allowed:
    """How far two computations of the same result in one dtype may lie apart; None: not known, or equal."""

    outputs: tuple[torch.Tensor | None, ...] | None
    gradients: dict[str, torch.Tensor]


#: Where nothing is known but the dtype.
UNKNOWN = Allowed(None, {})


def results_of(
    trial: Trial,
    subject: Subject,
    inputs: Arguments,
    layout: Layout | None = None,
    sent_layout: Layout | None = None,
    call: Callable[[Arguments, dict[str, torch.Tensor]], Any] | None = None,
) -> Results:
    """Call the subject from the case's seed, and send the case's random gradient back.

    Args:
        trial, subject, inputs: what is called with what.
        layout: gives each input tensor other strides and leaves its values as they are.
        sent_layout: the same for the gradients that are sent back.
        call: stands in for `subject.isolated`.
    """
    values = variables(subject, inputs) if trial.case.differentiable else {}
    replaced, parameters = substitute(inputs, values)
    replaced = map_tensors(layout or torch.Tensor.clone, replaced)
    outputs = (call or subject.isolated)(replaced, parameters)
    ends = differentiable_outputs(outputs)
    found: Gradients = {}
    if ends and values:
        sent = [(sent_layout or _same)(gradient) for gradient in cotangents(trial, ends)]
        found = dict(zip(values, gradients(ends, list(values.values()), sent), strict=True))
    kept = [Leaf(leaf.path, leaf.value.detach()) for leaf in tensors(outputs)]
    return Results(kept, found)


@functools.lru_cache(maxsize=64)
def allowed(trial: Trial, training: bool, index: int, precision: torch.dtype | None = None) -> Allowed:
    """The allowed differences for a sample of the trial, by the float64 computation of the case itself.

    Args:
        trial: the trial.
        training: the module's mode.
        index: position of the sample.
        precision: the dtype whose rounding is allowed for; the trial's own by default.
    """
    return allowed_for(trial, training, trial.samples()[index], precision)


def allowed_for(trial: Trial, training: bool, inputs: Arguments, precision: torch.dtype | None = None) -> Allowed:
    """The allowed differences for other inputs than the samples."""
    if not is_floating(trial.torch_dtype) or "float64" not in trial.case.dtypes:
        return UNKNOWN
    # Around the float64 results, not the trial's own: those may hold the very fault that is looked for.
    exact = Exact(trial, training, own=False)
    exact.dtype = precision or exact.dtype
    inputs = exact.inputs(inputs)
    outputs = exact.bounds(inputs, [leaf.value for leaf in exact.outputs(inputs, {})])
    found = gradients_and_bounds(trial, exact, inputs) if trial.case.differentiable else None
    return Allowed(tuple(outputs), found[1] if found is not None else {})


def output_bounds(trial: Trial, index: int, results: Sequence[torch.Tensor]) -> list[torch.Tensor | None]:
    """The allowed differences of the outputs in evaluation mode; by the dtype alone where float64 cannot tell."""
    known = allowed(trial, False, index).outputs or [None] * len(results)
    return [
        plain_bound(result.cpu(), result.dtype) if bound is None and is_floating(result.dtype) else bound
        for bound, result in zip(known, results, strict=True)
    ]


class Differences:
    """Collects how far results lie from what they should be; the worst decides."""

    def __init__(self) -> None:
        self.worst: Mismatch | None = None
        self.problem = ""
        self.hint = ""
        self.unjudged = "nothing was compared"

    def add(self, what: str, actual: Results, expected: Results, bounds: Allowed, hint: str) -> bool:
        """Compare two results; True if they are the same up to rounding.

        Args:
            what: completes "output ..." in the message: "with a transposed input".
            actual: the results to judge.
            expected: what they should be.
            bounds: the allowed differences.
            hint: the usual cause, for the message.
        """
        before = self.problem, self.worst
        self._outputs(what, actual.outputs, expected.outputs, bounds.outputs)
        if not self.failed:  # wrong outputs explain wrong gradients
            self._gradients(what, actual.gradients, expected.gradients, bounds.gradients)
        if (self.problem, self.worst) != before:
            self.hint = hint
        return not self.failed

    @property
    def failed(self) -> bool:
        """True if something is wrong."""
        return bool(self.problem) or (self.worst is not None and self.worst.share > 1)

    def outcome(self) -> Outcome:
        """What the check answers."""
        if self.problem:
            return failed(self.problem, self.hint)
        if self.worst is None:
            return not_applicable(self.unjudged)
        if self.worst.share > 1:
            return failed(str(self.worst), self.hint, self.worst.error, self.worst.share)
        return passed(self.worst.error, self.worst.share)

    def _outputs(
        self, what: str, actual: Sequence[Leaf], expected: Sequence[Leaf], bounds: Sequence[torch.Tensor | None] | None
    ) -> None:
        if len(actual) != len(expected):
            self.problem = f"it returns {len(actual)} tensors {what}, without {len(expected)}"
            return
        for position, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
            where = f"output{got.path} {what}"
            if got.value.shape != wanted.value.shape:
                self.problem = f"{where} has shape {tuple(got.value.shape)} instead of {tuple(wanted.value.shape)}"
                return
            self._tensor(where, got.value, wanted.value, None if bounds is None else bounds[position])

    def _gradients(self, what: str, actual: Gradients, expected: Gradients, bounds: dict[str, torch.Tensor]) -> None:
        for name, wanted in expected.items():
            got = actual.get(name)
            where = f"gradient by {name} {what}"
            if wanted is None or got is None:
                known = got if wanted is None else wanted
                if known is not None and bool((known != 0).any()):
                    self.problem = f"{where} is {'missing' if got is None else 'not zero'}, which it is otherwise not"
                    return
                continue
            self._tensor(where, got, wanted, bounds.get(name))

    def _tensor(self, where: str, actual: torch.Tensor, expected: torch.Tensor, bound: torch.Tensor | None) -> None:
        actual, expected = actual.detach().to_dense(), expected.detach().to_dense()
        if is_floating(expected.dtype):
            if bool(expected.isnan().any()):
                self.unjudged = f"the {where.split(' ')[0]} is NaN, which `reference` judges"
                return
            if bound is None or bound.shape != expected.shape:
                bound = plain_bound(expected.cpu(), expected.dtype)
            if is_vacuous(expected.cpu(), bound):
                self.unjudged = f"rounding may change the {where} by its own size"
                return
        mismatch = compare(where, actual, expected, bound if is_floating(expected.dtype) else None)
        if mismatch is not None and (self.worst is None or mismatch.share > self.worst.share):
            self.worst = mismatch


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
