"""A side of `torchbasics ab`: a pytest run that collects its items and measures blocks of them when it is asked to.

It is loaded with -p. The other end is `pytest_torchbasics.ab.worker`.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.skipping import evaluate_skip_marks  # pytest has no public way to ask, and no test runs here

from ..ab import NOT_FROM, PROTOCOL
from ..results.rows import Cell, one_line
from ..workers import serve
from .items import HASHES
from .recording import cell_of

if TYPE_CHECKING:
    from ..timing.blocks import Blocks
    from ..trials import Trial


def pytest_configure(config: pytest.Config) -> None:
    """A worker collects, and no test runs: there is no run to keep."""
    config.option.collectonly = True


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Serve instead of running the tests; where collecting failed, pytest's own loop says so and ends."""
    if session.testsfailed:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the other end decides
    server = _Server(session)
    with server.stack:
        serve(server.answer)
    # pytest's own end takes seconds, for a run in which nothing ran; what others registered for the end still runs.
    atexit._run_exitfuncs()
    os._exit(0)


class _Server:
    """Answers what the controller asks, item by item."""

    def __init__(self, session: pytest.Session) -> None:
        found = ((item, cell_of(item)) for item in session.items)
        self.items = [(item, cell) for item, cell in found if cell is not None and cell.kind == "timing"]
        self.hashes = session.config.stash.get(HASHES, {})
        self.ready: dict[int, Blocks] = {}
        self.stack = ExitStack()
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "items": self._items,
            "pin": self._pin,
            "ready": self._ready,
            "block": lambda asked: {"seconds": self.ready[int(asked["item"])].take()},
            "costs": self._costs,
            "results": self._results,
        }

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to a question."""
        from ..timing import DoesNotApply

        try:
            return self.answers[asked["do"]](asked)
        except DoesNotApply as reason:
            return {"not_applicable": one_line(reason)}
        except Exception as error:  # whatever a layer raises is the answer, and the other items go on
            return {"error": one_line(f"{type(error).__name__}: {error}")}

    def _items(self, asked: dict[str, Any]) -> dict[str, Any]:
        import torch

        from .. import __version__
        from ..results.environment import environment

        return {
            "protocol": PROTOCOL,
            "version": __version__,
            "torch": torch.__version__,
            "environment": environment(),
            "fixed": _addresses_are_fixed(),
            "foreign": _modules_of(os.environ.get(NOT_FROM, "")),
            "items": [
                {"cell": vars(cell), "case_hash": self._hash(item), "nodeid": item.nodeid} for item, cell in self.items
            ],
        }

    def _pin(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Stay on one processor, the other side's too: two of them differ by more than what is looked for."""
        if hasattr(os, "sched_setaffinity") and all(cell.threads == 1 for _, cell in self.items):
            import torch

            os.sched_setaffinity(0, {int(asked["cpu"])})
            torch.set_num_threads(1)  # two of them on one processor wait for each other
        return {}

    def _hash(self, item: pytest.Item) -> str:
        case = _case(item)
        return str(self.hashes.get((case.name, id(case)), ""))

    def _trial(self, asked: dict[str, Any]) -> tuple[Trial, Cell]:
        """The trial of an item; one case is compared with another from the other's seed."""
        from ..trials import Trial

        item, cell = self.items[int(asked["item"])]
        case = _case(item)
        case = replace(case, name=asked["seed_of"]) if asked.get("seed_of", case.name) != case.name else case
        return Trial(case, cell.device, cell.dtype, cell.mode), cell

    def _ready(self, asked: dict[str, Any]) -> dict[str, Any]:
        from ..backends import backend_for
        from ..timing.blocks import Blocks
        from ..timing.clocks import system_clock
        from ..timing.workloads import workload

        number = int(asked["item"])
        if skipped := evaluate_skip_marks(self.items[number][0]):
            return {"not_applicable": f"skipped: {skipped.reason}"}
        trial, cell = self._trial(asked)
        if reason := backend_for(trial.device).supports(trial.torch_dtype):
            return {"not_applicable": reason}
        if any(
            declared.covers(None, cell.device, cell.dtype) for declared in (*trial.case.skip, *trial.case.unsupported)
        ):
            return {"not_applicable": "declared"}
        clock = self.stack.enter_context(system_clock(cell.threads))
        self.ready[number] = Blocks(
            workload(trial, cell.sizes), cell.phase, cell.device, clock, threads=cell.threads, seed=trial.seed
        )
        return {}

    def _costs(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = self.ready[int(asked["item"])].costs()
        return {"flops": found.flops, "bytes_moved": found.bytes_moved, "peak_bytes": found.peak_bytes}

    def _results(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Write outputs and gradients, and the largest error of the outputs against float64, as a share of its size."""
        import numpy as np

        from ..timing.results import error_of, results_of

        trial, cell = self._trial(asked)
        arrays = results_of(trial, cell.sizes, gradients=cell.phase != "forward")
        np.savez(Path(asked["into"]), **arrays)
        return {"names": list(arrays), "error": error_of(trial, cell.sizes, arrays)}


def _addresses_are_fixed() -> bool:
    try:
        return bool(int(Path("/proc/self/personality").read_text(), 16) & 0x0040000)
    except OSError:
        return False


def _modules_of(folder: str) -> list[str]:
    """Modules that were imported from a folder, other than installed packages; none if no folder is named."""
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    return sorted(
        name
        for name, file in files.items()
        if folder and file and Path(file).is_relative_to(folder) and "site-packages" not in Path(file).parts
    )


def _case(item: pytest.Item) -> Any:
    return item.callspec.params["case"].case  # type: ignore[attr-defined]
