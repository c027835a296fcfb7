"""The faults: one entry each, told by the docstring of its function. They strike within a run of pytest.

Each says how a run must end that meets it; `tests/faults/test_matrix.py` holds what that means. A function that comes
back returns its evidence that the fault is there, which is empty if it is not.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import os
import resource
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PHASES = ("setup", "call", "teardown")
#: How a run ends: the process is gone; it stops early, in order; the test fails and the others run; nothing is lost.
ENDS = {
    "dies": "the process is gone",
    "stops": "the run ends early",
    "fails": "the test fails, the others run",
    "survives": "all tests run",
}
#: The id of a run that was before.
EARLIER = "20200101T000000Z-0badcafe"


@dataclass(frozen=True)
class Scene:
    """Where a fault strikes: the config of the run, its folder, and a folder for witnesses."""

    config: pytest.Config
    folder: Path
    witnesses: Path


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        do: what happens.
        ends: one of `ENDS`.
        code: the exit codes that a run by one process may have.
        workers_code: the same under xdist; None: it is not tried there.
        phases: when it strikes; none: a test of its own tries it.
        options: what pytest is told besides.
        alone: it kills the one worker that it strikes, so that the others go on.
        thorough: the default tests strike in all phases, and under xdist; the long ones do so with every fault.
    """

    do: Callable[[Scene], object]
    ends: str
    code: tuple[int, ...]
    workers_code: tuple[int, ...] | None = (1,)
    phases: tuple[str, ...] = PHASES
    options: tuple[str, ...] = ()
    alone: bool = True
    thorough: bool = False

    @property
    def name(self) -> str:
        return self.do.__name__

    @property
    def description(self) -> str:
        return (self.do.__doc__ or "").split("\n")[0].rstrip(".")


FAULTS: dict[str, Fault] = {}


def fault(ends: str, *code: int, **more: Any) -> Callable[[Callable[[Scene], object]], Callable[[Scene], object]]:
    def register(do: Callable[[Scene], object]) -> Callable[[Scene], object]:
        found = Fault(do, ends, code, **more)
        FAULTS[found.name] = found
        return do

    return register


# --- the process is gone -------------------------------------------------------------------------------------------


@fault("dies", -signal.SIGKILL, thorough=True)
def sigkill(scene: Scene) -> None:
    """`SIGKILL`, as the kernel sends it when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


@fault("stops", 2, workers_code=None)
def sigterm(scene: Scene) -> None:
    """`SIGTERM`, as a CI sends it to cancel a job."""
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


@fault("stops", 2, workers_code=(2,), alone=False)
def sigterm_to_all(scene: Scene) -> None:
    """`SIGTERM` to the whole process group."""
    os.killpg(0, signal.SIGTERM)
    time.sleep(60)


@fault("dies", -signal.SIGSEGV)
def segfault(scene: Scene) -> None:
    """A segmentation fault in C."""
    ctypes.string_at(0)


@fault("dies", -signal.SIGABRT)
def abort(scene: Scene) -> None:
    """`abort()`, as a failed assertion in C++ calls it."""
    os.abort()


@fault("dies", 0, thorough=True)
def exit_0(scene: Scene) -> None:
    """`os._exit(0)`: pytest is gone with exit code 0."""
    os._exit(0)


@fault("dies", 3)
def exit_3(scene: Scene) -> None:
    """`os._exit(3)`."""
    os._exit(3)


@fault("dies", 0, workers_code=None)
def replaced(scene: Scene) -> None:
    """`os.execv`: another program takes the process, and ends with exit code 0."""
    os.execv("/bin/true", ["true"])


@fault("dies", 1)
def hang(scene: Scene) -> None:
    """A hang, ended by faulthandler's timer."""
    faulthandler.dump_traceback_later(0.3, exit=True, file=2)
    while True:
        time.sleep(60)


@fault("dies", 1)
def hang_with_the_gil(scene: Scene) -> None:
    """A hang in C that holds the GIL, ended by faulthandler's timer."""
    faulthandler.dump_traceback_later(0.3, exit=True, file=2)
    ctypes.PyDLL(None).sleep(600)


