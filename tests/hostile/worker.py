"""`python -m tests.hostile.worker FOLDER`: every command on every hostile file, with 1 GiB of memory.

Prints one JSON object: for each file and command the exit code, what is wrong with how it ended, and the last line.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet  # noqa: F401

import pytest_torchbasics
from tests.hostile.files import FILES
from tests.hostile.guard import guarded
from tests.hostile.making import commands, small_run, torchbasics

MEMORY_BYTES = 1 << 30
#: Far more than any command takes, and less than a reader of an endless file.
SECONDS = 20


def main(folder: Path) -> None:
    """Make the files, then run the commands on them, and print how they ended."""
    good = small_run(folder / "good", "20260102T000000Z-bbbbbbbb")
    made = {}
    for number, (name, maker) in enumerate(FILES.items()):
        (folder / str(number)).mkdir()
        made[name] = maker(folder / str(number))
    for arguments in commands(good, good, _empty(folder / "warm")).values():  # imports what commands import
        torchbasics(*arguments)
    for module in pkgutil.walk_packages(pytest_torchbasics.__path__, "pytest_torchbasics."):
        if not module.name.startswith(("pytest_torchbasics.integration", "pytest_torchbasics.plugin")):
            importlib.import_module(module.name)
    limit = _virtual_bytes() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, _too_slow)
    found: dict[str, Any] = {"the memory is limited": _memory_is_limited()}
    for name, path in made.items():
        out = _empty(folder / "out")
        found[name] = {command: _ended(arguments, folder) for command, arguments in commands(path, good, out).items()}
    sys.stdout.write(json.dumps(found))


def _ended(arguments: tuple[object, ...], folder: Path) -> tuple[int, str, str]:
    signal.alarm(SECONDS)
    try:
        with guarded(folder):
            done = torchbasics(*arguments)
    except BaseException as error:
        return -1, f"{type(error).__name__}: {error}", ""
    finally:
        signal.alarm(0)
    lines = [*done.err.strip().splitlines(), *done.out.strip().splitlines()[:1]]
    said = next((line for line in lines if line.startswith(("torchbasics: exit", "Error: "))), "")
    return done.code, done.problem, said


def _memory_is_limited() -> bool:
    try:
        bytearray(2 * MEMORY_BYTES)
    except MemoryError:
        return True
    return False


def _virtual_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


def _empty(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "none.toml").touch()
    return folder


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    main(Path(sys.argv[1]).resolve())
