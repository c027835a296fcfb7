"""The probes of what runs or is held on after a test, and cannot be put back: threads, processes, files, memory.

What others start once and keep for the whole process is nobody's fault, and what is about to end gets a moment.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import re
import sys
import threading
from collections.abc import Callable

# Private references: a test may have patched them.
from os import close, dup, listdir, readlink
from pathlib import Path
from time import monotonic, sleep

import torch

from ..backends import Backend
from .probe import Probe, several

#: How long a thread or a process may take to end that was told to.
GRACE_S = 0.25
#: Libraries whose threads serve the whole process.
SERVERS = re.compile(r"(torch|tqdm|multiprocessing|_pytest|xdist|execnet|pytest_\w+)\b")
#: Processes that are started once: by multiprocessing, and by torch to compile and to share memory.
SERVING = re.compile(rb"resource_tracker|multiprocessing.forkserver|compile_worker|torch_shm_manager")
#: Memory that libraries take once, for their workspaces, in pieces of the allocator's own.
WORKSPACE_BYTES = 32 << 20


def _told(left: Callable[[], list[str]]) -> str | None:
    """What is left after a moment, and after what nobody refers to any more was freed; None if nothing is.

    Nothing while pytest holds the frames of a failed test, and with them its local variables: until the next one.
    """
    if getattr(sys, "last_traceback", None) is not None:
        return None
    deadline = monotonic() + GRACE_S
    if left():
        gc.collect()
    while (found := left()) and monotonic() < deadline:
        sleep(0.005)
    return several(sorted(found)) or None


def _threads() -> frozenset[threading.Thread]:
    return frozenset(threading.enumerate())


def _serves(thread: threading.Thread) -> bool:
    """True if a thread belongs to a library, to C++, or to a pool and waits there for work."""
    if isinstance(thread, threading._DummyThread):
        return True
    owner = type(thread).__module__
    if owner == "threading":
        owner = getattr(getattr(thread, "_target", None), "__module__", None) or ""
    frame = sys._current_frames().get(thread.ident or 0)
    waits = frame is not None and frame.f_globals.get("__name__") == "concurrent.futures.thread"
    return waits or bool(SERVERS.match(owner))


def _threads_told(old: frozenset[threading.Thread], new: frozenset[threading.Thread]) -> str | None:
    def left() -> list[str]:
        return [thread.name for thread in new - old if thread.is_alive() and not _serves(thread)]

    return _told(left)


def _children() -> frozenset[bytes]:
    handle = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
    try:
        return frozenset(os.read(handle, 1 << 16).split())
    finally:
        close(handle)


def _program(pid: bytes) -> bytes:
    """The command line of a process, else its name; empty if it has ended, or serves the whole process."""
    folder = Path(os.fsdecode(b"/proc/" + pid))
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").strip()  # empty while it is being started
        name, _, status = (folder / "stat").read_bytes().rpartition(b")")
    except OSError:
        return b""
    ended = status.split()[0] == b"Z"
    return b"" if ended or SERVING.search(command) else command or name


def _children_told(old: frozenset[bytes], new: frozenset[bytes]) -> str | None:
    def left() -> list[str]:
        return [f"{int(pid)}: {os.fsdecode(command[:60])}" for pid in new - old if (command := _program(pid))]

    return _told(left)


def _descriptors() -> frozenset[str]:
    lowest = dup(0)  # what listing them takes itself
    close(lowest)
    return frozenset(listdir("/proc/self/fd")) - {str(lowest)}


def _file(descriptor: str) -> str:
    """The path of an open file, or the name of a socket; empty for what is no file, and for our own journals."""
    path = ""
    with contextlib.suppress(OSError):
        path = readlink(f"/proc/self/fd/{descriptor}")
    foreign = path.startswith(("/dev/", "/proc/", "/sys/", "/memfd:")) or re.search(r"rows[\w-]*\.jsonl", path)
    return path if path.startswith(("/", "socket:")) and not foreign else ""


def _files_told(old: frozenset[str], new: frozenset[str]) -> str | None:
    def left() -> list[str]:
        return [path for descriptor in new - old if (path := _file(descriptor))]

    return _told(left)


#: What can be read on Linux alone is not watched elsewhere.
PROBES = (
    Probe("threads", _threads, remedy="stop and join the thread", tell=_threads_told),
    Probe("child processes", _children, remedy="end the process and wait for it", tell=_children_told),
    Probe("open files", _descriptors, remedy="close the file, in a `with` block", tell=_files_told),
)


def _memory_told(backend: Backend, device: str, old: int, new: int) -> str | None:
    def left() -> list[str]:
        more = (backend.held_memory(device) or 0) - old
        return [f"{more / 2**20:.0f} MiB more"] if more > WORKSPACE_BYTES else []

    return _told(left)


@functools.cache  # the probes of a device stay the same
def device_probes(backend: Backend, device: str) -> tuple[Probe, ...]:
    """The probes of a device that the process uses."""

    def generator() -> tuple[torch.dtype, bytes]:
        state = backend.rng_state(device).cpu()
        return state.dtype, state.numpy().tobytes()

    def set_generator(state: tuple[torch.dtype, bytes]) -> None:
        backend.set_rng_state(torch.frombuffer(bytearray(state[1]), dtype=state[0]), device)

    return (
        Probe(
            f"the random generator of {device}",
            generator,
            set_generator,
            silent=True,
        ),
        Probe(
            f"memory of {device}",
            lambda: backend.held_memory(device) or 0,
            remedy="let go of tensors that a fixture, a module or a class keeps",
            tell=functools.partial(_memory_told, backend, device),
            lasting=True,
        ),
    )
