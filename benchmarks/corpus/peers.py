"""The same corpus through other tools: pytest-torch, torchtest2 and `torch.autograd.gradcheck`.

A check takes an entry and the maker of one of its twins, calls one helper of the tool as a careful user would, with all
that the corpus lets the author of the layer declare, and lets its error through. What the tool or the layer raises
otherwise (a helper that takes no such inputs, say) is told as `REFUSED`: such a check finds nothing if it does so on
the correct twin too, and is no false alarm.
"""

from __future__ import annotations

import gc
import importlib.metadata
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.autograd.gradcheck import GradcheckError
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten

Make = Callable[[], Any]
Check = Callable[[Any, Make], None]
REFUSED = "could not run: "
GRADCHECK_ELEMENTS = 2000  # of all inputs together: finite differences need two calls for each


@dataclass(frozen=True)
class Peer:
    """A tool: its requirement as pip takes it ("" for a part of torch) and its checks by name."""

    requirement: str
    checks: Mapping[str, Check]

    def missing(self) -> str:
        """What to install, or ""."""
        name, _, wanted = self.requirement.partition("==")
        try:
            found = importlib.metadata.version(name) if name else ""
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        return "" if found == wanted else f"pip install {self.requirement} (found: {found})"


class NotApplicable(Exception):
    """The tool reports that a call of its own raised something: no assertion of it failed."""


def failures(peer: str, entry: Any, make: Make, seconds: dict[str, float]) -> dict[tuple[str, str], str]:
    """Messages by check of what fails on one twin; those of errors that no assertion raised begin with `REFUSED`."""
    from faults import core

    found = {}
    for name, check in PEERS[peer].checks.items():
        core.reset_globals()
        torch._dynamo.reset()
        begin = time.perf_counter()
        try:
            check(entry, make)
        except (AssertionError, GradcheckError) as error:
            found[name, ""] = str(error)
        except BaseException as error:  # pytest's own outcomes are no Exception
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                raise
            told = type(error).__name__ == "Failed"  # pytest.fail
            found[name, ""] = str(error) if told else f"{REFUSED}{type(error).__name__}: {error}"
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
    return found


