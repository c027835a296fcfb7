"""A process that is asked over a local connection, and answers a line of JSON each: both ends. Nothing is pickled."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

#: Variables that tell a process where to connect, and with which key.
ADDRESS, KEY = "TORCHBASICS_ADDRESS", "TORCHBASICS_KEY"
#: How long a process may take until it connects, and to end when it is told to.
START_S, END_S = 300.0, 10.0
#: How much of what it printed is told when it dies: the stacks of a hang are long.
LOG_LINES = 100
QUIT = "quit"


class WorkerDied(Exception):
    """The process ended, or did not answer in time.

    Attributes:
        code: what it ended with; None if it was still running.
        timed_out: it did not answer in time.
    """

    def __init__(self, text: str, code: int | None = None, timed_out: bool = False) -> None:
        super().__init__(text)
        self.code, self.timed_out = code, timed_out


class Worker:
    """A process: started, connected to when it is ready, asked, and stopped.

    Args:
        command: that starts it; it calls `serve`.
        label: what it is, for messages.
        folder: where it runs.
        environment: all of its variables.
        own_session: Ctrl-C in the terminal does not reach it.

    Raises:
        WorkerDied: the system cannot start it.
    """

    def __init__(
        self,
        command: Sequence[str],
        label: str,
        folder: Path,
        environment: Mapping[str, str],
        own_session: bool = False,
    ) -> None:
        self.label = label
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop()
        self._key = secrets.token_hex(32)
        self._server = socket.create_server(("localhost", 0))
        self._socket: socket.socket | None = None
        host, port = self._server.getsockname()[:2]
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**environment, ADDRESS: f"{host}:{port}", KEY: self._key},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=subprocess.STDOUT,
                start_new_session=own_session,
            )
        except OSError as error:
            self._server.close()
            self._log.close()
            raise WorkerDied(f"{label}: it cannot be started: {error}") from None

    def connect(self) -> None:
        """Wait until it is ready.

        Raises:
            WorkerDied: it ended, or is not ready in time.
        """
        with self._server:
            found = self._accepted()
        self._stream = found.makefile("rwb")
        self._socket = found  # from here on stop() asks it to end
        self._stream.readline()  # the key, which was looked at

    def ask(self, question: Mapping[str, Any], timeout_s: float | None) -> dict[str, Any]:
        """Ask a process that is connected, and wait for the answer.

        Raises:
            WorkerDied: there is none.
        """
        assert self._socket is not None, "connect() comes first"
        self._socket.settimeout(timeout_s)
        try:
            self._stream.write(json.dumps(question).encode() + b"\n")
            self._stream.flush()
            found: dict[str, Any] = json.loads(self._stream.readline())
        except TimeoutError:
            self._process.kill()
            raise WorkerDied(f"{self.label}: no answer in {timeout_s:.0f} s{self.tail()}", timed_out=True) from None
        except (OSError, ValueError):
            self._end()
            code = self._process.returncode
            raise WorkerDied(f"{self.label}: the process ended with {code}{self.tail()}", code) from None
        return found

    def stop(self) -> None:
        """End the process; a second call does nothing."""
        if self._log.closed:
            return
        if self._socket is None:  # nobody waits for what it would be ready for
            self._process.kill()
            self._server.close()
        else:
            with contextlib.suppress(OSError):
                self._stream.write(b'{"do": "%s"}\n' % QUIT.encode())
                self._stream.flush()
        self._end()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._socket.close()
        self._log.close()

    def tail(self) -> str:
        """The end of what the process printed, each line after a newline."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return "".join(f"\n  {line}" for line in lines[-LOG_LINES:])

    def _end(self) -> None:
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_S)
        finally:  # on a second Ctrl-C too
            self._process.kill()  # does nothing to one that has ended
            self._process.wait()

    def _accepted(self) -> socket.socket:
        """The connection of the process that knows the key; its end before that is not waited for."""
        self._server.settimeout(0.2)
        begun, key = time.monotonic(), self._key.encode()
        while True:
            try:
                found, _ = self._server.accept()
                found.settimeout(START_S)
                if secrets.compare_digest(found.recv(len(key), socket.MSG_PEEK | socket.MSG_WAITALL), key):
                    return found
                found.close()
            except TimeoutError:
                code = self._process.poll()
                if code is not None:
                    text = f"{self.label}: the process ended with {code} before it was ready{self.tail()}"
                    raise WorkerDied(text, code) from None
                if time.monotonic() - begun > START_S:
                    self._process.kill()
                    raise WorkerDied(f"{self.label}: not ready in {START_S:.0f} s{self.tail()}") from None


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer until the other end is gone or says so; the end of a process that was started as a `Worker`."""
    host, _, port = os.environ[ADDRESS].rpartition(":")
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rwb") as file:
        stream = cast(BinaryIO, file)
        stream.write(f"{os.environ[KEY]}\n".encode())
        stream.flush()
        while line := stream.readline():
            asked = json.loads(line)
            if asked["do"] == QUIT:
                return
            stream.write(json.dumps(answer(asked), default=str).encode() + b"\n")
            stream.flush()
