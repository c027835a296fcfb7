"""The checks: each finds one kind of fault in one trial.

A check is a module of this package whose function has the module's name: `check(trial) -> Outcome`. The first
line of its docstring says what fault it finds. Other packages add checks through the entry point group
`pytest_torchbasics.checks`, whose names are the checks' names. Nothing else lists them.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from .outcome import CheckFailure, Outcome, Status

if TYPE_CHECKING:
    from ..trials import Trial

__all__ = [
    "CheckError",
    "CheckFailure",
    "Outcome",
    "Status",
    "check_names",
    "describe",
    "find",
    "parse_checks",
]

ENTRY_POINTS = "pytest_torchbasics.checks"
#: Modules of this package that are no checks.
_SUPPORT = {"outcome", "running", "support"}

Check = Callable[["Trial"], Outcome]


class CheckError(ValueError):
    """A check that does not exist."""


@functools.cache
def _others() -> tuple[EntryPoint, ...]:
    """The checks of other packages; looking through what is installed takes milliseconds, so it is done once."""
    return tuple(entry_points(group=ENTRY_POINTS))


@functools.cache
def check_names() -> tuple[str, ...]:
    """The names of all checks; nothing is imported."""
    own = {module.name for module in pkgutil.iter_modules(__path__)} - _SUPPORT
    return tuple(sorted(own | {point.name for point in _others()}))


def find(name: str) -> Check:
    """The check of that name.

    Raises:
        CheckError: there is none.
    """
    parse_checks([name])
    for point in _others():
        if point.name == name:
            return point.load()  # type: ignore[no-any-return]
    return getattr(importlib.import_module(f"{__name__}.{name}"), name)  # type: ignore[no-any-return]


def describe(name: str) -> str:
    """What fault the check finds: the first line of its docstring."""
    return (find(name).__doc__ or "").strip().split("\n")[0]


def parse_checks(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once, in the order given.

    Raises:
        CheckError: a name is no check, or there are none; the message lists the nearest.
    """
    known = check_names()
    found = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}"
            raise CheckError(f"unknown check {name!r}: {hint}")
    if not found:
        raise CheckError(f"no check is selected; there are: {', '.join(known)}")
    return found
