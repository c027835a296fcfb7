"""Before the first test: settings, markers, the header, the list of checks."""

from __future__ import annotations

import pytest

from .markers import MARKERS
from .settings import SETTINGS, read_settings

#: Marks that every item carries, for -m.
ITEM_MARKS = {
    "correctness": "an item of `check`",
    "speed": "an item of `measure`",
}


def configure(config: pytest.Config) -> None:
    """Read the settings and register the markers.

    Raises:
        pytest.UsageError: an option cannot be used; a device named here or in the configuration file is tried.
    """
    from ..backends import known_kinds
    from .settings import devices_of

    config.stash[SETTINGS] = settings = read_settings(config)
    for name, text in ITEM_MARKS.items():
        config.addinivalue_line("markers", f"{name}: {text} (torchbasics)")
    for kind in known_kinds():
        config.addinivalue_line("markers", f"{kind}: an item on the device kind {kind} (torchbasics)")
    for function in MARKERS.values():
        config.addinivalue_line("markers", (function.__doc__ or "").strip().split("\n")[0].rstrip("."))
    if settings.device_names is not None and not settings.notes:
        devices_of(config)


def header(config: pytest.Config) -> list[str]:
    """Lines for the header of a run: what is selected, if anything is."""
    settings = config.stash[SETTINGS]
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
