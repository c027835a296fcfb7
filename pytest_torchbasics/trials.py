"""A trial is a case on one device, in one dtype and mode; a subject is what a trial calls.

Everything random is seeded from the case's name, so that a trial computes the same in every run, in any order,
and a case starts from the same weights and inputs on every device and in every dtype, up to rounding.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import warnings
import weakref
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from .backends import seeded
from .cases import Case, CaseError, Tensor
from .modes import parse_mode
from .numerics.dtypes import dtype_name, torch_dtype, wide
from .numerics.trees import is_differentiable, leaves, map_tensors, tensors

#: How often one compiled function may be compiled again, for other shapes and modes. dynamo's own limit is 8 for all
#: that share a piece of code, as all our subjects do; beyond it dynamo goes on in eager mode with a line in a log.
RECOMPILE_LIMIT = 64

#: Raised whenever what is measured, or how inputs are made, changes; part of every case_hash.
PROTOCOL = 1

Arguments = tuple[Any, ...]

#: What the factory of a case made last, to find one that makes the same again.
_MADE: MutableMapping[Case, weakref.ReferenceType[nn.Module]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class Trial:
    """A case on one device (`"cuda:1"`), in one dtype (`"float32"`) and one mode."""

    case: Case
    device: str
    dtype: str
    mode: str = "eager"

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype under test."""
        return torch_dtype(self.dtype)

    @property
    def seed(self) -> int:
        """The seed of the case, the same for every device, dtype and mode."""
        return int.from_bytes(hashlib.sha256(self.case.name.encode()).digest()[:4], "big")

    def exact(self) -> Trial:
        """The same case on the CPU, eager, in float64 (complex128; an integral dtype stays as it is)."""
        return replace(self, device="cpu", dtype=dtype_name(wide(self.torch_dtype)), mode="eager")

    def samples(self) -> list[Arguments]:
        """Argument tuples for the checks, one for each set of sizes, on the trial's device."""
        if self.case.samples is not None:
            return self._own_samples()
        generator = torch.Generator().manual_seed(self.seed)
        return [self._make(sizes, generator) for sizes in self.case.assignments()]

    def inputs_of(self, sizes: Mapping[str, int]) -> Arguments:
        """One argument tuple for other values of the symbols than the declared ones."""
        return self._make(sizes, torch.Generator().manual_seed(self.seed))

    def timing_sample(self, sizes: str = "") -> Arguments:
        """The argument tuple that is timed; the last one, if the case makes its own samples.

        Args:
            sizes: a key of the case's `timing_assignments`.
        """
        if self.case.samples is not None:
            return self._own_samples()[-1]
        known = self.case.timing_assignments()
        if sizes not in known:
            raise CaseError(
                f"case {self.case.name!r} is not timed at {sizes!r}; it is at: {', '.join(known) or '(one)'}"
            )
        return self.inputs_of(known[sizes])

    def subject(self, training: bool = False, seed: int | None = None) -> Subject:
        """A fresh module (or the function) of the case, on the device, in the dtype, seeded by the case or anew."""
        if self.case.kind == "op":
            return Subject(self, None)
        module = self.fresh(seed)
        cast_module(module, self.torch_dtype, self.device)
        module.train(training)
        return Subject(self, module)

    def case_hash(self) -> str:
        """12 hexadecimal digits of what is computed: inputs, sizes, the target and the protocol."""
        case = self.case
        if case.kind == "layer":
            module = self.fresh()
            state = [(name, tuple(value.shape), str(value.dtype)) for name, value in module.state_dict().items()]
            target = f"{module!r} {state}"
        else:
            target = _source(case.target)
        parts = [
            PROTOCOL,
            case.kind,
            target,
            case.inputs,
            sorted((k, repr(v)) for k, v in case.sizes.items()),
        ]
        if case.samples is not None:
            parts.append(_source(case.samples))
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]

    def seeded(self, seed: int | None = None) -> AbstractContextManager[None]:
        """A block that runs from a fixed seed of torch's global generators, the case's own by default."""
        return seeded(self.device, self.seed if seed is None else seed)

    def fresh(self, seed: int | None = None) -> nn.Module:
        """The module as its factory made it, seeded; lazy parameters are there.

        Raises:
            CaseError: the factory made something else, or what it made before.
        """
        with self.seeded(seed):
            module = self.case.target()
            if not isinstance(module, nn.Module):
                raise CaseError(
                    f"case {self.case.name!r}: the factory must return a torch.nn.Module, it returned "
                    f"{type(module).__name__} (for a function use op())"
                )
            before = _MADE.get(self.case)
            if before is not None and before() is module:
                raise CaseError(
                    f"case {self.case.name!r}: the factory returned the same module twice, so one check would change "
                    "what the next one sees; it must make a new one each time (lambda: copy.deepcopy(model))"
                )
            _MADE[self.case] = weakref.ref(module)
            if self.case.prepare is not None:
                self.case.prepare(module)
            if any(isinstance(p, nn.parameter.UninitializedParameter) for p in module.parameters()):
                first = replace(self, device="cpu", dtype="float32").samples()[0]
                module(*map_tensors(torch.Tensor.detach, first))
        return module

    def _make(self, sizes: Mapping[str, int], generator: torch.Generator) -> Arguments:
        """Arguments drawn on the CPU, so that their values are the same on every device."""

        def make(item: Any) -> Any:
            if not isinstance(item, Tensor):
                return copy.deepcopy(item)
            made = item.make(sizes, self.torch_dtype, generator)
            return made.detach().to(self.device).requires_grad_(made.requires_grad)

        return tuple(make(item) for item in self.case.inputs)

    def _own_samples(self) -> list[Arguments]:
        assert self.case.samples is not None
        device = torch.device(self.device)
        generator = torch.Generator(device).manual_seed(self.seed)
        found = self.case.samples(device, self.torch_dtype, generator)
        if not isinstance(found, (list, tuple)) or not found:
            raise CaseError(
                f"case {self.case.name!r}: samples() must return a list of tuples of arguments, such as [(x,)]; it "
                f"returned {found!r:.80}"
            )
        for arguments in found:
            if not isinstance(arguments, tuple):
                raise CaseError(
                    f"case {self.case.name!r}: samples() must return a list of tuples of arguments, it holds "
                    f"{arguments!r:.80}"
                )
        if any(leaf.value.requires_grad for arguments in found for leaf in tensors(arguments)):
            return list(found)  # the author says which inputs require a gradient
        return [map_tensors(_differentiable, arguments) for arguments in found]


