"""The check `vmap`."""

from __future__ import annotations

import re
import warnings
from typing import Any

import torch
from torch.autograd.function import BackwardCFunction

from ..numerics.dtypes import LOW_PRECISION
from ..numerics.trees import Leaf, map_tensors, tensors
from ..trials import Arguments, Trial, floating_inputs, substitute
from .outcome import Outcome, failed, not_applicable
from .support.inputs import is_random, settled
from .support.results import Allowed, Differences, Results, allowed
from .support.tracing import graph_nodes, writes_its_state

#: How torch words it that something cannot be mapped at all.
_REFUSAL = re.compile(
    r"NYI|requires_grad_|unsupported|"
    r"\.item\(\)|data-dependent|dynamic|setup_context|generate_vmap_rule|batching rule|randomness|"
    r"not (yet )?(support|implement)|support(ed)? (for|by) vmap|data.?p(oin)?te?r|sparse|storage",
    re.IGNORECASE,
)


def vmap(trial: Trial) -> Outcome:
    """Finds what torch.func.vmap computes otherwise than a loop, along the first and the last dimension."""
    samples = [inputs for inputs in trial.samples() if tensors(inputs)]
    if not samples:
        return not_applicable("it takes no tensor")
    if trial.mode != "eager":
        return not_applicable("vmap maps the eager function")
    if trial.dtype in LOW_PRECISION:
        return not_applicable("kernels for one item and for many round differently: it is judged in float32")
    if any(leaf.value.layout != torch.strided for inputs in samples for leaf in tensors(inputs)):
        return not_applicable("sparse tensors cannot be mapped")
    subject = settled(trial, False, samples[0])
    call: Any = subject.module if subject.module is not None else trial.case.target
    found = Differences()
    for index, inputs in enumerate(samples):
        if is_random(subject, inputs):
            return not_applicable("its result is random in evaluation mode")
        inputs = map_tensors(torch.Tensor.detach, inputs)
        if writes_its_state(subject, inputs):
            return not_applicable("it changes its own parameters or buffers when it is called")
        items = [inputs, map_tensors(_other, inputs)]
        with torch.no_grad():
            looped = [tensors(subject.pure(item)) for item in items]
        for dim in (0, -1) if _has_own_rule(trial, inputs) else (0,):
            try:
                mapped = _mapped(trial, call, items, dim)
            except Exception as error:
                text = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
                if _REFUSAL.search(str(error)):
                    return not_applicable(f"torch cannot map it: {text}")
                return failed(
                    f"under vmap along dimension {dim} it raises {text}",
                    "a mapped value is written into a tensor that is not mapped (allocate by x.new_zeros), or the "
                    "vmap rule of a hand-written autograd.Function ignores in_dims",
                )
            for position, expected in enumerate(looped):
                actual = [Leaf(leaf.path, leaf.value[position]) for leaf in mapped]
                bounds = allowed(trial, False, index) if position == 0 else Allowed(trial, False, items[position])
                what = f"under vmap along dimension {dim}"
                hint = "the vmap rule of a hand-written autograd.Function is wrong: it must look at in_dims"
                if not found.add(what, Results(actual, {}), Results(expected, {}), bounds, hint):
                    return found.outcome()
    return found.outcome()


def _has_own_rule(trial: Trial, inputs: Arguments) -> bool:
    """True if a hand-written autograd.Function lies on the way: only its rule is at risk along other dimensions."""
    subject = trial.subject()
    wanted = {name: value.detach().clone().requires_grad_() for name, value in floating_inputs(inputs).items()}
    return any(isinstance(node, BackwardCFunction) for node in graph_nodes(subject.pure(substitute(inputs, wanted)[0])))


def _mapped(trial: Trial, call: Any, items: list[Arguments], dim: int) -> list[Leaf]:
    """The results of all items at once, stacked in dimension 0."""
    paths = [[leaf.value for leaf in tensors(item)] for item in items]
    stacked = iter([torch.stack(values, dim) for values in zip(*paths, strict=True)])
    inputs = map_tensors(lambda _: next(stacked), items[0])
    kept: list[Any] = []

    def flat(*values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = iter(values)
        outputs = tensors(call(*map_tensors(lambda _: next(given), inputs)))
        kept[:] = [leaf.path for leaf in outputs]
        return tuple(leaf.value for leaf in outputs)

    with trial.seeded(), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing batching rule, which only costs time
        values = [leaf.value for leaf in tensors(inputs)]
        results = torch.func.vmap(flat, in_dims=dim, randomness="different")(*values)
    return [Leaf(path, value) for path, value in zip(kept, results, strict=True)]


def _other(tensor: torch.Tensor) -> torch.Tensor:
    """Other legal values of the same kind: the items in reverse order, smaller if floating."""
    reverse = tensor.flip(0) if tensor.dim() else tensor
    return reverse * 0.75 if tensor.is_floating_point() or tensor.is_complex() else reverse.clone()
