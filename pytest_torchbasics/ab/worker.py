"""One side's process: started, asked, and started again if it dies. The other end is `integration.ab_worker`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..results.errors import ResultError
from . import ADDRESS, KEY, PROTOCOL

#: A worker imports torch and collects; then it answers one block at a time.
START_S, ANSWER_S, PATIENCE_S = 300.0, 120.0, 10.0
LOG_LINES = 15
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


class WorkerDied(Exception):
    """The process ended, or did not answer; the message holds the end of what it printed."""


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


class Worker:
    """A process of a side.

    Where libraries lie in memory decides, on some processors, whether everything that a process does takes 7 to 12 %
    longer: Linux draws it anew for each process, and one in six draws badly. Where the stack lies makes 2 to 3 % for
    some functions. Hence the layout of a side.

    Raises:
        WorkerDied: it did not start, or collected nothing.
        ResultError: it speaks another protocol.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        key = secrets.token_hex(32)
        with socket.create_server(("localhost", 0)) as server:
            host, port = server.getsockname()[:2]
            self._process = subprocess.Popen(
                _command(side),
                cwd=side.folder,
                env={**_environment(side), ADDRESS: f"{host}:{port}", KEY: key},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
            )
            self._socket = self._accepted(server, key)
        self._stream = self._socket.makefile("rwb")
        self._stream.readline()  # the key, which was looked at
        self.facts = self.ask({"do": "items"})
        if self.facts.get("protocol") != PROTOCOL:
            self.stop()
            raise ResultError(
                f"{side.label} has pytest-torchbasics {self.facts.get('version')}, which speaks another protocol: "
                "install the same version on both sides"
            )

    @property
    def items(self) -> list[dict[str, Any]]:
        """What it collected: `cell`, `case_hash`, `nodeid` of each."""
        return list(self.facts["items"])

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Ask and wait for the answer.

        Raises:
            WorkerDied: there is none.
        """
        try:
            self._stream.write(json.dumps(question).encode() + b"\n")
            self._stream.flush()
            line = self._stream.readline()
            found: dict[str, Any] = json.loads(line)
        except TimeoutError:
            self._process.kill()
            raise WorkerDied(f"{self.side.label}: no answer in {ANSWER_S:.0f} s") from None
        except (OSError, ValueError):
            self._end()
            code = self._process.returncode
            raise WorkerDied(f"{self.side.label}: the process ended with {code}{self._tail()}") from None
        return found

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        if self._log.closed:
            return
        with contextlib.suppress(OSError):
            self._stream.write(b'{"do": "quit"}\n')
            self._stream.flush()
        self._end()
        with contextlib.suppress(OSError):
            self._stream.close()
        self._socket.close()
        self._log.close()

    def _end(self) -> None:
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _accepted(self, server: socket.socket, key: str) -> socket.socket:
        """The connection of the process that knows the key; its end before that is not waited for."""
        server.settimeout(0.2)
        begun = time.monotonic()
        while True:
            try:
                found, _ = server.accept()
                found.settimeout(ANSWER_S)
                if secrets.compare_digest(found.recv(len(key), socket.MSG_PEEK | socket.MSG_WAITALL), key.encode()):
                    return found
                found.close()
            except TimeoutError:
                if self._process.poll() is not None:
                    raise WorkerDied(
                        f"{self.side.label}: pytest ended with {self._process.returncode} before it had collected"
                        f"{self._tail()}"
                    ) from None
                if time.monotonic() - begun > START_S:
                    self._process.kill()
                    raise WorkerDied(f"{self.side.label}: not ready in {START_S:.0f} s{self._tail()}") from None

    def _tail(self) -> str:
        """The end of what the process printed."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return "".join(f"\n  {line}" for line in lines[-LOG_LINES:])


def _command(side: Side) -> Sequence[str]:
    launch = () if side.layout is None else ("-c", LAUNCH)
    own = ("-p", "pytest_torchbasics.integration.ab_worker", "-p", "no:cacheprovider", "--torchbasics-results=")
    return (side.python, *launch, "-m", "pytest", "-q", "-m", "speed", *own, *side.arguments)


def _environment(side: Side) -> dict[str, str]:
    seed = {} if side.layout is None else {"PYTHONHASHSEED": str(side.layout)}
    return {**os.environ, **seed, **side.environment}
