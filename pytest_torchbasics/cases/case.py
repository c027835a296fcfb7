"""`Case`, what is declared once and never changes, and the parts that it is made of."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ..numerics.dtypes import FLOATING, parse_dtypes
from .tensor import CaseError


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
    """Values of one symbol: for the checks, one after the other, and those that are timed."""

    check: tuple[int, ...]
    timing: tuple[int, ...]


@dataclass(frozen=True)
class Tolerance:
    """An allowed error given by the author: atol + rtol * |expected|."""

    rtol: float
    atol: float


@dataclass(frozen=True, eq=False)
class Case:
    """A layer or an op with its inputs and everything its author knows. Made by `layer` and `op`.

    A case is equal to itself only, so that what is computed for it can be kept by it.
    """

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
    fullgraph: bool = False
    autocast: bool = False
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

    def timing_assignments(self) -> Mapping[str, Mapping[str, int]]:
        """Values of the symbols for timing, every combination, by a name of what differs: `N=32,T=128`.

        The name of the only one is empty.
        """
        several = [symbol for symbol, sizes in self.sizes.items() if len(sizes.timing) > 1]
        combinations = itertools.product(*(sizes.timing for sizes in self.sizes.values()))
        found = (dict(zip(self.sizes, values, strict=True)) for values in combinations)
        return {",".join(f"{symbol}={values[symbol]}" for symbol in several): values for values in found}
