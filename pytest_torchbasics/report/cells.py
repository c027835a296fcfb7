"""What a timed or checked cell is called in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .signs import PHASE_TITLES


def what(row: Mapping[Any, Any]) -> str:
    """The check, or the phase as readers know it."""
    check, phase = str(row.get("check", "")), str(row.get("phase", ""))
    return check or PHASE_TITLES.get(phase, phase)


def cell(row: Mapping[Any, Any]) -> str:
    """`linear N=32 · forward · cpu float32`: with sizes, mode and threads where they are not the usual."""
    sizes, mode, threads = str(row.get("sizes", "")), str(row.get("mode", "")), row.get("threads", 1)
    case = " ".join(filter(None, (str(row["case"]), sizes)))
    where = [str(row["device"]), str(row["dtype"]), "" if mode == "eager" else mode]
    where.append(f"{threads} threads" if isinstance(threads, int) and threads > 1 else "")
    return f"{case} · {what(row)} · {' '.join(filter(None, where))}"
