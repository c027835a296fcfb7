"""Before the first test: settings, markers, the header, the list of checks."""

from __future__ import annotations

import pytest

from .markers import MARKERS
from .options import FOREIGN, any_given

#: Marks that every item carries, for -m.
ITEM_MARKS = {
    "correctness": "an item of `check`",
    "speed": "an item of `measure`",
}


def configure(config: pytest.Config) -> None:
    """Register the markers and check the options that are given.

    Raises:
        pytest.UsageError: an option cannot be used.
    """
    for name, function in MARKERS.items():
        text = (function.__doc__ or name).strip().split("\n")[0].rstrip(".")
        config.addinivalue_line("markers", f"{text} (torchbasics)")
    if config.getoption("markers", False):
        register_item_marks(config)
    if not any_given(config):
        return
    from .settings import devices_of, settings_of

    settings = settings_of(config)
    if settings.device_names is not None and not settings.device_is_foreign:
        devices_of(config)


def register_item_marks(config: pytest.Config) -> None:
    """Register the marks that items carry."""
    from ..backends import known_kinds

    for name, text in ITEM_MARKS.items():
        config.addinivalue_line("markers", f"{name}: {text} (torchbasics)")
    for kind in known_kinds():
        config.addinivalue_line("markers", f"{kind}: an item on the device kind {kind} (torchbasics)")


def header(config: pytest.Config) -> list[str]:
    """Lines for the header of a run: what is selected, if anything is."""
    if not any_given(config) and not config.stash.get(FOREIGN, {}):
        return []
    from .settings import settings_of

    settings = settings_of(config)
    chosen = {
        "devices": settings.device_names,
        "dtypes": settings.dtypes,
        "modes": settings.modes if settings.modes != ("eager",) else None,
        "checks": settings.checks,
    }
    found = [f"{name} {', '.join(values)}" for name, values in chosen.items() if values]
    lines = [f"torchbasics: {'; '.join(found)}"] if found else []
    return [*lines, *(f"torchbasics: {note}" for note in settings.notes)]


def list_checks() -> int:
    """Print each check and what it finds."""
    import sys

    from ..checks import check_names, describe

    width = max(map(len, check_names()))
    for name in check_names():
        sys.stdout.write(f"{name:<{width}}  {describe(name)}\n")
    return 0
