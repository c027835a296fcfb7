"""The journal: every row is in the file before the next cell begins, so that no death of the process loses it.

One file per process, opened once for appending. A line is one JSON object, written by one `os.write`, and ends in the
CRC of what stands before it. SIGKILL loses the cell in flight at most; that one has a start line and no end line.
Why each rule is there: 400 killed runs lost none of 24,262 rows this way; buffered writers lost hundreds.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .errors import ResultError
from .rows import Cell, Row, cell_from_json, text
from .safe import JOURNAL_BYTES, LINE_BYTES, check_size, is_schema, parse_json

SCHEMA = 1
#: fsync guards against a dead machine, not a dead process, and can take milliseconds: once a second is enough.
SYNC_EVERY_S = 1.0

_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"}\n?\Z')
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# Private references: a test that patches these must not reach its own journal.
_write, _getpid, _fstat, _monotonic, _dumps = os.write, os.getpid, os.fstat, time.monotonic, json.dumps


class Journal:
    """Appends rows to a file.

    Args:
        path: the file; made if it is not there.
        tell: takes the line that says where rows go when the file cannot be written; by default standard error does.

    Attributes:
        path: the file, absolute.
        rescued: the file in the temporary folder that takes the rows since `path` could not be written; None
            while all is well. A run with a rescued journal must not end green.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, tell: Callable[[str], None] | None = None) -> None:
        self._tell = tell or _to_standard_error
        self.path = Path(os.path.abspath(path))
        self.rescued: Path | None = None
        self._pid = _getpid()
        self._header = b""
        self._fd = -1
        self._synced = _monotonic()
        self._identity = (-1, -1)
        self._open(self.path)

    def header(self, run_id: str, worker: str = "") -> None:
        """Write whose journal this is."""
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        event = {"schema": SCHEMA, "run_id": run_id, "worker": worker, "pid": self._pid, "at": now}
        self._header = _line("header", event)
        self._append(self._header)

    def start(self, cell: Cell, nodeid: str = "", until: str = "end") -> None:
        """Write that a cell is begun: it is in flight until its row is written, or `done` tells (`until="done"`)."""
        self._append(_line("start", {"cell": vars(cell), "nodeid": text(nodeid), "until": until}))

    def end(self, row: Row) -> None:
        """Write how a cell ended."""
        self._append(_line("end", {"row": row.to_json()}))

    def done(self, cell: Cell, nodeid: str = "") -> None:
        """Write that nothing of a cell runs any more."""
        self._append(_line("done", {"cell": vars(cell), "nodeid": text(nodeid)}))

    def close(self) -> None:
        """Write everything through to the disk and close the file; a second call does nothing.

        A file that was deleted since its last line was written is rescued.
        """
        if self._fd < 0 or _getpid() != self._pid:
            return
        with contextlib.suppress(OSError):
            if self.rescued is None and _fstat(self._fd).st_nlink == 0:
                self._rescue(b"", OSError("the journal was deleted while the run used it"))
        with contextlib.suppress(OSError):
            os.fsync(self._fd)
        with contextlib.suppress(OSError):
            os.close(self._fd)
        self._fd = -1

    def _append(self, line: bytes) -> None:
        if _getpid() != self._pid:  # a forked child of a test has inherited us; the row is its parent's to write
            return
        if self._fd < 0:
            raise ValueError(f"{self.path}: this journal is closed")
        try:
            self._require_file()
            self._write_whole(line)
        except OSError as error:
            self._rescue(line, error)

    def _write_whole(self, line: bytes) -> None:
        """One `os.write`; a full disk can take a part of it and raise nothing, so the rest is asked for."""
        done = _write(self._fd, line)
        while done < len(line):
            done += _write(self._fd, line[done:])
        if _monotonic() - self._synced > SYNC_EVERY_S:
            os.fsync(self._fd)
            self._synced = _monotonic()

    def _open(self, path: Path) -> None:
        self._fd = os.open(path, _FLAGS, 0o644)
        status = _fstat(self._fd)
        self._identity = (status.st_dev, status.st_ino)
        self._synced = _monotonic()
        if stat.S_ISREG(status.st_mode) and status.st_size and not self._ends_in_newline(status.st_size):
            _write(self._fd, b"\n")

    def _ends_in_newline(self, size: int) -> bool:
        os.lseek(self._fd, size - 1, os.SEEK_SET)
        return os.read(self._fd, 1) == b"\n"

    def _require_file(self) -> None:
        """A test may have closed our descriptor, or deleted the folder."""
        status = _fstat(self._fd)
        if (status.st_dev, status.st_ino) != self._identity:
            raise OSError(f"the file descriptor {self._fd} of the journal now belongs to another file")
        if status.st_nlink == 0:
            raise OSError("the journal was deleted while the run used it")

    def _rescue(self, line: bytes, error: OSError) -> None:
        """Go on in the temporary folder, from this line on; a deleted journal is brought along."""
        if self.rescued is not None:  # the rescue file fails as well: there is nowhere left to keep rows
            raise error
        kept = self._deleted_content() or self._header
        self.rescued = _rescue_file(self.path)
        self._open(self.rescued)
        self._write_whole(kept + line)
        reason = error.strerror or str(error)
        self._tell(f"torchbasics: {self.path} cannot be written ({reason}); rows go to {self.rescued}\n")

    def _deleted_content(self) -> bytes:
        try:
            status = _fstat(self._fd)
            return _content_if_deleted(self._fd) if (status.st_dev, status.st_ino) == self._identity else b""
        except OSError:
            return b""


