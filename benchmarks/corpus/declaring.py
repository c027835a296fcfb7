"""From an entry of a fault corpus to the case that the author of such a layer would declare.

An entry has `make_buggy`, `make_correct` (or `make`), `sample_inputs(device, dtype, generator)` and optional facts:
`reference`, `output_shape`, `out_dtype`, `dtypes`, `batched`, `out_batched`, `differentiable`, `train_random` and
`declares`. Only these are used: no id, title or tag enters a case.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from pytest_torchbasics import (
    Case,
    Tensor,
    causal,
    equivariant,
    layer,
    op,
    padding_mask,
    parameters,
    tied,
)
from pytest_torchbasics.numerics.trees import tensors

#: Which checks speak of a property that the corpus names by one of its own probes.
CHECKS_OF: Mapping[str, tuple[str, ...]] = {
    "gradcheck": ("gradient", "gradient_reference", "forward_gradient"),
    "gradgradcheck": ("second_gradient",),
    "param_grad": ("parameters", "gradient"),
    "input_grad": ("gradient", "parameters"),
    "grad_finite": ("gradient", "parameters", "gradient_reference", "edge_values"),
    "noncontig": ("strides",),
    "noncontig_grad": ("strides",),
    "offset": ("strides",),
    "expanded": ("strides",),
    "channels_last": ("memory_format",),
    "batch": ("batch",),
    "empty": ("batch",),
    "repeat": ("mutation", "determinism"),
    "order": ("mutation",),
    "input_intact": ("mutation",),
    "no_alias": ("mutation",),
    "eval_state": ("mutation",),
    "two_forwards": ("mutation",),
    "backward_twice": ("mutation",),
    "rng_eval": ("determinism",),
    "rng_train": ("determinism",),
    "state_dict": ("state",),
    "param_update": ("state",),
    "pickle": ("state",),
    "deepcopy": ("state",),
    "moves": ("movement", "synchronization"),
    "redtype": ("movement",),
    "default_dtype": ("movement",),
    "low_precision": ("reference", "gradient_reference", "autocast"),
    "dtype": ("shape",),
    "inference": ("modes",),
    "no_leak": ("leak",),
    "functional_call": ("gradient", "vmap"),
    "uninitialised": ("parameters", "determinism"),
    "compile_eager": ("compile", "synchronization", "movement"),
    "compile_aot": ("compile", "synchronization", "movement"),
}


def case_of(entry: Any, make: Callable[[], Any], name: str = "case") -> Case:
    """The case of one twin of an entry, with everything that the corpus lets an author declare."""
    torch.manual_seed(0)
    built = make()
    is_layer = isinstance(built, nn.Module)
    sample = entry.sample_inputs("cpu", entry.dtypes[0], torch.Generator().manual_seed(0))[0]
    facts: dict[str, Any] = {
        "dtypes": [str(dtype) for dtype in entry.dtypes],
        "batch": _batch(entry, sample),
        "differentiable": entry.differentiable,
        "random_in_training": True if entry.train_random else None,
        "properties": _properties(entry.declares),
    }
    if isinstance(entry.out_dtype, torch.dtype):
        facts["output_dtype"] = entry.out_dtype
    if entry.output_shape is not None and _shape_fits(entry, built, sample):
        facts["output"] = entry.output_shape
    if entry.reference is not None:
        facts["reference"] = entry.reference if is_layer else lambda *inputs: entry.reference(None, *inputs)
    inputs: list[Any] = []
    if sized := entry.declares.get("sizes"):
        inputs, facts["sizes"] = _symbols(sized)
        facts["batch"] = ()
    else:
        facts["samples"] = entry.sample_inputs
    declare = layer if is_layer else op
    return declare(name, make if is_layer else built, *inputs, **facts)


def excused(facts: Mapping[str, Any] | frozenset[str], probes_of: Callable[[str], set[str]]) -> set[str]:
    """The checks that may fail by what an author declares."""
    return {check for fact in facts for probe in probes_of(fact) for check in CHECKS_OF.get(probe, ())}


def _batch(entry: Any, sample: tuple[Any, ...]) -> tuple[int, ...]:
    if not entry.out_batched:
        return ()
    if entry.batched == "all":
        return tuple(i for i, value in enumerate(sample) if isinstance(value, torch.Tensor) and value.dim())
    return tuple(entry.batched)


def _shape_fits(entry: Any, built: Any, sample: tuple[Any, ...]) -> bool:
    """The corpus gives the shapes of the first outputs only; a declaration here is of all of them."""
    if len(tensors(sample)) != len(sample):
        return False
    expected = entry.output_shape(*(tuple(value.shape) for value in sample))
    count = len(expected) if expected and isinstance(expected[0], (tuple, list)) else 1
    module = built.eval() if isinstance(built, nn.Module) and built.eval() is not None else built
    with contextlib.suppress(Exception), torch.no_grad():
        module = module.to(entry.dtypes[0]) if isinstance(module, nn.Module) else module
        return len(tensors(module(*sample))) == count
    return True


def _symbols(sized: Any) -> tuple[list[Tensor], dict[str, tuple[int, ...]]]:
    """Inputs whose changing dimensions are symbols."""
    inputs, sizes = [], {}
    for position, shapes in enumerate(zip(*sized, strict=True)):
        dims: list[Any] = []
        for dim, values in enumerate(zip(*shapes, strict=True)):
            changes = len(set(values)) > 1
            dims.append(f"S{position}_{dim}" if changes else values[0])
            if changes:
                sizes[dims[-1]] = tuple(max(value // 16, 2) + k for k, value in enumerate(sorted(values)))
        inputs.append(Tensor(*dims))
    return inputs, sizes


def _properties(declares: Mapping[str, Any]) -> list[Callable[..., Any]]:
    found: list[Callable[..., Any]] = []
    for name, value in declares.items():
        maker = _MAKERS.get(name)
        if maker is not None and (made := maker(value, declares)) is not None:
            found.append(made)
    return found


def _segments(value: Any, _: Any) -> Callable[..., None]:
    """Segments of the dimension are items of their own."""

    def segments(module: Any, x: Any, *others: Any) -> None:
        whole = module(x.clone(), *others)
        parts = [module(part.clone(), *others) for part in x.split(value["size"], value["dim"])]
        assert torch.allclose(torch.cat(parts, value["dim"]), whole, rtol=0.05, atol=0.05), (
            "segments influence each other"
        )

    return segments


def _zero_for(value: str, _: Any) -> Callable[..., None]:
    index = int(value.rsplit(" ", 1)[-1])

    def zero_for(module: Any, ids: Any) -> None:
        assert not bool(module(torch.full_like(ids, index)).any()), f"index {index} does not give zeros"

    return zero_for


def _train_reference(value: str, _: Any) -> Callable[..., None]:
    """Outputs and buffers after two steps of training are those of a layer of torch."""

    def train_reference(module: Any, x: Any) -> None:
        target = getattr(nn, value.removeprefix("nn."))(x.shape[1]).to(x.dtype)
        module.train()
        for scale in (1, 2):
            module(x * scale)
            target(x * scale)
        wanted = [b for b in target.buffers() if b.dim()]
        found = [b for b in module.buffers() if b.dim()]
        for got, expected in zip(found, wanted, strict=True):
            assert torch.allclose(got, expected, rtol=0.05, atol=0.05), "its statistics are not those of the reference"

    return train_reference


def _equivariant(value: Any, _: Any) -> Callable[..., None] | None:
    if value == "global phase":
        return equivariant(lambda z: z * torch.exp(torch.tensor(0.7j, dtype=torch.complex128)).to(z.dtype))
    if "translation" in str(value):
        return equivariant(lambda x: x + 1.5)
    return None


#: What the corpus declares, and the property that says it.
_MAKERS: Mapping[str, Callable[[Any, Mapping[str, Any]], Callable[..., Any] | None]] = {
    "causal": lambda value, _: causal(value["dim"], argument=value["x"]),
    "pad_mask": lambda value, all_: padding_mask(value["x"], value["mask"], trim=bool(all_.get("trim"))),
    "parameters": lambda value, _: parameters(value),
    "tied": lambda value, _: tied(*value[0]),
    "permutation_equivariant": lambda value, _: equivariant(dim=value) if value == 1 else None,
    "equivariant": _equivariant,
    "segments": _segments,
    "zero_for": _zero_for,
    "train_reference": _train_reference,
}
