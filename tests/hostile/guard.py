"""Watches this process while it reads what others wrote: it writes nowhere else, calls nobody, unpickles nothing."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
#: Events whose first arguments are paths that are changed.
CHANGES = {
    "os.mkdir": 1,
    "os.rename": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.link": 2,
    "os.truncate": 1,
}
NEVER = (
    *("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty"),
    *("pickle.find_class", "ctypes.dlopen"),
)

_allowed: list[Path] = []
_seen: list[str] = []
_installed = False


@contextlib.contextmanager
def guarded(*folders: Path) -> Iterator[list[str]]:
    """Refuse, inside the block, what reading must not do, and keep a list of it.

    Args:
        folders: those that may be written to.

    Yields:
        What was refused, a line each; the block's end raises if there is any.
    """
    global _installed
    if not _installed:
        sys.addaudithook(_hook)  # for the life of the process, so it is asked only in a block
        _installed = True
    _seen.clear()
    _allowed[:] = [Path(os.path.realpath(folder)) for folder in folders]
    without_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield _seen
    finally:
        _allowed.clear()
        sys.dont_write_bytecode = without_bytecode
    assert not _seen, _seen


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _allowed:
        return
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, int) or not ((flags or 0) & WRITES or set(str(mode or "")) & set("wax+")):
            return
        paths = [path]
    elif event in CHANGES:
        paths = list(arguments[: CHANGES[event]])
    elif event in NEVER:
        _refuse(f"{event} {arguments!r:.200}")
        return
    else:
        return
    for path in paths:
        if not _is_inside(path):
            _refuse(f"{event} {path!r:.200}")


def _is_inside(path: Any) -> bool:
    name = os.fsdecode(path)
    if name == os.devnull:
        return True
    real = Path(os.path.realpath(name))
    return any(real.is_relative_to(folder) for folder in _allowed)


def _refuse(what: str) -> None:
    _seen.append(what)
    raise PermissionError(f"the guard refuses {what}")