class Subject:
    """What a trial calls: the module or function, its parameters, and ways to call it without side effects."""

    def __init__(self, trial: Trial, module: nn.Module | None) -> None:
        self.trial = trial
        self.module = module
        mode = parse_mode(trial.mode)
        executed = mode.execute(self._functional, trial.device, trial.dtype)
        self._executed = _strictly(executed) if mode.any("compiles") else executed

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """The trainable parameters by name, each once."""
        if self.module is None:
            return {}
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}

    def __call__(self, *inputs: Any) -> Any:
        """Call it as a user would: side effects on the inputs and buffers happen, nothing is seeded."""
        return self._executed({}, inputs)

    def pure(
        self,
        inputs: Sequence[Any],
        parameters: Mapping[str, torch.Tensor] | None = None,
        seed: int | None = None,
    ) -> Any:
        """Call it from a fixed seed, on differentiable copies of the inputs and on copies of its buffers.

        Args:
            inputs: the arguments.
            parameters: values that stand in for the parameters of those names.
            seed: of the global generators; the case's own by default.
        """
        return self.isolated(map_tensors(torch.Tensor.clone, tuple(inputs)), parameters, seed)

    def isolated(
        self,
        inputs: Sequence[Any],
        parameters: Mapping[str, torch.Tensor] | None = None,
        seed: int | None = None,
    ) -> Any:
        """Like `pure`, but on the very inputs, whose strides and storage are what the call sees."""
        buffers = {} if self.module is None else {n: b.clone() for n, b in self.module.named_buffers()}
        with self.trial.seeded(seed):
            return self._executed({**buffers, **(parameters or {})}, tuple(inputs))

    def _functional(self, state: dict[str, torch.Tensor], inputs: Arguments) -> Any:
        if self.module is None:
            return self.trial.case.target(*inputs)
        if not state:
            return self.module(*inputs)
        return torch.func.functional_call(self.module, state, inputs)


def _strictly(function: Callable[..., Any]) -> Callable[..., Any]:
    """A compiled function that warns of nothing that is its own doing: dynamo looks at `.grad` of no leaves."""

    def call(*arguments: Any) -> Any:
        with warnings.catch_warnings(), never_giving_up():
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor")
            return function(*arguments)

    return call


