"""Declaring what to test: `layer`, `op`, `Tensor` and the immutable `Case` they make.

Declaring needs no torch; torch is imported when inputs are made.
"""

from __future__ import annotations

from .case import Case, Declared, Sizes, Tolerance
from .declaring import layer, op, validate_cases
from .tensor import CaseError, Tensor

__all__ = [
    "Case",
    "CaseError",
    "Declared",
    "Sizes",
    "Tensor",
    "Tolerance",
    "layer",
    "op",
    "validate_cases",
]
