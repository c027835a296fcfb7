"""A process that has everything imported and forks a run of pytest for each line that it reads.

A run starts in a tenth of a second, and dies as a process of its own: it is the leader of a session, so that whatever
it leaves running is found. The answer is its exit status.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import sys
import tempfile
import threading
from typing import Any

import pandas  # noqa: F401
import pyarrow.pandas_compat
import pyarrow.parquet  # noqa: F401
import pytest_benchmark.plugin
import pytest_benchmark.storage.file  # noqa: F401
import rich.console
import rich.table  # noqa: F401
import torch  # noqa: F401
import xdist.plugin  # noqa: F401

import pytest_torchbasics


def main() -> None:
    for module in pkgutil.walk_packages(pytest_torchbasics.__path__, "pytest_torchbasics."):
        importlib.import_module(module.name)
    # A first check imports much of torch that nothing else does.
    pytest_torchbasics.assert_case(
        pytest_torchbasics.op("double", lambda x: x * 2, pytest_torchbasics.Tensor(2, 3), output=(2, 3)),
        checks=["shape"],
    )
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if child == 0:
            break
        answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    else:
        return
    run(asked)


def answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def run(asked: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of xdist that started us ignores it
    os.chdir(asked["folder"])
    os.environ.update(asked["environment"])
    tempfile.tempdir = None  # it was found for the server
    for descriptor, name in ((0, os.devnull), (1, asked["output"]), (2, asked["output"])):
        handle = os.open(name, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(handle, descriptor)
        os.close(handle)
    sys.path.insert(0, asked["folder"])
    sys.argv = ["pytest", *asked["arguments"]]
    code = 0
    try:
        runpy.run_module("pytest", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = int(end.code or 0)
    # What the interpreter does at its end, without tearing down torch, which takes longer than the run.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
