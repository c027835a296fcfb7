"""Check that PyTorch layers and ops are right, and time them, on every device and dtype, from one declaration.

Everything is imported when it is first used, so that `import pytest_torchbasics` needs neither torch nor pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis.compare import compare
    from .cases import Case, CaseError, Declared, Tensor, layer, op
    from .cases.properties import causal, complexity, equivariant, invariant, padding_mask, parameters, tied
    from .checks.outcome import CheckFailure, Outcome
    from .checks.running import assert_case, run_check
    from .results.load import load
    from .timing.measuring import measure_case
    from .trials import Trial

__version__ = "0.1.0"

#: Where each public name lives.
_HOMES = {
    "Case": "cases",
    "CaseError": "cases",
    "CheckFailure": "checks.outcome",
    "Declared": "cases",
    "Outcome": "checks.outcome",
    "Tensor": "cases",
    "Trial": "trials",
    "assert_case": "checks.running",
    "causal": "cases.properties",
    "compare": "analysis.compare",
    "complexity": "cases.properties",
    "equivariant": "cases.properties",
    "invariant": "cases.properties",
    "layer": "cases",
    "load": "results.load",
    "measure_case": "timing.measuring",
    "op": "cases",
    "padding_mask": "cases.properties",
    "parameters": "cases.properties",
    "run_check": "checks.running",
    "tied": "cases.properties",
}

__all__ = [
    "Case",
    "CaseError",
    "CheckFailure",
    "Declared",
    "Outcome",
    "Tensor",
    "Trial",
    "assert_case",
    "causal",
    "compare",
    "complexity",
    "equivariant",
    "invariant",
    "layer",
    "load",
    "measure_case",
    "op",
    "padding_mask",
    "parameters",
    "run_check",
    "tied",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
