"""Declaring what to test: `layer`, `op`, `Tensor` and the immutable `Case` they make.

Declaring needs no torch; torch is imported when inputs are made.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .numerics.dtypes import FLOATING, DtypeError, dtype_name, parse_dtypes

if TYPE_CHECKING:
    import torch

#: Sizes of the symbols that a case gives no sizes for: distinct primes, so that no two dimensions agree by
#: chance, and two of each, so that nothing holds for one size only. Timing uses one larger size.
DEFAULT_CHECK_SIZES = ((3, 5), (7, 2), (11, 13), (5, 3))
DEFAULT_TIMING_SIZE = 32
#: Ways to execute a case.
MODES = ("eager", "compile")
#: The symbol that stands for the batch dimension when `batch` is not given.
BATCH_SYMBOL = "N"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/=,+-]{0,119}")
_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class CaseError(ValueError):
    """A case that is declared wrongly; the message names the case and says what to do."""


@dataclass(frozen=True, init=False)
class Tensor:
    """A tensor input: a shape of ints and symbols, and what it is filled with.

    Args:
        shape: sizes; a string is a symbol, whose values come from the case's `sizes`.
        dtype: None for the dtype under test; else a fixed one (integer, bool and complex are first-class).
        low, high: values are uniform in [low, high); floating tensors without them are standard normal,
            integers are in [0, 10).
        fill: one number for a constant tensor, or nested lists of values of the given shape.
        requires_grad: None for what the dtype allows: floating and complex tensors do.

    Raises:
        CaseError: a size is neither an int >= 0 nor a symbol, or the options contradict each other.
    """

    shape: tuple[int | str, ...]
    dtype: str | None
    low: float | None
    high: float | None
    fill: Any
    requires_grad: bool | None

    def __init__(
        self,
        *shape: int | str,
        dtype: str | torch.dtype | None = None,
        low: float | None = None,
        high: float | None = None,
        fill: Any = None,
        requires_grad: bool | None = None,
    ) -> None:
        for size in shape:
            if isinstance(size, bool) or not isinstance(size, (int, str)):
                raise CaseError(f"Tensor{shape}: a size is an int or a symbol, got {size!r}")
            if isinstance(size, int) and size < 0:
                raise CaseError(f"Tensor{shape}: size {size} is negative")
            if isinstance(size, str) and not _SYMBOL.fullmatch(size):
                raise CaseError(f"Tensor{shape}: {size!r} is no symbol (a name such as 'N')")
        if fill is not None and (low is not None or high is not None):
            raise CaseError(f"Tensor{shape}: give either fill or low and high, not both")
        if low is not None and high is not None and not low < high:
            raise CaseError(f"Tensor{shape}: low={low} is not below high={high}")
        if dtype is not None:
            try:
                (dtype,) = parse_dtypes([dtype])
            except DtypeError as error:
                raise CaseError(f"Tensor{shape}: {error}") from None
            except ValueError:
                raise CaseError(f"Tensor{shape}: dtype {dtype_name(dtype)!r} is a group, give one") from None
        if requires_grad and dtype is not None and not _has_gradients(dtype):
            raise CaseError(f"Tensor{shape}: a tensor of dtype {dtype} has no gradient")
        for name, value in (
            ("shape", shape),
            ("dtype", dtype),
            ("low", low),
            ("high", high),
            ("fill", _freeze(fill)),
            ("requires_grad", requires_grad),
        ):
            object.__setattr__(self, name, value)

    @property
    def constant(self) -> bool:
        """True if every element is the same by declaration."""
        return self.fill is not None and not isinstance(self.fill, tuple)

    def make(self, sizes: Mapping[str, int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
        """A tensor on the CPU, its values rounded to `dtype` (or to the tensor's own dtype).

        The values are drawn in float64, so that they are the same in every dtype up to rounding.
        """
        import torch

        from .numerics.dtypes import torch_dtype, wide

        shape = [sizes[size] if isinstance(size, str) else size for size in self.shape]
        wanted = dtype if self.dtype is None else torch_dtype(self.dtype)
        if self.fill is not None:
            values = torch.as_tensor(_thaw(self.fill), dtype=wide(wanted)).expand(shape).clone()
        elif wanted.is_floating_point or wanted.is_complex:
            values = self._draw(shape, wide(wanted), generator)
        else:
            low = 0 if self.low is None else int(self.low)
            high = (2 if wanted == torch.bool else 10) if self.high is None else int(self.high)
            values = torch.randint(low, max(high, low + 1), shape, generator=generator)
        made = values.to(wanted)
        differentiable = made.is_floating_point() or made.is_complex()
        return made.requires_grad_(differentiable if self.requires_grad is None else self.requires_grad)

    def _draw(self, shape: list[int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
        import torch

        if self.low is None and self.high is None:
            return torch.randn(shape, generator=generator, dtype=dtype)
        low = 0.0 if self.low is None else self.low
        high = low + 1.0 if self.high is None else self.high
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=dtype)


@dataclass(frozen=True)
class Declared:
    """An exception an author declares, with its reason; None stands for every check, device or dtype."""

    reason: str
    check: str | None = None
    device: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str) or not self.reason.strip():
            raise CaseError(f"a declared exception needs a reason in words, got {self.reason!r}")
        if self.dtype is not None:
            full = parse_dtypes([self.dtype])
            if len(full) > 1:
                raise CaseError(f"dtype={self.dtype!r} is a group: declare one exception for each of {', '.join(full)}")
            object.__setattr__(self, "dtype", full[0])

    def covers(self, check: str | None, device: str, dtype: str) -> bool:
        """True if it holds for this check (None: timing), device (`cuda` also covers `cuda:1`) and dtype."""
        return (
            (self.check is None or self.check == check)
            and (self.device is None or self.device in (device, device.split(":")[0]))
            and (self.dtype is None or self.dtype == dtype)
        )


@dataclass(frozen=True)
class Sizes:
    """Values of one symbol: for the checks, one after the other, and the one for timing."""

    check: tuple[int, ...]
    timing: int


@dataclass(frozen=True)
class Tolerance:
    """An allowed error given by the author: atol + rtol * |expected|."""

    rtol: float
    atol: float


@dataclass(frozen=True)
class Case:
    """A layer or an op with its inputs and everything its author knows. Made by `layer` and `op`."""

    name: str
    kind: str  # "layer" or "op"
    target: Callable[..., Any]
    inputs: tuple[Any, ...]
    output: Any = None
    output_dtype: Any = None
    reference: Callable[..., Any] | None = None
    samples: Callable[..., Any] | None = None
    dtypes: tuple[str, ...] = FLOATING
    devices: tuple[str, ...] | None = None
    tolerance: Tolerance | None = None
    sizes: Mapping[str, Sizes] = field(default_factory=lambda: MappingProxyType({}))
    batch: tuple[int, ...] | None = None
    random_in_training: bool | None = None
    differentiable: bool = True
    properties: tuple[Callable[..., Any], ...] = ()
    skip: tuple[Declared, ...] = ()
    known_failure: tuple[Declared, ...] = ()
    unsupported: tuple[Declared, ...] = ()
    prepare: Callable[..., Any] | None = None

    def assignments(self) -> Iterator[Mapping[str, int]]:
        """Values of the symbols for the checks: the j-th takes the j-th value of every symbol, in a circle."""
        rounds = max((len(sizes.check) for sizes in self.sizes.values()), default=1)
        for j in range(rounds):
            yield {symbol: sizes.check[j % len(sizes.check)] for symbol, sizes in self.sizes.items()}

    def timing_assignment(self) -> Mapping[str, int]:
        """Values of the symbols for timing."""
        return {symbol: sizes.timing for symbol, sizes in self.sizes.items()}


def layer(name: str, factory: Callable[[], Any], *inputs: Any, **facts: Any) -> Case:
    """Declare a layer: `factory()` returns a fresh torch.nn.Module, called with `inputs`.

    Args:
        name: ASCII, unique in its list; it becomes part of the test ids.
        factory: makes the module; its random initial values are seeded by the plugin.
        inputs: `Tensor`s and plain Python values, in the order of the call.
        facts: what else is known, all optional:
            `output`: shape of the result, symbols allowed; nested for several results; or a function of the
            shapes of the tensor inputs. `output_dtype`: None for the dtype under test.
            `reference(module, *inputs)`: the expected result, computed another way.
            `samples(device, dtype, generator)`: a list of argument tuples, instead of `inputs`.
            `dtypes`, `devices`: where it works. `tolerance`: `dict(rtol=, atol=)` in place of the measured bound.
            `sizes`: of the symbols, `{"N": (1, 3, 32)}` or `{"N": {"check": (1, 3), "timing": 32}}`.
            `batch`: which arguments carry the batch in dimension 0; by default those whose first size is "N".
            `random_in_training`: True if it draws random numbers in training mode.
            `differentiable`: False if no gradient is defined. `properties`: functions of `(module, *inputs)`
            that raise AssertionError or return False. `skip`, `known_failure`, `unsupported`: exceptions, each
            with a reason: `{"batch": "flattens the batch"}` or `Declared(...)`. `prepare(module)`: called once
            on each fresh module.

    Raises:
        CaseError: the declaration is wrong; the message names the case.
    """
    return _case("layer", name, factory, inputs, facts)


def op(name: str, function: Callable[..., Any], *inputs: Any, **facts: Any) -> Case:
    """Declare an op: `function(*inputs)`. The facts are those of `layer`; `reference(*inputs)` takes no module."""
    return _case("op", name, function, inputs, facts)


def validate_cases(cases: Iterable[Any]) -> tuple[Case, ...]:
    """The cases of one list, after checking that it is not empty and that no name stands twice.

    Raises:
        CaseError: the list is empty, holds something else, or repeats a name.
    """
    if not isinstance(cases, (list, tuple)):
        raise CaseError(f"cases takes one list of cases made by layer() or op(), got {cases!r:.80}")
    found: dict[str, Case] = {}
    for item in cases:
        if not isinstance(item, Case):
            raise CaseError(f"a list of cases holds {item!r:.80}, which layer() or op() did not make")
        if item.name in found:
            raise CaseError(f"two cases are named {item.name!r}: names must be unique in a list")
        found[item.name] = item
    if not found:
        raise CaseError("the list of cases is empty: it would test nothing")
    return tuple(found.values())


def _case(kind: str, name: str, target: Callable[..., Any], inputs: tuple[Any, ...], facts: dict[str, Any]) -> Case:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CaseError(
            f"case name {name!r}: use 1 to 120 ASCII letters, digits or _.:/=,+- and begin with a letter or digit"
        )
    try:
        return _checked(Case(name=name, kind=kind, target=target, inputs=inputs, **facts))
    except CaseError as error:
        raise CaseError(f"case {name!r}: {error}") from None
    except (DtypeError, TypeError) as error:
        text = str(error).replace("Case.__init__()", f"{kind}()")
        raise CaseError(f"case {name!r}: {text}") from None


def _checked(case: Case) -> Case:
    """The case with every fact in its one internal form."""
    if not callable(case.target):
        raise CaseError(f"{case.kind}() takes something to call, got {case.target!r:.80}")
    if case.kind == "op" and inspect.isclass(case.target):
        raise CaseError("op() takes a function; for a module class use layer(name, factory, ...)")
    if case.samples is not None and case.inputs:
        raise CaseError("give either inputs or samples=, not both")
    for name in ("samples", "reference", "prepare"):
        value = getattr(case, name)
        if value is not None and not callable(value):
            raise CaseError(f"{name}= must be a function, got {value!r:.80}")
    for item in case.inputs:
        if isinstance(item, (tuple, list, Mapping)) and "Tensor(" in repr(item):
            raise CaseError("a Tensor inside a tuple, list or dict is not made; use samples= to make such arguments")
    symbols = _symbols(case.inputs)
    changes: dict[str, Any] = {
        "dtypes": parse_dtypes(_sequence(case.dtypes)),
        "devices": None if case.devices is None else tuple(str(d) for d in _sequence(case.devices)),
        "tolerance": _tolerance(case.tolerance),
        "sizes": _sizes(case.sizes, symbols),
        "batch": _batch(case),
        "output": _output(case.output, symbols),
        "properties": tuple(_sequence(case.properties)),
        "skip": _declared(case.skip),
        "known_failure": _declared(case.known_failure),
        "unsupported": _declared(case.unsupported),
    }
    if not changes["dtypes"]:
        raise CaseError("dtypes= is empty: it would test nothing")
    for function in case.properties:
        if not callable(function):
            raise CaseError(f"properties= holds {function!r:.80}, which is no function")
    return replace(case, **changes)


def _symbols(inputs: tuple[Any, ...]) -> tuple[str, ...]:
    found = [size for item in inputs if isinstance(item, Tensor) for size in item.shape]
    return tuple(dict.fromkeys(size for size in found if isinstance(size, str)))


def _sizes(given: Mapping[str, Any], symbols: tuple[str, ...]) -> Mapping[str, Sizes]:
    if not isinstance(given, Mapping):
        raise CaseError(f"sizes= maps symbols to sizes, such as {{'N': (3, 5)}}; got {given!r:.80}")
    unknown = [symbol for symbol in given if symbol not in symbols]
    if unknown:
        raise CaseError(f"sizes= names {unknown[0]!r}, but the symbols of the inputs are {list(symbols)}")
    sizes = {}
    for position, symbol in enumerate(symbols):
        default = Sizes(DEFAULT_CHECK_SIZES[position % len(DEFAULT_CHECK_SIZES)], DEFAULT_TIMING_SIZE)
        sizes[symbol] = _size(symbol, given[symbol]) if symbol in given else default
    return MappingProxyType(sizes)


def _size(symbol: str, value: Any) -> Sizes:
    if isinstance(value, Mapping):
        unknown = set(value) - {"check", "timing"}
        if unknown or not value:
            raise CaseError(f"sizes[{symbol!r}] has the keys 'check' and 'timing', got {value!r}")
        check = _sequence(value.get("check", value.get("timing")))
        timing = value.get("timing", check[-1] if check else None)
    else:
        check = _sequence(value)
        timing = check[-1] if check else None
    if not check:
        raise CaseError(f"sizes[{symbol!r}] is empty: it would test nothing")
    for size in (*check, timing):
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise CaseError(f"sizes[{symbol!r}]: a size is an int >= 0, got {size!r}")
    return Sizes(tuple(check), timing)


def _batch(case: Case) -> tuple[int, ...]:
    if case.batch is None and case.output == ():
        return ()  # a single number has no batch
    if case.batch is None:
        return tuple(
            index
            for index, item in enumerate(case.inputs)
            if isinstance(item, Tensor) and item.shape[:1] == (BATCH_SYMBOL,)
        )
    batch = _sequence(case.batch)
    for index in batch:
        if isinstance(index, bool) or not isinstance(index, int) or index < 0:
            raise CaseError(f"batch= holds positions of arguments, such as (0,); got {index!r}")
        if case.samples is None and index >= len(case.inputs):
            raise CaseError(f"batch= names argument {index}, but there are {len(case.inputs)} inputs")
    return tuple(batch)


def _output(output: Any, symbols: tuple[str, ...]) -> Any:
    if output is None or callable(output):
        return output
    if not isinstance(output, (tuple, list)):
        raise CaseError(f"output= is a shape such as ('N', 2), nested shapes or a function; got {output!r:.80}")
    if any(isinstance(item, (tuple, list)) for item in output):
        return [_output(item, symbols) for item in output]
    for size in output:
        if isinstance(size, str) and size not in symbols:
            raise CaseError(f"output= uses the symbol {size!r}, which no input has (they have {list(symbols)})")
        if isinstance(size, bool) or not isinstance(size, (int, str)):
            raise CaseError(f"output= holds {size!r}, which is neither an int nor a symbol")
    return tuple(output)


def _tolerance(value: Any) -> Tolerance | None:
    if value is None or isinstance(value, Tolerance):
        return value
    pair = dict(value) if isinstance(value, Mapping) else dict(zip(("rtol", "atol"), value, strict=False))
    if set(pair) != {"rtol", "atol"} or not all(isinstance(v, (int, float)) and v >= 0 for v in pair.values()):
        raise CaseError(f"tolerance= needs rtol and atol, both numbers >= 0; got {value!r:.80}")
    return Tolerance(**pair)


def _declared(value: Any) -> tuple[Declared, ...]:
    if isinstance(value, Declared):
        return (value,)
    if isinstance(value, str):
        return (Declared(value),)
    if isinstance(value, Mapping):
        return tuple(Declared(reason, check=check) for check, reason in value.items())
    for item in _sequence(value):
        if not isinstance(item, Declared):
            raise CaseError(f"an exception is a reason, {{check: reason}} or Declared(...); got {item!r:.80}")
    return tuple(value)


def _sequence(value: Any) -> Sequence[Any]:
    if isinstance(value, (tuple, list)):
        return value
    return (value,)


def _has_gradients(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat", "complex"))


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, (list, tuple)) else value


def _thaw(value: Any) -> Any:
    return [_thaw(item) for item in value] if isinstance(value, tuple) else value
