"""`layer` and `op`: every fact that an author gives is checked here, and put into its one internal form."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ..numerics.dtypes import DtypeError, parse_dtypes
from .case import Case, Declared, Sizes, Tolerance
from .properties import Complexity
from .tensor import CaseError, Tensor

#: Sizes of the symbols that a case gives no sizes for: distinct primes, so that no two dimensions agree by
#: chance, and two of each, so that nothing holds for one size only. Timing uses one larger size.
DEFAULT_CHECK_SIZES = ((3, 5), (7, 2), (11, 13), (5, 3))
DEFAULT_TIMING_SIZE = 32
#: The symbol that stands for the batch dimension when `batch` is not given.
BATCH_SYMBOL = "N"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/=,+-]{0,119}")


def layer(name: str, factory: Callable[[], Any], *inputs: Any, **facts: Any) -> Case:
    """Declare a layer: `factory()` returns a fresh torch.nn.Module, called with `inputs`.

    Args:
        name: ASCII, unique in its list; it becomes part of the test ids.
        factory: makes the module; its random initial values are seeded by the plugin.
        inputs: `Tensor`s and plain Python values, in the order of the call.
        facts: what else is known, all optional:
            `output`: shape of the result, symbols allowed; a tuple, list or dict of shapes; or a function of the
            shapes of the tensor inputs. `output_dtype`: None for the dtype under test.
            `reference(module, *inputs)`: the expected result, computed another way.
            `samples(device, dtype, generator)`: a list of argument tuples, instead of `inputs`.
            `dtypes`, `devices`: where it works. `tolerance`: `dict(rtol=, atol=)` in place of the measured bound.
            `sizes`: of the symbols, `{"N": (1, 3, 32)}` (the last one is timed) or `{"N": {"check": (1, 3), "timing":
            (1, 32, 256)}}` (each of these is timed).
            `batch`: which arguments carry the batch in dimension 0; by default those whose first size is "N".
            `random_in_training`: True if it draws random numbers in training mode.
            `differentiable`: False if no gradient is defined. `fullgraph`: True if torch.compile must make one graph
            of it. `autocast`: True if it must run under torch.autocast. `properties`: what else holds, by
            `equivariant`, `invariant`, `causal`, `padding_mask`, `parameters`, `complexity` and `tied`, or any
            functions of `(module, *inputs)` that raise AssertionError or return False. `skip`, `known_failure`,
            `unsupported`: exceptions, each with a reason: `{"batch": "flattens the batch"}` or `Declared(...)`.
            `prepare(module)`: called once on each fresh module.

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
    if case.reference is not None and case.reference == case.target:
        raise CaseError("reference= is the function that it judges: compute the result in another way")
    if case.samples is not None and case.inputs:
        raise CaseError("give either inputs or samples=, not both")
    for item in case.inputs:
        if isinstance(item, (tuple, list, Mapping)) and "Tensor(" in repr(item):
            raise CaseError("a Tensor inside a tuple, list or dict is not made; use samples= to make such arguments")
    _signatures(case)
    symbols = _symbols(case.inputs)
    changes: dict[str, Any] = {
        "dtypes": parse_dtypes(_sequence(case.dtypes)),
        "devices": None if case.devices is None else tuple(str(d) for d in _sequence(case.devices)),
        "tolerance": _tolerance(case.tolerance),
        "sizes": _sizes(case.sizes, symbols),
        "batch": _batch(case),
        "output": _output(case.output, symbols),
        "output_dtype": _output_dtype(case.output_dtype),
        "properties": tuple(_sequence(case.properties)),
        "skip": _declared(case.skip),
        "known_failure": _declared(case.known_failure),
        "unsupported": _declared(case.unsupported),
    }
    for given in changes["properties"]:
        if isinstance(given, Complexity) and given.symbol not in symbols:
            raise CaseError(f"complexity({given.symbol!r}, ...): the symbols of the inputs are {list(symbols)}")
    if not changes["dtypes"]:
        raise CaseError("dtypes= is empty: it would test nothing")
    return replace(case, **changes)


def _signatures(case: Case) -> None:
    """Every function of the case takes what it will be called with."""
    inputs = [f"input{position}" for position in range(len(case.inputs))]
    is_layer = case.kind == "layer"
    calls: list[tuple[str, Any, list[str]]] = [
        ("factory", case.target, []) if is_layer else ("function", case.target, inputs),
        ("reference", case.reference, ["module", *inputs] if is_layer else inputs),
        *(("properties", given, ["module" if is_layer else "op", *inputs]) for given in _sequence(case.properties)),
        ("prepare", case.prepare, ["module"]),
        ("samples", case.samples, ["device", "dtype", "generator"]),
    ]
    for role, function, arguments in calls:
        if function is None:
            continue
        if not callable(function):
            raise CaseError(f"{role}= must be a function, got {function!r:.80}")
        if case.samples is not None and role in ("function", "reference", "properties"):
            continue  # how many arguments samples() makes is not known yet
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            continue  # many functions written in C tell no signature
        try:
            signature.bind(*arguments)
        except TypeError as error:
            name = getattr(function, "__name__", role)
            called = f"{name}({', '.join(arguments)})"
            raise CaseError(f"{role}: it is called as {called}, but it is {name}{signature}: {error}") from None


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
        default = Sizes(DEFAULT_CHECK_SIZES[position % len(DEFAULT_CHECK_SIZES)], (DEFAULT_TIMING_SIZE,))
        sizes[symbol] = _size(symbol, given[symbol]) if symbol in given else default
    return MappingProxyType(sizes)


def _size(symbol: str, value: Any) -> Sizes:
    if isinstance(value, Mapping):
        unknown = set(value) - {"check", "timing"}
        if unknown or not value:
            raise CaseError(f"sizes[{symbol!r}] has the keys 'check' and 'timing', got {value!r}")
        check = _sequence(value.get("check", value.get("timing")))
        timing = _sequence(value.get("timing", check[-1:]))
    else:
        check = _sequence(value)
        timing = check[-1:]
    if not check or not timing:
        raise CaseError(f"sizes[{symbol!r}] is empty: it would test nothing")
    for size in (*check, *timing):
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise CaseError(f"sizes[{symbol!r}]: a size is an int >= 0, got {size!r}")
    if len(set(timing)) < len(timing):
        raise CaseError(f"sizes[{symbol!r}]: a size to time stands twice in {tuple(timing)!r}")
    return Sizes(tuple(check), tuple(timing))


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
    if isinstance(output, Mapping) and output:
        return {key: _output(item, symbols) for key, item in output.items()}
    if not isinstance(output, (tuple, list)):
        raise CaseError(
            f"output= is a shape such as ('N', 2), a tuple, list or dict of shapes, or a function; got {output!r:.80}"
        )
    if any(isinstance(item, (tuple, list, Mapping)) for item in output):
        return [_output(item, symbols) for item in output]
    for size in output:
        if isinstance(size, str) and size not in symbols:
            raise CaseError(f"output= uses the symbol {size!r}, which no input has (they have {list(symbols)})")
        if isinstance(size, bool) or not isinstance(size, (int, str)):
            raise CaseError(f"output= holds {size!r}, which is neither an int nor a symbol")
    return tuple(output)


def _output_dtype(value: Any) -> Any:
    """As given, if each is a dtype or its name, or None."""
    for item in _sequence(value):
        if item is not None:
            (_,) = parse_dtypes([item])
    return value


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
