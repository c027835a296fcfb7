"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_torchbasics

from .environment import environment

HEAVY = {"torch", "torchvision", "pandas", "numpy", "pyarrow", "scipy", "rich", "pytest_benchmark"}


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment(), timeout=120
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import pytest_torchbasics",
        "from pytest_torchbasics import Tensor, layer, op; op('x', abs, Tensor('N'), output=('N',))",
        "from pytest_torchbasics.results import rows, journal",
        "import pytest_torchbasics.plugin",
        "import pytest_torchbasics.timing, pytest_torchbasics.backends",
    ],
)
def test_imports_are_light(code: str) -> None:
    assert modules_after(code) & HEAVY == set()


@pytest.mark.parametrize("code", ["from pytest_torchbasics import load, compare", "import pytest_torchbasics.cli"])
def test_reading_results_needs_no_torch_and_no_pytest(code: str) -> None:
    assert modules_after(code) & {"torch", "torchvision", "pytest"} == set()


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(pytest_torchbasics._HOMES) == pytest_torchbasics.__all__ == dir(pytest_torchbasics)
    for name in pytest_torchbasics.__all__:
        assert getattr(pytest_torchbasics, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'lyaer'"):
        pytest_torchbasics.lyaer  # noqa: B018
