"""The check `scaling`."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..cases.properties import Complexity
from ..numerics.trees import map_tensors, tensors
from ..trials import Arguments, Trial, cast_module
from .outcome import Outcome, failed, not_applicable, passed
from .support.tracing import Trace, storages

#: A symbol takes these multiples of its largest declared size, so that what must divide it still does.
MULTIPLES = (16, 32, 64)
#: How much faster than declared the work may grow from the second to the third size, as a power.
MARGIN = 0.3


def scaling(trial: Trial) -> Outcome:
    """Finds wasted work: FLOPs or memory that grow faster than declared (linear by default), results that nothing uses.

    Counted, never timed: floating-point operations, elements written and the largest tensor, on the meta device, when
    one symbol after the other doubles.
    """
    if trial.mode != "eager":
        return not_applicable("it counts the operators of the eager function")
    if outcome := _unused(trial):
        return outcome
    if not trial.case.sizes:
        return not_applicable("no input has a symbol that could grow")
    powers = {p.symbol: p.power for p in trial.case.properties if isinstance(p, Complexity)}
    grown = []
    why_none = ""
    for symbol in trial.case.sizes:
        counts = _counts(trial, symbol)
        if isinstance(counts, str):
            why_none = f"with a larger {symbol} it does not run on the meta device: {counts}"
            continue
        grown.append(symbol)
        allowed = powers.get(symbol, 1.0)
        for what, (_, second, third) in counts.items():
            power = math.log2(third / second) if second else 0.0
            if power > allowed + MARGIN:
                return failed(
                    f"{what} grow like {symbol} to the power {power:.1f}: {second} to {third} when {symbol} doubles; "
                    f"declared is {allowed:g}",
                    f"growing a tensor by torch.cat in a loop, comparing all pairs, or a mask of {symbol} x {symbol}; "
                    f"if it is meant, declare properties=[complexity({symbol!r}, {round(power)})]",
                )
    return passed() if grown else not_applicable(why_none)


def _unused(trial: Trial) -> Outcome | None:
    """Products and convolutions in evaluation mode whose result reaches neither an output nor a buffer."""
    for inputs in trial.samples():
        subject = trial.subject()
        trace = Trace()
        given = map_tensors(lambda tensor: tensor.detach().clone(), inputs)
        with trial.seeded(), torch.no_grad(), trace:
            outputs = subject(*given)
        state = [] if subject.module is None else [*subject.module.parameters(), *subject.module.buffers()]
        live = storages([leaf.value for leaf in tensors(outputs)] + state + [leaf.value for leaf in tensors(given)])
        wasted = []
        for operation in reversed(trace.operations):
            # A value that is read on the host may decide anything.
            if operation.writes & live or "_local_scalar_dense" in operation.name or not operation.writes:
                live |= operation.reads
            elif operation.costly:
                wasted.append(operation.name)
        if wasted:
            total = sum(operation.costly for operation in trace.operations)
            return failed(
                f"{len(wasted)} of {total} products and convolutions in evaluation mode are for nothing: no output "
                f"depends on the result of {wasted[-1]}",
                "an auxiliary head that only training needs: put it under `if self.training`",
            )
    return None


def _counts(trial: Trial, symbol: str) -> dict[str, tuple[int, int, int]] | str:
    """What is counted at three sizes of a symbol, or why it cannot be."""
    base = next(iter(trial.case.assignments()))
    start = max(trial.case.sizes[symbol].check)
    found: list[Mapping[str, int]] = []
    for multiple in MULTIPLES:
        try:
            found.append(_count(trial, trial.inputs_of({**base, symbol: max(start, 1) * multiple})))
        except Exception as error:
            return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return {what: (found[0][what], found[1][what], found[2][what]) for what in found[0]}


def _count(trial: Trial, inputs: Arguments) -> Mapping[str, int]:
    subject = trial.subject()
    if subject.module is not None:
        cast_module(subject.module, trial.torch_dtype, "meta")
    given = map_tensors(lambda tensor: tensor.detach().to("meta"), inputs)
    trace, flops = Trace(), FlopCounterMode(display=False)
    with trial.seeded(), torch.no_grad(), flops, trace:
        subject(*given)
    return {
        "FLOPs": flops.get_total_flops(),
        "elements written": trace.elements,
        "the elements of the largest tensor": trace.largest,
    }