# --- the run ends early --------------------------------------------------------------------------------------------


@fault("stops", 2, workers_code=(2,), thorough=True)
def keyboard_interrupt(scene: Scene) -> None:
    """`KeyboardInterrupt` raised by a test."""
    raise KeyboardInterrupt


# Workers of xdist take no notice of it.
@fault("stops", 2, workers_code=None)
def sigint(scene: Scene) -> None:
    """`SIGINT`: Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


@fault("stops", 2, workers_code=None)
def pytest_exit(scene: Scene) -> None:
    """`pytest.exit`."""
    pytest.exit("enough")


@fault("stops", 1, workers_code=None)
def pytest_exit_0(scene: Scene) -> None:
    """`pytest.exit(returncode=0)`."""
    pytest.exit("enough", returncode=0)


@fault("stops", 1, workers_code=(1, 2), options=("-x",))
def first_failure(scene: Scene) -> None:
    """A failing test under `-x`."""
    raise AssertionError("the first failure")


@fault("stops", 1, workers_code=None, phases=("call",), options=("-s",))
def broken_pipe(scene: Scene) -> bool:
    """The reader of standard output is gone (`EPIPE`)."""
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)
    try:
        os.write(1, b"x")
    except BrokenPipeError:
        return True
    return False


# --- the test fails, the others run --------------------------------------------------------------------------------


# Raised by a fixture before its yield it makes pytest give up the tests after it as well: errors, all of them.
@fault("fails", 1, phases=("call", "teardown"))
def sys_exit(scene: Scene) -> None:
    """`sys.exit(0)` in a test."""
    sys.exit(0)


@fault("fails", 1)
def recursion(scene: Scene) -> None:
    """A recursion without end."""
    recursion(scene)


@fault("fails", 1)
def memory_error(scene: Scene) -> None:
    """`MemoryError`."""
    raise MemoryError


@fault("fails", 1)
def memory_limit(scene: Scene) -> None:
    """More memory asked for than the limit of the process allows (`RLIMIT_AS`)."""
    import torch

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), limits[1]))
    try:
        torch.empty(4 << 30, dtype=torch.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("this error cannot be printed")


@fault("fails", 1)
def unprintable(scene: Scene) -> None:
    """An error that cannot be turned into text."""
    raise Unprintable


@fault("fails", 0, workers_code=None)
def exit_0_at_the_end(scene: Scene) -> None:
    """A failing test, and `atexit` ends the process with exit code 0."""
    atexit.register(os._exit, 0)
    raise AssertionError("the exit code will not tell")


# --- all tests run -------------------------------------------------------------------------------------------------


@fault("survives", 3, workers_code=(3,), thorough=True)
def folder_deleted(scene: Scene) -> bool:
    """The folder of the run is deleted."""
    shutil.rmtree(scene.folder)
    return not scene.folder.exists()


@fault("survives", 3, workers_code=(3,), phases=("call",))
def folder_moved(scene: Scene) -> bool:
    """The folder of the run is moved away."""
    scene.folder.rename(scene.witnesses / "moved")
    return not scene.folder.exists()


@fault("survives", 3, workers_code=None, phases=("call",))
def folder_read_only(scene: Scene) -> bool:
    """The folder of the run becomes read-only."""
    _give_up_writing_everywhere()
    scene.folder.chmod(0o555)
    with contextlib.suppress(PermissionError):
        (scene.folder / "probe").touch()
    return not (scene.folder / "probe").exists()


def _give_up_writing_everywhere() -> None:
    """Take Linux's capability 1, CAP_DAC_OVERRIDE, from this thread: root may write to any file by it."""
    version_3, sets = 0x20080522, (ctypes.c_uint32 * 6)()
    header = (ctypes.c_uint32 * 2)(version_3, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.capget(header, sets)
    sets[0] &= ~(1 << 1)
    libc.capset(header, sets)


@fault("survives", 3, workers_code=None, phases=("call",))
def file_size_limit(scene: Scene) -> bool:
    """Files cannot grow any more (`RLIMIT_FSIZE`), until the results are written."""
    size = (scene.folder / "rows.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
    scene.config.pluginmanager.register(_Lifted(), "lifted")
    try:
        (scene.witnesses / "probe").write_bytes(bytes(size + 200))
    except OSError:
        return True
    return False


class _Lifted:
    """What the first row that meets the limit goes to must be writable: the limit ends with the next test."""

    def pytest_runtest_logstart(self) -> None:
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


@fault("survives", 0, workers_code=(0,), phases=("call",))
def short_writes(scene: Scene) -> bool:
    """The system takes a few bytes of each write, and says so."""
    from pytest_torchbasics.results import journal

    write = journal._write
    journal._write = lambda descriptor, data: write(descriptor, data[:7])
    return True


@fault("survives", 1, 3, workers_code=None, phases=("call",), options=("-s",))
def descriptors_closed(scene: Scene) -> bool:
    """All open files are closed behind everybody's back."""
    os.closerange(3, 4096)
    return all(int(link.name) < 4 for link in Path("/proc/self/fd").iterdir())


@fault("fails", 1, workers_code=None)
def forked(scene: Scene) -> bool:
    """A test forks, and the child goes on with the run."""
    if os.fork() == 0:
        time.sleep(1)  # it is still there when the test ends
    return True


@fault("fails", 1)
def clocks_set_back(scene: Scene) -> bool:
    """The clocks are patched and stand at 0."""
    for name in ("time", "perf_counter", "monotonic", "perf_counter_ns", "time_ns"):
        setattr(time, name, lambda: 0)
    return time.time() == 0 == time.perf_counter()


@fault("fails", 1)
def replace_patched(scene: Scene) -> bool:
    """`os.replace` is patched and fails."""

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    os.replace = fail  # type: ignore[assignment]
    return os.replace is fail


@fault("fails", 1)
def directory_changed(scene: Scene) -> bool:
    """The working directory is changed, and not back."""
    os.chdir("/")
    return os.getcwd() == "/"


@fault("fails", 1)
def environment_cleared(scene: Scene) -> bool:
    """All environment variables are deleted."""
    os.environ.clear()
    return not os.environ


@fault("fails", 1)
def thread_left(scene: Scene) -> bool:
    """A thread is left running."""
    thread = threading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(int, 1)], daemon=True)
    thread.start()
    return thread.is_alive()


