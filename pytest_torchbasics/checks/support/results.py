"""What a call gives, outputs and gradients, and whether two ways of calling give the same."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ...numerics.bounds import Mismatch, compare, is_vacuous, plain_bound
from ...numerics.trees import Leaf, kept, map_tensors
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
from ..outcome import Outcome, failed, not_applicable, passed
from .exact import Exact, Gradients, gradients_and_bounds
from .inputs import cotangents

Layout = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Results:
    """The tensors of a result, and the gradients by every input that requires one and every parameter, by name."""

    outputs: list[Leaf]
    gradients: Gradients


class Allowed:
    """What the float64 computation gives, and how far two computations of it in one dtype may lie apart.

    The bounds cost many computations, so they wait until they are asked for: equal results need none.

    Args:
        trial, training: what is computed.
        inputs: of the call.
        precision: the dtype whose rounding is allowed for; the trial's own by default.
        own: compute by the case's own reference, if it has one. Bounds of the trial's results against each other lie
            around the layer itself in float64: not around its reference, from which it may differ.
    """

    def __init__(
        self,
        trial: Trial,
        training: bool,
        inputs: Arguments,
        precision: torch.dtype | None = None,
        own: bool = False,
    ) -> None:
        self._trial = trial
        self._made = functools.partial(Exact, trial, training, own)
        self._inputs = inputs
        self._precision = precision
        self._known = "float64" in trial.case.dtypes or (own and trial.case.reference is not None)

    @functools.cached_property
    def exact_outputs(self) -> list[Leaf]:
        """The tensors of the result."""
        return self._exact.outputs(self._exact_inputs, {})

    @functools.cached_property
    def exact_gradients(self) -> Gradients | None:
        """The gradients by name; None where nothing depends on anything differentiably."""
        return None if self._gradients is None else self._gradients[0]

    @functools.cached_property
    def outputs(self) -> Sequence[torch.Tensor | None] | None:
        """The bound of each output; None for integers and booleans, and for all of them where it is not known."""
        if not is_floating(self._trial.torch_dtype) or not self._known:
            return None
        return self._exact.bounds(self._exact_inputs, [leaf.value for leaf in self.exact_outputs])

    @functools.cached_property
    def gradients(self) -> dict[str, torch.Tensor]:
        """The bounds by name, where they are known."""
        return {} if self._gradients is None else self._gradients[1]

    @functools.cached_property
    def _gradients(self) -> tuple[Gradients, dict[str, torch.Tensor]] | None:
        case = self._trial.case
        if not is_floating(self._trial.torch_dtype) or not self._known or not case.differentiable:
            return None
        return gradients_and_bounds(self._trial, self._exact, self._exact_inputs)

    @functools.cached_property
    def _exact(self) -> Exact:
        exact = self._made()
        exact.dtype = self._precision or exact.dtype
        return exact

    @functools.cached_property
    def _exact_inputs(self) -> Arguments:
        return self._exact.inputs(self._inputs)


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
    return Results(kept(outputs), found)


def called(trial: Trial, call: Callable[..., Any], subject: Subject, inputs: Arguments) -> tuple[Any, Gradients]:
    """Call as a user does in training, with the module's own parameters and its side effects.

    Returns:
        What the call returned, and the gradients by name for the case's random gradient sent back.
    """
    given = map_tensors(lambda tensor: tensor.detach().clone().requires_grad_(tensor.requires_grad), inputs)
    with trial.seeded():
        outputs = call(*map_tensors(torch.Tensor.clone, given))
    values = {name: value for name, value in floating_inputs(given).items() if value.requires_grad}
    values |= {f"parameter {name}": value for name, value in subject.parameters.items()}
    ends = differentiable_outputs(outputs) if trial.case.differentiable else []
    if not ends or not values:
        return outputs, {}
    found = gradients(ends, list(values.values()), cotangents(trial, ends))
    return outputs, dict(zip(values, found, strict=True))


@functools.lru_cache(maxsize=64)
def allowed(
    trial: Trial, training: bool, index: int, precision: torch.dtype | None = None, own: bool = False
) -> Allowed:
    """The allowed differences for a sample of the trial, by its position; kept, as many checks ask for the same."""
    return Allowed(trial, training, trial.samples()[index], precision, own and trial.case.reference is not None)


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

    def add(self, what: str, actual: Results, expected: Results, bounds: Allowed | None, hint: str) -> bool:
        """Compare two results; True if they are the same up to rounding.

        Args:
            what: completes "output ..." in the message: "with a transposed input".
            actual: the results to judge.
            expected: what they should be.
            bounds: the allowed differences; None allows for the rounding of the results themselves.
            hint: the usual cause, for the message.
        """
        before = self.problem, self.worst
        self._outputs(what, actual.outputs, expected.outputs, bounds)
        if not self.failed:  # wrong outputs explain wrong gradients
            self._gradients(what, actual.gradients, expected.gradients, bounds)
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

    def _outputs(self, what: str, actual: Sequence[Leaf], expected: Sequence[Leaf], bounds: Allowed | None) -> None:
        if len(actual) != len(expected):
            self.problem = f"it returns {len(actual)} tensors {what}, without {len(expected)}"
            return

        def bound(position: int) -> torch.Tensor | None:
            return bounds.outputs[position] if bounds is not None and bounds.outputs is not None else None

        for position, (got, wanted) in enumerate(zip(actual, expected, strict=True)):
            where = f"output{got.path} {what}"
            if got.value.shape != wanted.value.shape:
                self.problem = f"{where} has shape {tuple(got.value.shape)} instead of {tuple(wanted.value.shape)}"
                return
            self._tensor(where, got.value, wanted.value, functools.partial(bound, position))

    def _gradients(self, what: str, actual: Gradients, expected: Gradients, bounds: Allowed | None) -> None:
        def bound(name: str) -> torch.Tensor | None:
            return None if bounds is None else bounds.gradients.get(name)

        for name, wanted in expected.items():
            got = actual.get(name)
            where = f"gradient by {name} {what}"
            if wanted is None or got is None:
                known = got if wanted is None else wanted
                if known is not None and bool((known != 0).any()):
                    self.problem = f"{where} is {'missing' if got is None else 'not zero'}, which it is otherwise not"
                    return
                continue
            self._tensor(where, got, wanted, functools.partial(bound, name))

    def _tensor(
        self, where: str, actual: torch.Tensor, expected: torch.Tensor, bound: Callable[[], torch.Tensor | None]
    ) -> None:
        actual, expected = actual.detach().to_dense().cpu(), expected.detach().to_dense().cpu()
        limit = None
        if is_floating(expected.dtype):
            if bool(expected.isnan().any()):
                self.unjudged = f"the {where.split(' ')[0]} is NaN, which `reference` judges"
                return
            if actual.dtype != expected.dtype or not torch.equal(actual, expected):
                limit = bound()
                if limit is None or limit.shape != expected.shape:
                    limit = plain_bound(expected, expected.dtype)
                if is_vacuous(expected, limit):
                    self.unjudged = f"rounding may change the {where.split(' ')[0]} by its own size"
                    return
        mismatch = compare(where, actual, expected, limit)
        if mismatch is not None and (self.worst is None or mismatch.share > self.worst.share):
            self.worst = mismatch


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
