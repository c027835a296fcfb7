"""What is global in torch, and in the random generators: read, put back, and told who changed it."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .precision import quiet, readable, switches


@dataclass(frozen=True)
class Probe:
    """One piece of global state.

    Attributes:
        name: as a user would look for it.
        read: its value now.
        write: puts a value back; None where nothing can.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], None] | None


@contextmanager
def put_back(generator: bool) -> Iterator[list[str]]:
    """A context that puts back what its block changes in the process, and tells it.

    Args:
        generator: look at the state of torch's random generator on the CPU too.

    Yields:
        A list that holds, after the block, a phrase for every change: "the default dtype (torch.float64, before
        torch.float32)".
    """
    changes: list[str] = []
    with quiet():
        before = [(probe, _value(probe)) for probe in _probes(generator)]
    try:
        yield changes
    finally:
        with quiet():
            after = [_value(probe) for probe, _ in before]
            for (probe, old), new in zip(before, after, strict=True):
                if new != old:
                    changes.append(f"{probe.name} ({new}, before {old})" if len(repr(old)) < 40 else probe.name)
            for probe, old in before:
                if probe.write is not None and _value(probe) != old:  # writing one switch may move another
                    probe.write(old)


@contextmanager
def foreign_generators() -> Iterator[None]:
    """A context that puts back Python's and NumPy's random generators, and accuses nobody."""
    import numpy as np

    python, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def _value(probe: Probe) -> Any:
    try:
        return probe.read()
    except RuntimeError:  # torch has two interfaces to TF32, and refuses to read one that the other overruled
        return "unreadable"
    except FileNotFoundError:  # the working directory was removed
        return "gone"


def _set_default_device(name: str) -> None:
    import torch

    torch.set_default_device(None if name == "cpu" else name)


def _set_directory(path: str) -> None:
    if os.path.isdir(path):
        os.chdir(path)


def _set_anomaly(value: bool) -> None:
    import torch

    torch.autograd.set_detect_anomaly(value)


def _probes(generator: bool) -> list[Probe]:
    import torch

    found = [
        Probe("the default dtype", torch.get_default_dtype, torch.set_default_dtype),
        Probe("the default device", lambda: str(torch.get_default_device()), _set_default_device),
        Probe("grad mode", torch.is_grad_enabled, lambda value: torch._C._set_grad_enabled(value)),
        Probe("inference mode", torch.is_inference_mode_enabled, None),
        Probe("anomaly detection", torch.is_anomaly_enabled, _set_anomaly),
        Probe("the number of threads", torch.get_num_threads, torch.set_num_threads),
        Probe(
            "deterministic algorithms",
            lambda: (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
            ),
            lambda value: torch.use_deterministic_algorithms(value[0], warn_only=value[1]),
        ),
        *(_flag(torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic")),
        Probe(
            "checked invariants of sparse tensors",
            torch.sparse.check_sparse_tensor_invariants.is_enabled,
            lambda value: torch._C._set_check_sparse_tensor_invariants(value),
        ),
        *(probe for kind in ("cpu", "cuda") for probe in (_autocast(kind), _autocast_dtype(kind))),
        Probe("autocast's cache", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
        Probe("the working directory", os.getcwd, _set_directory),
        *(Probe(f"TF32 by {switch.title}", switch.read, switch.write) for switch in switches() if readable(switch)),
    ]
    return [*found, _generator()] if generator else found


def _flag(owner: Any, name: str) -> Probe:
    def write(value: Any) -> None:
        setattr(owner, name, value)

    return Probe(f"{owner.__name__}.{name}", lambda: getattr(owner, name), write)


def _autocast(kind: str) -> Probe:
    import torch

    def write(value: bool) -> None:
        torch.set_autocast_enabled(kind, value)

    return Probe(f"autocast on {kind}", lambda: torch.is_autocast_enabled(kind), write)


def _autocast_dtype(kind: str) -> Probe:
    import torch

    def write(value: torch.dtype) -> None:
        torch.set_autocast_dtype(kind, value)

    return Probe(f"the dtype of autocast on {kind}", lambda: torch.get_autocast_dtype(kind), write)


def _generator() -> Probe:
    import torch

    def write(state: bytes) -> None:
        torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))

    return Probe("torch's random generator", lambda: torch.get_rng_state().numpy().tobytes(), write)