@fault("survives", 1, 3, workers_code=None, phases=("call",))
def another_plugin_raises(scene: Scene) -> bool:
    """Another plugin raises in `pytest_sessionfinish`, before ours."""

    class Raises:
        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(self) -> None:
            (scene.witnesses / "raised").touch()
            raise RuntimeError("another plugin is broken")

    scene.config.pluginmanager.register(Raises(), "raises")
    return True


@fault("survives", 0, workers_code=(0,), phases=("call",))
def earlier_journal_torn(scene: Scene) -> bool:
    """The journal of an earlier run in the same results folder is cut off."""
    earlier = scene.folder.parent / EARLIER
    earlier.mkdir()
    shutil.copy(scene.folder / "run.json", earlier)
    record = (earlier / "run.json").read_text().replace(scene.folder.name, earlier.name)
    (earlier / "run.json").write_text(record)
    journal = next(scene.folder.glob("rows*.jsonl")).read_text().replace(scene.folder.name, earlier.name)
    (earlier / "rows.jsonl").write_text(journal[:-30])
    return True


@fault("survives", 3, workers_code=None, phases=())
def disk_filled(scene: Scene) -> bool:
    """The disk of the results is full."""
    handle = os.open(scene.folder.parents[1] / "filler", os.O_WRONLY | os.O_CREAT)
    size = 1 << 20
    while size:
        try:
            os.write(handle, bytes(size))
        except OSError:
            size //= 2
    os.close(handle)
    return shutil.disk_usage(scene.folder).free == 0
