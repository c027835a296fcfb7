"""One side's process: started, asked, and started again if it dies. The other end is `integration.ab_worker`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import workers
from ..results.errors import ResultError
from . import PROTOCOL

#: How long a worker may take for one answer.
ANSWER_S = 120.0
#: Start Python again with its memory laid out as in every other process: libraries at fixed addresses, by
#: ADDR_NO_RANDOMIZE of personality(2), and the stack, which begins below the arguments and the environment, at the same
#: place however long those are. Where the system does not allow that, addresses stay random.
LAUNCH = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).personality(0x0040000)
words = [sys.executable, *sys.argv[1:]]
room = sum(len(os.fsencode(word)) + 9 for word in (*words, *map("=".join, os.environ.items())))
os.environ["TORCHBASICS_AB_ROOM"] = "-" * (-room % 65536)
os.execv(sys.executable, words)
"""


@dataclass(frozen=True)
class Side:
    """What a worker is started with.

    Attributes:
        name: `base` or `head`.
        label: what it is, for reports: `main (1f2c3d4)`.
        python: the interpreter.
        folder: where pytest runs.
        arguments: of pytest.
        environment: variables that differ from this process's.
        layout: of the process's memory: all workers of one number have their libraries at the same addresses and hash
            strings alike, where the system allows it. None: as the system draws it.
    """

    name: str
    label: str
    python: str
    folder: Path
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    layout: int | None = None


class Worker(workers.Worker):
    """A process of a side.

    Where libraries lie in memory decides, on some processors, whether everything that a process does takes 7 to 12 %
    longer: Linux draws it anew for each process, and one in six draws badly. Where the stack lies makes 2 to 3 % for
    some functions. Hence the layout of a side.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self.facts: dict[str, Any] = {}
        super().__init__(_command(side), side.label, side.folder, _environment(side))

    def connect(self) -> None:
        """Wait until it has collected.

        Raises:
            WorkerDied: it did not start, or collected nothing.
            ResultError: it speaks another protocol, or imports another revision's code.
        """
        super().connect()
        side = self.side
        self.facts = self.ask({"do": "items"})
        if self.facts.get("protocol") != PROTOCOL:
            self.stop()
            raise ResultError(
                f"{side.label} has pytest-torchbasics {self.facts.get('version')}, which speaks another protocol: "
                "install the same version on both sides"
            )

        if foreign := self.facts.get("foreign"):
            self.stop()
            raise ResultError(
                f"{side.label} imports {foreign[0]} ({len(foreign)} modules in all) from the working tree, not from "
                "its own checkout: only the repository's root and src/ come first; set PYTHONPATH by --base-env and "
                "--head-env, or install each revision in an environment of its own"
            )

    @property
    def items(self) -> list[dict[str, Any]]:
        """What it collected: `cell`, `case_hash`, `nodeid` of each."""
        return list(self.facts["items"])

    def ask(self, question: Mapping[str, Any], timeout_s: float | None = ANSWER_S) -> dict[str, Any]:
        """Ask and wait for the answer.

        Raises:
            WorkerDied: there is none.
        """
        return super().ask(question, timeout_s)


def _command(side: Side) -> Sequence[str]:
    launch = () if side.layout is None else ("-c", LAUNCH)
    own = ("-p", "pytest_torchbasics.integration.ab_worker", "--torchbasics-results=")
    return (side.python, *launch, "-m", "pytest", "-qq", "-m", "speed", *own, *side.arguments)


def _environment(side: Side) -> dict[str, str]:
    seed = {} if side.layout is None else {"PYTHONHASHSEED": str(side.layout)}
    return {**os.environ, **seed, **side.environment}