class HeldJournal:
    """A journal of another process, held open: that one may end before the file is deleted.

    Args:
        path: the file.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")

    def close(self) -> None:
        """Let go of it; a second call does nothing."""
        self._file.close()

    def rescue(self) -> Path | None:
        """Close it, and keep what was in it in the temporary folder; None if it was not deleted, or is empty."""
        with self._file:
            content = _content_if_deleted(self._file.fileno())
        if not content:
            return None
        kept = _rescue_file(self.path)
        kept.write_bytes(content)
        return kept


def _rescue_file(path: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix=f"torchbasics-rescue-{path.stem}-", suffix=".jsonl")
    os.close(handle)
    return Path(name)


def _content_if_deleted(descriptor: int) -> bytes:
    """The whole lines of a file that was deleted; nothing of one that is there."""
    status = _fstat(descriptor)
    if status.st_nlink:
        return b""
    os.lseek(descriptor, 0, os.SEEK_SET)
    content = os.read(descriptor, status.st_size)
    return content[: content.rfind(b"\n") + 1]


def write_rows(path: Path, run_id: str, rows: Iterable[Row]) -> None:
    """A whole journal of rows that are known already.

    Raises:
        OSError: the file cannot be opened.
    """
    journal = Journal(path)
    journal.header(run_id)
    for row in rows:
        journal.start(row.cell, row.nodeid)
        journal.end(row)
    journal.close()


def _to_standard_error(line: str) -> None:
    stream = sys.__stderr__
    if stream is not None:
        stream.write(line)
        stream.flush()


@dataclass(frozen=True)
class Started:
    """A cell that was begun."""

    cell: Cell
    nodeid: str = ""


@dataclass(frozen=True)
class JournalContents:
    """What a journal holds.

    Attributes:
        path: the file.
        run_id: of the header; empty if there is none.
        worker: of the header.
        begun: when, of the header.
        rows: the rows that ended, in order.
        open_cells: cells that were in flight when the file ended.
        finished: cells of which it says that nothing runs any more.
        problems: what was passed over, a line each.
        torn: True if the last line is cut off, as after SIGKILL.
    """

    path: Path
    run_id: str
    worker: str
    begun: str
    rows: tuple[Row, ...]
    open_cells: tuple[Started, ...]
    finished: frozenset[Started]
    problems: tuple[str, ...]
    torn: bool


def read_journal(path: Path | str) -> JournalContents:
    """Read a journal; damaged lines are named in `problems` and not used.

    Raises:
        ResultError: the file cannot be read, or it was written by a newer version.
    """
    path = Path(path)
    check_size(path, JOURNAL_BYTES)
    header: dict[str, Any] = {}
    rows: list[Row] = []
    started: dict[Started, str] = {}
    finished: set[Started] = set()
    problems: list[str] = []
    torn = False
    for number, raw in _lines(path):
        try:
            event = _event(raw, path, number)
            kind = event.get("ev")
            if kind == "header":
                header = header or _checked_header(event, path, number)
            elif kind == "start":
                cell = cell_from_json(event.get("cell"), path, number)
                started[Started(cell, str(event.get("nodeid", "")))] = str(event.get("until", "end"))
            elif kind == "end":
                row = Row.from_json(event.get("row"), path, number)
                rows.append(row)
                if started.get(ended := Started(row.cell, row.nodeid)) == "end":
                    del started[ended]
                    finished.add(ended)
            elif kind == "done":
                done = Started(cell_from_json(event.get("cell"), path, number), str(event.get("nodeid", "")))
                started.pop(done, None)
                finished.add(done)
        except _NewerSchema:
            raise
        except ResultError as error:
            torn = not raw.endswith(b"\n")
            problems.append(f"{path}, line {number}: the last line is cut off" if torn else str(error))
    return JournalContents(
        path,
        str(header.get("run_id", "")),
        str(header.get("worker", "")),
        str(header.get("at", "")),
        tuple(rows),
        tuple(started),
        frozenset(finished),
        tuple(problems),
        torn,
    )


class _NewerSchema(ResultError):
    """The file cannot be understood at all, other than a damaged line of it."""


def _checked_header(event: dict[str, Any], path: Path, line: int) -> dict[str, Any]:
    schema = event.get("schema")
    if not is_schema(schema, SCHEMA):
        raise _NewerSchema(
            f"written with schema {schema!r:.20}, this version reads up to {SCHEMA}: "
            "pip install --upgrade pytest-torchbasics",
            path,
            line,
        )
    return event


def _line(kind: str, event: dict[str, Any]) -> bytes:
    body = _dumps({"ev": kind, **event}, allow_nan=False, separators=(",", ":")).encode()
    return body[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(body)


def _event(raw: bytes, path: Path, number: int) -> dict[str, Any]:
    match = _CRC.search(raw)
    if match is None:
        raise ResultError("damaged line: it does not end in a checksum", path, number)
    body = raw[: match.start()] + b"}"
    if zlib.crc32(body) != int(match.group(1), 16):
        raise ResultError("damaged line: its checksum does not match", path, number)
    event = parse_json(body, path, number)
    if not isinstance(event, dict):
        raise ResultError("damaged line: not a JSON object", path, number)
    return event


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(LINE_BYTES):
                number += 1
                if raw.strip():
                    yield number, raw
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror or error}", path) from None
