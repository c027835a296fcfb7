"""Whether the process that wrote a run still lives; a process id alone is given to another one later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """This process: its id, when it was started, and the boot it was started in (null where that is not told)."""
    return {"pid": os.getpid(), "pid_started": _started(os.getpid()), "boot": _boot()}


def is_alive(recorded: Mapping[str, Any]) -> bool:
    """True if the process of this `identity` still runs on this machine."""
    pid = recorded.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid < 1 << 31:
        return False
    if recorded.get("boot") != _boot():
        return False
    if recorded.get("pid_started") is not None:
        return bool(_started(pid) == recorded["pid_started"])
    return _answers(pid)


def _started(pid: int) -> int | None:
    """When a process was started, in clock ticks since the boot (field 22 of Linux's stat); None if not known."""
    try:
        # The second field is the program's name in brackets, which may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] == "Z" else int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _answers(pid: int) -> bool:
    if os.name == "nt":  # os.kill ends the process there, whatever the signal
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
