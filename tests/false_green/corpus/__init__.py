"""Every way to look green that is known, as one table: a file a group of families, a call a row."""

from . import (  # noqa: F401  (each adds its rows)
    comparing,
    declaring,
    ending,
    gradients,
    inputs,
    modes,
    projects,
    selecting,
    testing,
    timing,
    values,
)
from .row import FAMILIES, OUT_OF_SCOPE, ROWS, Command, Run

__all__ = ["FAMILIES", "OUT_OF_SCOPE", "ROWS", "Command", "Run"]