class _Wrapped(nn.Module):
    """A function as a module, for helpers that take nothing else."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any, y: Any = None, z: Any = None) -> Any:  # named: export wants no *inputs
        return self.function(*(value for value in (x, y, z) if value is not None))


def _build(entry: Any, make: Make, dtype: torch.dtype | None = None, train: bool = False) -> Any:
    torch.manual_seed(0)
    built = make()
    if isinstance(built, nn.Module):
        built.to(dtype or entry.dtypes[0])
        if any(isinstance(p, nn.UninitializedParameter) for p in built.parameters()):
            built(*_samples(entry, dtype)[0])
        built.train(train and "train" in getattr(entry, "modes", ("train",)))
    return built


def _module(entry: Any, make: Make, train: bool = False) -> nn.Module:
    built = _build(entry, make, train=train)
    return built if isinstance(built, nn.Module) else _Wrapped(built)


def _samples(entry: Any, dtype: torch.dtype | None = None) -> list[tuple[Any, ...]]:
    return entry.sample_inputs("cpu", dtype or entry.dtypes[0], torch.Generator().manual_seed(0))  # type: ignore


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _wide(tree: Any) -> Any:
    def widen(x: torch.Tensor) -> torch.Tensor:
        return x.to(torch.complex128) if x.is_complex() else x.double() if x.is_floating_point() else x

    return tree_map_only(torch.Tensor, widen, tree)


def _loss(output: Any, *_: Any) -> torch.Tensor:
    """Squared distance of all floating outputs from a fixed random target; a scalar output is the loss itself."""
    leaves = [torch.view_as_real(x) if x.is_complex() else x for x in _tensors(output)]
    leaves = [x for x in leaves if x.is_floating_point()]
    if len(leaves) == 1 and not leaves[0].dim():
        return leaves[0]
    targets = torch.Generator().manual_seed(1)
    return sum(((x - torch.randn(x.shape, generator=targets).to(x.dtype)) ** 2).mean() for x in leaves)  # type: ignore


def _batched(entry: Any) -> bool:
    return bool(entry.batched) and entry.out_batched


def _shapes(entry: Any, inputs: tuple[Any, ...]) -> list[tuple[int, ...]]:
    """The declared shapes of the first outputs."""
    if entry.output_shape is None:
        return []
    shapes = entry.output_shape(*(tuple(x.shape) if isinstance(x, torch.Tensor) else None for x in inputs))
    return [tuple(s) for s in shapes] if shapes and isinstance(shapes[0], (tuple, list)) else [tuple(shapes)]


def _relations(entry: Any, model: Any, inputs: tuple[Any, ...]) -> Iterator[tuple[Any, Any, Any]]:
    """A function, a change of its inputs, and the change of its output that is declared (None: no change)."""
    noise = torch.Generator().manual_seed(2)

    def other(x: torch.Tensor) -> torch.Tensor:
        return torch.randn(x.shape, generator=noise).to(x.dtype)

    if fact := entry.declares.get("causal"):
        dim = fact["dim"]
        for length in range(1, inputs[0].shape[dim]):
            keep = partial(lambda n, x: x.narrow(dim, 0, n), length)
            late = other(inputs[0]).narrow(dim, length, inputs[0].shape[dim] - length)
            changed = keep(inputs[0]), late
            yield lambda x, keep=keep: keep(model(x)), lambda _, parts=changed: (torch.cat(parts, dim),), None
    if entry.declares.get("pad_mask"):
        mask = inputs[1]

        def kept(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            output = model(x, mask)
            return output[mask] if output.shape[: mask.dim()] == mask.shape else output

        changed = torch.where(mask.unsqueeze(-1), inputs[0], other(inputs[0]))
        yield kept, lambda _: (changed, mask), None
    if isinstance(fact := entry.declares.get("equivariant"), str):
        move = (lambda x: x + 1.5) if "translation" in fact else lambda x: x * torch.tensor(0.8 + 0.6j).to(x.dtype)
        yield model, lambda given: (move(given[0]),), move


# ------------------------------------------------------------------------------------------ torch.autograd.gradcheck
def _gradcheck(entry: Any, make: Make, weights: bool = False) -> None:
    if not entry.differentiable or torch.float64 not in entry.dtypes:
        return
    module = _build(entry, make, torch.float64)
    named = dict(module.named_parameters()) if weights and isinstance(module, nn.Module) else {}
    for inputs in _samples(entry, torch.float64):
        if sum(x.numel() for x in [*_tensors(inputs), *named.values()]) > GRADCHECK_ELEMENTS:
            continue
        leaves, spec = tree_flatten(inputs)
        for x in _tensors(leaves):
            x.requires_grad_(x.is_floating_point() or x.is_complex())

        def call(*given: Any, spec: Any = spec) -> Any:
            torch.manual_seed(0)
            own = tree_unflatten(given[: spec.num_leaves], spec)
            if not named:
                return module(*own)
            weights = dict(zip(named, given[spec.num_leaves :], strict=True))
            return torch.func.functional_call(module, weights, own)

        torch.autograd.gradcheck(call, (*leaves, *(p.detach().clone().requires_grad_() for p in named.values())))


# ------------------------------------------------------------------------------------------ pytest-torch
def _contract(name: str, entry: Any, make: Make) -> None:
    from pytest_torch import check_inference_contract

    if name == "batch_invariance" and not _batched(entry):
        return
    model, halves = _build(entry, make), [d for d in entry.dtypes if d in (torch.bfloat16, torch.float16)]
    for inputs in _samples(entry):
        report = check_inference_contract(model, inputs, checks=[name], dtypes=halves, raise_on_failure=False)
        for result in report.failures:
            raise (NotApplicable if result.message.startswith("raised ") else AssertionError)(result.message)


def _over_samples(helper: str, entry: Any, make: Make, count: int | None = None, **options: Any) -> None:
    import pytest_torch

    model = _build(entry, make)
    for inputs in _samples(entry)[:count]:
        getattr(pytest_torch, helper)(model, inputs, **options)


def _export(entry: Any, make: Make) -> None:
    from pytest_torch import assert_export_parity

    inputs, *others = _samples(entry)
    sizes = {x.shape[0] for x in _tensors(inputs) if x.dim()}
    dynamic = entry.batched == "all" and _batched(entry) and len(sizes) == 1 and min(sizes) > 1

    def items(sample: tuple[Any, ...]) -> list[Any]:
        return [x.shape[1:] if isinstance(x, torch.Tensor) and x.dim() else None for x in sample]

    more = [other for other in others if dynamic and items(other) == items(inputs) and len(other[0]) > 1]
    module = _module(entry, make)
    module(*_samples(entry)[0])  # what is exported has run before
    assert_export_parity(module, inputs, *more, dynamic_batch=dynamic)


def _spec(entry: Any, make: Make) -> None:
    from pytest_torch import TensorSpec, assert_output_spec

    for dtype in entry.dtypes:
        model, wanted = _build(entry, make, dtype), dtype if entry.out_dtype == "same" else entry.out_dtype
        for inputs in _samples(entry, dtype):
            with torch.inference_mode():
                outputs = _tensors(model(*inputs))
            shapes = _shapes(entry, inputs)
            outputs = outputs[: len(shapes) or None]
            kinds = [wanted if x.is_floating_point() or entry.out_dtype != "same" else None for x in outputs]
            specs = [TensorSpec(shape, kind) for shape, kind in zip_longest(shapes, kinds)]
            assert_output_spec(outputs, specs)


def _reference(entry: Any, make: Make) -> None:
    from pytest_torch import assert_matches_reference

    if entry.reference is None:
        return
    bounds = {torch.float32: 1e-4, torch.float64: 1e-7}
    for dtype in entry.dtypes:
        model, exact = _build(entry, make, dtype), _build(entry, make, dtype)
        if isinstance(exact, nn.Module):
            exact.double()
        for inputs, copies in zip(_samples(entry, dtype), _samples(entry, dtype), strict=True):
            wanted = _tensors(_wide(entry.reference(exact, *_wide(copies))))
            bound = bounds.get(dtype, entry.half_tol)
            select = partial(lambda count, output: _tensors(_wide(output))[:count], len(wanted))
            assert_matches_reference(model, wanted, inputs, select=select, rtol=bound, atol=bound)


def _declared(entry: Any, make: Make) -> None:
    import pytest_torch as pt

    for inputs in _samples(entry) if entry.declares else ():
        model = _build(entry, make)
        for function, change, promised in _relations(entry, model, inputs):
            pt.assert_equivariant(function, inputs, change, promised or (lambda output: output))
        if entry.declares.get("pad_mask"):
            given = {"x": inputs[0], "mask": inputs[1]}
            pt.assert_padding_invariant(lambda x, mask, m=model: m(x, mask), given, ids_key="x", mask_key="mask")
        dim = entry.declares.get("permutation_equivariant")
        if isinstance(dim, int):
            pt.assert_permutation_equivariant(model, inputs, dim=dim)
        if part := entry.declares.get("segments"):
            parts = [model(x) for x in inputs[0].split(part["size"], part["dim"])]
            pt.assert_outputs_close(torch.cat(parts, part["dim"]), model(*inputs))
        if row := entry.declares.get("zero_for"):
            output = model(torch.full_like(inputs[0], int(row.rsplit(" ", 1)[-1])))
            pt.assert_outputs_close(output, torch.zeros_like(output))


def _checkpoint(entry: Any, make: Make) -> None:
    from pytest_torch import assert_checkpoint_roundtrip

    model = _build(entry, make, train=True)
    if not isinstance(model, nn.Module):
        return
    inputs = _samples(entry)[0]
    _one_step(entry, model, inputs)
    assert_checkpoint_roundtrip(lambda: make().to(entry.dtypes[0]), _samples(entry)[0], model=model)


def _one_step(entry: Any, model: nn.Module, inputs: tuple[Any, ...]) -> None:
    """One step of training, so that there is something to save."""
    output = model(*inputs)
    weights = [p for p in model.parameters() if p.requires_grad]
    if weights and entry.differentiable:
        _loss(output).backward()
        torch.optim.SGD(weights, lr=0.1).step()


def _training(helper: str, entry: Any, make: Make) -> None:
    """One test that runs the layer for inference first, then trains it, with inputs that require a gradient too."""
    import pytest_torch

    model = _build(entry, make)
    if not entry.differentiable or not isinstance(model, nn.Module):
        return
    pytest_torch.check_inference_contract(model, _samples(entry)[0], checks=["finite_outputs"], raise_on_failure=False)
    model.train("train" in getattr(entry, "modes", ("train",)))
    for inputs in _samples(entry):
        for x in _tensors(inputs):
            x.requires_grad_(x.is_floating_point() or x.is_complex())
        getattr(pytest_torch, helper)(model, inputs, _loss)


def _pytest_gradcheck(entry: Any, make: Make) -> None:
    from pytest_torch import assert_gradcheck

    if not entry.differentiable or torch.float64 not in entry.dtypes:
        return
    for inputs in _samples(entry, torch.float64):
        if sum(x.numel() for x in _tensors(inputs)) <= GRADCHECK_ELEMENTS:
            model = _build(entry, make, torch.float64)
            assert_gradcheck(lambda *given, m=model: (torch.manual_seed(0), m(*given))[1], inputs)


def _leak(entry: Any, make: Make) -> None:
    """What the marker `torch_memory_leak` does to a test that calls the layer of a wider fixture."""
    from pytest_torch import markers

    model, inputs = _build(entry, make), _samples(entry)[0]
    item = SimpleNamespace(add_report_section=lambda *_: None, funcargs={})
    model(*inputs)
    gc.freeze()  # what is there already needs no look: the scan of all objects takes seconds otherwise
    markers._run_leak_check(item, lambda: (model(*_samples(entry)[0]), None)[1], 3)


# ------------------------------------------------------------------------------------------ torchtest2
def _torchtest2(name: str, entry: Any, make: Make) -> None:
    """One check of `check_model`, with all that it can be given; the loss is the same for all."""
    from torchtest2 import CHECKS, check_model

    samples = _larger(entry) if name == "input_dependency" else _samples(entry)
    for inputs in samples[:1] if name == "overfit_batch" else samples:
        if any(isinstance(x, torch.Tensor) and x.numel() == 0 for x in inputs):
            continue
        model = _module(entry, make)
        weights = [p for p in model.parameters() if p.requires_grad]
        shapes = _shapes(entry, inputs)
        small = sum(x.numel() for x in _tensors(inputs)) <= GRADCHECK_ELEMENTS
        report = check_model(
            model,
            inputs,
            loss_fn=_loss if entry.differentiable and weights else None,
            optimizer=torch.optim.Adam(weights, lr=1e-2) if weights else None,
            output_shape=shapes[0] if shapes else None,
            gradcheck=entry.differentiable and torch.float64 in entry.dtypes and small,
            batch_dim=0 if _batched(entry) else None,
            skip=[check for check in CHECKS if check not in ("forward", "loss", name)],
        )
        for result in report.failures:
            if result.name == name:
                raised = "raised " in result.message.split(":", 1)[0]
                raise (NotApplicable if raised else AssertionError)(result.message)


def _larger(entry: Any) -> list[tuple[Any, ...]]:
    """Batches of 16 draws where it can be: in a few items alone some features of a ReLU, say, have no influence."""
    draws = [entry.sample_inputs("cpu", entry.dtypes[0], torch.Generator().manual_seed(k)) for k in range(16)]
    if entry.batched != "all" or not entry.out_batched:
        return draws[0]
    whole = all(isinstance(x, torch.Tensor) and x.dim() for inputs in draws[0] for x in inputs)
    same = [zip(*inputs, strict=True) for inputs in zip(*draws, strict=True)]
    return [tuple(torch.cat(parts) for parts in inputs) for inputs in same] if whole else draws[0]


def _torchtest2_invariance(entry: Any, make: Make) -> None:
    from torchtest2 import assert_invariance

    for inputs in _samples(entry) if entry.declares else ():
        for function, change, promised in _relations(entry, _build(entry, make), inputs):
            if promised is None:
                assert_invariance(_Wrapped(function), inputs, change)


_CONTRACT = ("eval_mode", "finite_outputs", "deterministic", "batch_invariance", "dtype_parity", "no_state_mutation")
_MODEL = ("forward", "output_shape", "output_finite", "loss", "gradient_flow", "gradient_magnitude", "params_change",
          "frozen_params", "input_dependency", "batch_independence", "overfit_batch", "gradcheck")  # fmt: skip

PEERS: Mapping[str, Peer] = {
    "pytest-torch": Peer(
        "pytest-torch==1.1.1",
        {
            **{name: partial(_contract, name) for name in _CONTRACT},
            "layout_invariant": partial(_over_samples, "assert_layout_invariant"),
            "output_spec": _spec,
            "matches_reference": _reference,
            "declared_invariance": _declared,
            "checkpoint_roundtrip": _checkpoint,
            "gradients_finite": partial(_training, "assert_gradients_finite"),
            "all_params_receive_grad": partial(_training, "assert_all_params_receive_grad"),
            "gradcheck": _pytest_gradcheck,
            "autocast_parity": partial(_over_samples, "assert_autocast_parity"),
            "compile_parity": partial(_over_samples, "assert_compile_parity", count=1, backend="aot_eager"),
            "no_graph_breaks": partial(_over_samples, "assert_no_graph_breaks", count=1),
            "export_parity": _export,
            "memory_leak": _leak,
        },
    ),
    "torchtest2": Peer(
        "torchtest2==0.1.0",
        {**{name: partial(_torchtest2, name) for name in _MODEL}, "assert_invariance": _torchtest2_invariance},
    ),
    "gradcheck": Peer("", {"gradcheck": _gradcheck}),
    "gradcheck of all": Peer("", {"gradcheck of all": partial(_gradcheck, weights=True)}),
}

#: Which properties of the corpus a check speaks of: its user leaves it out where one is declared not to hold.
PROBES_OF: Mapping[str, frozenset[str]] = {
    "deterministic": frozenset({"repeat", "rng_eval"}),
    "batch_invariance": frozenset({"batch"}),
    "batch_independence": frozenset({"batch"}),
    "dtype_parity": frozenset({"low_precision", "redtype", "dtype", "deepcopy"}),
    "no_state_mutation": frozenset({"eval_state"}),
    "layout_invariant": frozenset({"noncontig", "channels_last", "expanded"}),
    "output_spec": frozenset({"dtype"}),
    "matches_reference": frozenset({"ref", "low_precision"}),
    "checkpoint_roundtrip": frozenset({"state_dict", "repeat"}),
    "gradients_finite": frozenset({"grad_finite"}),
    "gradient_magnitude": frozenset({"grad_finite"}),
    "all_params_receive_grad": frozenset({"param_grad"}),
    "gradient_flow": frozenset({"param_grad"}),
    "params_change": frozenset({"param_grad"}),
    "overfit_batch": frozenset({"param_grad", "repeat"}),
    "loss": frozenset({"input_grad", "param_grad"}),
    "input_dependency": frozenset({"input_grad"}),
    "gradcheck": frozenset({"gradcheck"}),
    "gradcheck of all": frozenset({"gradcheck", "param_grad"}),
    "autocast_parity": frozenset({"low_precision"}),
    "compile_parity": frozenset({"repeat", "compile_eager", "compile_aot"}),
    "no_graph_breaks": frozenset({"compile_eager"}),
    "export_parity": frozenset({"repeat", "compile_eager", "moves"}),
    "memory_leak": frozenset({"no_leak"}),
}
