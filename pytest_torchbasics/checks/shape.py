"""The check `shape`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..cases import Case
from ..numerics.dtypes import dtype_name, torch_dtype
from ..numerics.trees import Leaf, tensors
from ..trials import Arguments, Subject, Trial, is_floating
from .outcome import Outcome, failed, not_applicable, passed
from .support.meta import meta_run


def shape(trial: Trial) -> Outcome:
    """Finds a wrong output shape, dtype, device or layout, at every declared size and on the meta device."""
    case = trial.case
    compared = False
    samples = trial.samples()
    assignments = list(case.assignments()) if case.samples is None else [{}] * len(samples)
    for sizes, inputs in zip(assignments, samples, strict=True):
        subject = trial.subject()
        actual = tensors(subject.pure(inputs))
        described = ", ".join(str(tuple(leaf.value.shape)) for leaf in tensors(inputs)) or "no tensor"
        if case.output is not None:
            compared = True
            if outcome := _against_declaration(case, sizes, inputs, actual, described):
                return outcome
        for index, leaf in enumerate(actual):
            if outcome := _attributes(leaf, trial, _declared_dtype(case, index, leaf, trial, _takes(subject, inputs))):
                return outcome
        meta = meta_run(trial, inputs)
        if meta.trouble is None and actual:
            compared = True
            if [tuple(leaf.value.shape) for leaf in meta.outputs] != [tuple(leaf.value.shape) for leaf in actual]:
                return failed(
                    f"for inputs {described} it returns {_shapes(actual)}, on the meta device {_shapes(meta.outputs)}",
                    "the shape depends on values, or a hand-written meta kernel is wrong",
                )
            for got, promised in zip(actual, meta.outputs, strict=True):
                if got.value.dtype != promised.value.dtype:
                    return failed(
                        f"output{got.path} has dtype {dtype_name(got.value.dtype)}, on the meta device "
                        f"{dtype_name(promised.value.dtype)}",
                        "a hand-written fake (meta) kernel promises another dtype, which torch.compile believes",
                    )
    if not compared:
        return not_applicable("no output= is declared, and it does not run on the meta device")
    return passed()


def _against_declaration(
    case: Case, sizes: Mapping[str, int], inputs: Arguments, actual: list[Leaf], described: str
) -> Outcome | None:
    declared = case.output
    if callable(declared):
        declared = declared(*(tuple(leaf.value.shape) for leaf in tensors(inputs)))
    expected = list(_flat(declared, sizes))
    found = [(leaf.path, tuple(leaf.value.shape)) for leaf in actual]
    hint = "a dimension is squeezed, flattened or transposed, or the declaration is wrong"
    if isinstance(declared, Mapping) and dict(found) != dict(expected):
        given, wanted = (", ".join(f"{path} {shape}" for path, shape in sorted(side)) for side in (found, expected))
        return failed(f"for inputs {described} it returns {given or 'no tensor'}, declared is {wanted}", hint)
    shapes = [shape for _, shape in expected]
    if not isinstance(declared, Mapping) and [shape for _, shape in found] != shapes:
        return failed(f"for inputs {described} it returns {_shapes(actual)}, declared is {_listed(shapes)}", hint)
    return None


def _attributes(leaf: Leaf, trial: Trial, dtype: torch.dtype | None) -> Outcome | None:
    value: torch.Tensor = leaf.value
    wanted = torch.device(trial.device)
    if value.device.type != wanted.type or (wanted.index is not None and value.device.index != wanted.index):
        return failed(
            f"output{leaf.path} is on {value.device}, not on {trial.device}",
            "a tensor is made without device=, or a hard-coded device is left",
        )
    if dtype is not None and value.dtype != dtype:
        return failed(
            f"output{leaf.path} has dtype {dtype_name(value.dtype)}, expected {dtype_name(dtype)}",
            "a constant or a cast inside changes the dtype, or output_dtype= has to be declared",
        )
    if value.layout != torch.strided:
        return failed(f"output{leaf.path} has layout {value.layout}, expected torch.strided")
    return None


def _takes(subject: Subject, inputs: Arguments) -> bool:
    """False if all floating tensors that it works on have a fixed dtype, which is not the one under test."""
    state = [] if subject.module is None else [*subject.module.parameters(), *subject.module.buffers()]
    dtypes = {tensor.dtype.to_real() for tensor in (*state, *(leaf.value for leaf in tensors(inputs)))}
    floating = {dtype for dtype in dtypes if dtype.is_floating_point}
    return not floating or subject.trial.torch_dtype.to_real() in floating


def _declared_dtype(case: Case, index: int, leaf: Leaf, trial: Trial, takes: bool) -> torch.dtype | None:
    """The dtype that the index-th output should have; None if nothing is known about it."""
    declared = case.output_dtype
    if isinstance(declared, (tuple, list)):
        declared = declared[index] if index < len(declared) else None
    if declared is not None:
        return torch_dtype(dtype_name(declared))
    if not takes:
        return None
    value: torch.Tensor = leaf.value
    under_test = trial.torch_dtype
    if value.is_complex():
        return under_test if under_test.is_complex else None
    return under_test.to_real() if value.is_floating_point() and is_floating(under_test) else None


def _flat(declared: Any, sizes: Mapping[str, int], path: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    """The declared shapes, each with the path of its output."""
    if isinstance(declared, Mapping):
        for key, item in declared.items():
            yield from _flat(item, sizes, f"{path}[{key!r}]")
    elif any(isinstance(item, (tuple, list, torch.Size, Mapping)) for item in declared):
        for position, item in enumerate(declared):
            yield from _flat(item, sizes, f"{path}[{position}]")
    else:
        yield path, tuple(sizes[size] if isinstance(size, str) else int(size) for size in declared)


def _shapes(outputs: list[Leaf]) -> str:
    return _listed([tuple(leaf.value.shape) for leaf in outputs])


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "no tensor"
