"""Measuring one item in a process of its own, for what would leave this one unusable when it fails.

The child is a pytest run of that item alone; it finds the case as this run did, by collecting it. What it measured
comes back as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .settings import settings_of

if TYPE_CHECKING:
    from ..results.rows import Cell
    from ..timing import Measurement

#: The file that a child writes to; it is set in children alone.
VARIABLE = "TORCHBASICS_MEASURE_INTO"
#: A child imports torch, collects one item and measures it.
PATIENCE_S = 600
#: How much of what a failed child printed is told.
TAIL_LINES = 30


class IsolationError(Exception):
    """The process of its own died, hung or failed; the message holds the end of what it printed."""


def is_child() -> bool:
    """True in the process that measures one item for another one."""
    return VARIABLE in os.environ


def answer(measurement: Measurement | None, does_not_apply: str = "") -> None:
    """Tell the process that waits for it what was measured, or why nothing was."""
    found = None if measurement is None else dataclasses.asdict(measurement)
    text = json.dumps({"measurement": found, "does_not_apply": does_not_apply})
    Path(os.environ[VARIABLE]).write_text(text, encoding="utf-8")


def measure_apart(item: pytest.Item, cell: Cell, enabled: bool = True) -> Measurement | None:
    """Measure an item in a process of its own; None if timing is not enabled, and the phase only ran once there.

    Raises:
        DoesNotApply: the child found that the phase or the mode has no meaning.
        IsolationError: the child did not answer.
    """
    from ..timing import DoesNotApply

    with tempfile.TemporaryDirectory(prefix="torchbasics-") as folder:
        into = Path(folder) / "measurement.json"
        try:
            done = subprocess.run(
                [*_command(item, cell), *([] if enabled else ["--benchmark-disable"])],
                env={**os.environ, VARIABLE: str(into)},
                cwd=item.config.invocation_params.dir,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PATIENCE_S,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise IsolationError(f"the process of its own did not end within {PATIENCE_S} s") from None
        if not into.exists():
            tail = "\n".join([*done.stdout.splitlines(), *done.stderr.splitlines()][-TAIL_LINES:])
            raise IsolationError(f"the process of its own ended with {done.returncode} and measured nothing:\n{tail}")
        found = json.loads(into.read_text(encoding="utf-8"))
    if found["does_not_apply"]:
        raise DoesNotApply(found["does_not_apply"])
    return _measurement(found["measurement"]) if found["measurement"] else None


def _command(item: pytest.Item, cell: Cell) -> list[str]:
    """pytest on that item: the options that select it, and nothing that this run does besides."""
    config = item.config
    options = {
        "device": cell.device,
        "measure-dtype": cell.dtype,
        "mode": cell.mode,
        "phase": cell.phase,
        "threads": str(cell.threads),
        "timer-quality": settings_of(config).quality,
    }
    file = f"{config.rootpath / item.nodeid.split('::')[0]}::{item.nodeid.split('::', 1)[1]}"
    return [
        *(sys.executable, "-m", "pytest", file, f"--rootdir={config.rootpath}"),
        *(["-c", str(config.inipath)] if config.inipath is not None else []),
        *(word for name in config.option.plugins for word in ("-p", name)),
        *(f"--torchbasics-{name}={value}" for name, value in options.items()),
        *(["--torchbasics-cold-cache"] if settings_of(config).cold_cache else []),
        *("-p", "no:cacheprovider", "-p", "no:xdist", "--torchbasics-results=", "-q"),
    ]


def _measurement(found: dict[str, Any]) -> Measurement:
    from ..timing import Measured, Measurement

    tuples = {"metrics": tuple(Measured(**metric) for metric in found["metrics"])}
    tuples |= {name: tuple(found[name]) for name in ("samples_ns", "flags")}
    return Measurement(**{**found, **tuples})