def never_giving_up() -> AbstractContextManager[Any]:
    """Where dynamo raises, instead of going on in eager mode, when it has compiled too often."""
    config = torch._dynamo.config
    names = [("recompile_limit", "cache_size_limit"), ("fail_on_recompile_limit_hit", "fail_on_cache_limit_hit")]
    wanted = zip(names, (RECOMPILE_LIMIT, True), strict=True)
    # The first name is torch's since 2.7, the second one before.
    limits = {
        next(n for n in pair if hasattr(config, n)): v for pair, v in wanted if any(hasattr(config, n) for n in pair)
    }
    return config.patch(limits)  # type: ignore[no-any-return]


def floating_inputs(inputs: Arguments) -> dict[str, torch.Tensor]:
    """The floating and complex tensors among the inputs, by name: `input[0]`, `input[1]['mask']`."""
    return {f"input{leaf.path}": leaf.value for leaf in tensors(inputs) if is_differentiable(leaf.value)}


def variables(subject: Subject, inputs: Arguments) -> dict[str, torch.Tensor]:
    """What a result is differentiated by: inputs that require a gradient, and trainable parameters.

    Returns:
        Detached copies that require a gradient, by name: `input[0]`, `parameter weight`.
    """
    wanted = {name: value for name, value in floating_inputs(inputs).items() if value.requires_grad}
    wanted |= {f"parameter {name}": value for name, value in subject.parameters.items()}
    return {name: value.detach().clone().requires_grad_() for name, value in wanted.items()}


def substitute(inputs: Arguments, values: Mapping[str, torch.Tensor]) -> tuple[Arguments, dict[str, torch.Tensor]]:
    """The inputs with the named tensors replaced, and the replacements of the parameters by name."""
    paths = iter([f"input{leaf.path}" for leaf in tensors(inputs)])
    replaced = map_tensors(lambda tensor: values.get(next(paths), tensor), inputs)
    parameters = {n.removeprefix("parameter "): v for n, v in values.items() if n.startswith("parameter ")}
    return replaced, parameters


def differentiable_outputs(outputs: Any) -> list[torch.Tensor]:
    """The floating and complex tensors among the outputs that depend on something that requires a gradient."""
    return [leaf.value for leaf in leaves(outputs) if is_differentiable(leaf.value) and leaf.value.requires_grad]


def gradients(
    outputs: Sequence[torch.Tensor],
    variables: Sequence[torch.Tensor],
    sent: Sequence[torch.Tensor],
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> list[torch.Tensor | None]:
    """The gradients of outputs by variables, dense, when `sent` is sent back; None where there is no path."""
    found = torch.autograd.grad(outputs, variables, sent, retain_graph, create_graph, allow_unused=True)
    return [None if gradient is None else gradient.to_dense() for gradient in found]


def is_floating(dtype: torch.dtype) -> bool:
    """True for real and complex floating dtypes."""
    return dtype.is_floating_point or dtype.is_complex


def _differentiable(tensor: torch.Tensor) -> torch.Tensor:
    """A sample's tensor as an input that requires a gradient, where its dtype has one."""
    return tensor.detach().requires_grad_(is_floating(tensor.dtype))


def cast_module(module: nn.Module, dtype: torch.dtype, device: str) -> None:
    """Move a module, in place, to a device and its floating and complex tensors to a dtype."""
    tensors_of = [*module.parameters(), *module.buffers()]
    if dtype.is_complex or any(tensor.is_complex() for tensor in tensors_of):
        # Module.to() would drop the imaginary parts, or make real tensors complex.
        real = dtype.to_real() if dtype.is_complex else dtype
        module.to(device)
        for tensor in [*module.parameters(), *module.buffers()]:
            if tensor.is_complex():
                tensor.data = tensor.data.to(real.to_complex())
            elif tensor.is_floating_point():
                tensor.data = tensor.data.to(real)
    elif dtype.is_floating_point and device == "cpu":
        module.to(device).to(dtype)  # in this order: not every device holds float64
    elif dtype.is_floating_point:
        module.to(device=device, dtype=dtype)
    else:
        module.to(device)


def _name(function: Callable[..., Any]) -> str:
    """The qualified name of a callable; its code may change and still be compared with what it was."""
    if isinstance(function, functools.partial):
        return f"{_name(function.func)} {function.args!r} {sorted(function.keywords.items())!r}"
    named = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', '')}.{named}"


def _source(function: Callable[..., Any]) -> str:
    """The source text of a Python function, or the qualified name of any other callable."""
    try:
        return f"{_name(function)} {inspect.getsource(function)}"
    except (OSError, TypeError):
        return _name(function)
