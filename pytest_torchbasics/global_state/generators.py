"""The random generators: a test may draw from them and seed them, and the next one finds them as it did."""

from __future__ import annotations

import ctypes
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from .probe import Probe


def _numpy_state() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state(legacy=True)
    return (name, np.asarray(keys).tobytes(), *rest)


def _numpy_stands(last: tuple[Any, ...]) -> bool:
    """True if the Mersenne twister's words and position, which are in memory as its C code has them, are the last ones.

    A normal number that is kept for the next call is elsewhere.
    """
    name, keys, position, kept, _ = last
    generator: Any = np.random.get_bit_generator()  # type: ignore[attr-defined]
    if name != "MT19937" or kept or not isinstance(generator, np.random.MT19937):
        return False
    words: bytes = keys + position.to_bytes(4, sys.byteorder)
    return ctypes.string_at(generator.ctypes.state_address, len(words)) == words


def _set_numpy_state(state: tuple[Any, ...]) -> None:
    name, keys, *rest = state
    np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *rest))


def _set_torch_state(state: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


TORCH = Probe(
    "torch's random generator", lambda: torch.get_rng_state().numpy().tobytes(), _set_torch_state, silent=True
)
FOREIGN = (
    Probe("Python's random generator", random.getstate, random.setstate, silent=True, lasting=True),
    Probe("NumPy's random generator", _numpy_state, _set_numpy_state, silent=True, lasting=True, same=_numpy_stands),
)
PROBES = (TORCH, *FOREIGN)


@contextmanager
def foreign_generators() -> Iterator[None]:
    """A context that puts back Python's and NumPy's random generators, and accuses nobody."""
    before = [(probe, probe.value()) for probe in FOREIGN]
    try:
        yield
    finally:
        for probe, old in before:
            probe.put_back(old)
