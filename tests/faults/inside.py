"""The plugin of the runs that faults strike: `-p tests.faults.inside`. It strikes where the environment says."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .faults import FAULTS, Scene

#: The name of a fault and the phase it strikes in; the case that it strikes; where witnesses are kept.
FAULT, PHASE, WITNESSES = "FAULT", "FAULT_PHASE", "FAULT_WITNESSES"
#: After how many bytes of its journal the disk is full.
DISK = "FAULT_DISK"
CASES = tuple("abcdefgh")
VICTIM = "d"

_open, _write, _close = os.open, os.write, os.close
#: Read once: a fault may clear the environment.
_asked = os.environ.get(FAULT, ""), os.environ.get(PHASE, ""), Path(os.environ.get(WITNESSES, "."))
_config: list[pytest.Config] = []


def pytest_configure(config: pytest.Config) -> None:
    _config[:] = [config]
    if DISK in os.environ:
        fill_disk_after(int(os.environ[DISK]))


def fill_disk_after(room: int) -> None:
    """Let the journal be taken up to a number of bytes: a part of a line is written without an error, then none."""
    from pytest_torchbasics.results import journal

    def write(handle: int, data: bytes) -> int:
        nonlocal room
        if "rescue" in os.readlink(f"/proc/self/fd/{handle}"):
            return _write(handle, data)
        if room == 0:
            note("full", "here")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = _write(handle, data[:room])
        room -= done
        return done

    journal._write = write


def note(name: str, line: str) -> None:
    """Add a line to a file of witnesses, past all that a fault may have patched."""
    handle = _open(_asked[2] / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    _write(handle, f"{line}\n".encode())
    _close(handle)


def strike(phase: str, case: str) -> None:
    """Let the fault happen, once, if this is where."""
    name, when, witnesses = _asked
    if not name or (case, phase) != (VICTIM, when) or (witnesses / "struck").exists():
        return
    from pytest_torchbasics.integration.recording import FOLDER

    (config,) = _config
    worker = getattr(config, "workerinput", None)
    folder = Path(worker["torchbasics_folder"]) if worker else config.stash[FOLDER].path
    note("struck", f"{name} in {phase}, process {os.getpid()}")
    note("evidence", str(FAULTS[name].do(Scene(config, folder, witnesses))))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist that has no test left waits for the fault: it strikes while all of them run."""
    deadline = time.monotonic() + 20
    while hasattr(session.config, "workerinput") and _asked[0] and not (_asked[2] / "struck").exists():
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)


@pytest.fixture
def scene(case: object) -> Iterator[None]:
    strike("setup", case.name)  # type: ignore[attr-defined]
    yield
    strike("teardown", case.name)  # type: ignore[attr-defined]
