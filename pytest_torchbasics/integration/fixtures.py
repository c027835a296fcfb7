"""The fixtures. Each does one thing; what they compute is elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import torch

    from ..cases import Case
    from ..checks import Outcome
    from ..timing import Measurement


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device under test, one after the other of --device."""
    import torch

    return torch.device(request.param)


@pytest.fixture(scope="session")
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    """The dtype under test, one after the other of --dtype."""
    from ..numerics.dtypes import torch_dtype

    return torch_dtype(request.param)


@pytest.fixture(scope="session")
def torchbasics_device(request: pytest.FixtureRequest) -> str | None:
    """The device of a case where another plugin has a fixture named `device`, else None."""
    return getattr(request, "param", None)


@pytest.fixture(scope="session")
def torchbasics_dtype(request: pytest.FixtureRequest) -> str | None:
    """The dtype of a case where another plugin has a fixture named `dtype`, else None."""
    return getattr(request, "param", None)


@pytest.fixture
def mode(request: pytest.FixtureRequest) -> str:
    """The execution mode under test: "eager", "compile", "channels_last+autocast"."""
    return str(getattr(request, "param", "eager"))


@pytest.fixture
def phase(request: pytest.FixtureRequest) -> str:
    """The phase that is timed: "forward", "backward" or "forward_backward"."""
    return str(getattr(request, "param", "forward"))


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """The case under test."""
    return request.param.case  # type: ignore[no-any-return]


@pytest.fixture
def generator(request: pytest.FixtureRequest, device: Any, torchbasics_device: str | None) -> torch.Generator:
    """A torch.Generator on the device, seeded from the test's name without its parameters."""
    import torch

    name = request.node.nodeid.split("[")[0]
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    return torch.Generator(torchbasics_device or device).manual_seed(seed)


@pytest.fixture
def torchbasics_check(request: pytest.FixtureRequest) -> str:
    """The name of the check that `check` runs."""
    return str(request.param)


@pytest.fixture
def torchbasics_sizes(request: pytest.FixtureRequest) -> str:
    """Which of the sizes that the case declares for timing: `N=32`; empty for the only ones."""
    return str(getattr(request, "param", ""))


@pytest.fixture
def torchbasics_threads(request: pytest.FixtureRequest) -> int:
    """How many threads of the CPU are timed."""
    return int(getattr(request, "param", 1))


@pytest.fixture
def check(
    request: pytest.FixtureRequest,
    torchbasics_check: str,
    case: Case,
    mode: str,
    device: Any,
    dtype: Any,
    torchbasics_device: str | None,
    torchbasics_dtype: str | None,
) -> Iterator[Callable[[], Outcome]]:
    """`check()` runs the item's check on the case, device and dtype, and fails, skips or passes the test."""
    from .checking import Checker

    checker = Checker(
        request, case, torchbasics_device or str(device), torchbasics_dtype or str(dtype), mode, torchbasics_check
    )
    yield checker
    checker.require_called()


@pytest.fixture
def _torchbasics_clock(request: pytest.FixtureRequest) -> Any:
    """The clock through which our measured times reach pytest-benchmark's fixture."""
    from .benchmark import install_clock

    return install_clock(request)


@pytest.fixture
def measure(
    request: pytest.FixtureRequest,
    _torchbasics_clock: Any,
    benchmark: Any,
    case: Case,
    phase: str,
    mode: str,
    device: Any,
    dtype: Any,
    torchbasics_device: str | None,
    torchbasics_dtype: str | None,
    torchbasics_sizes: str,
    torchbasics_threads: int,
) -> Iterator[Callable[[], Measurement | None]]:
    """`measure()` times the item's phase of the case, on pytest-benchmark's fixture."""
    from .measuring import Measurer

    measurer = Measurer(
        request,
        case,
        torchbasics_device or str(device),
        torchbasics_dtype or str(dtype),
        mode,
        phase,
        torchbasics_sizes,
        torchbasics_threads,
        benchmark,
        _torchbasics_clock,
    )
    yield measurer
    measurer.require_called()
