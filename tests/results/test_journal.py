"""The journal: what was acknowledged is kept, whatever ends the process; damage is found and named."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_torchbasics.results import ResultError, journal
from pytest_torchbasics.results.journal import Journal, Started, read_journal

from .making import check_cell, checked, timed, timing_cell

ROWS = [checked(check_cell("a")), timed(timing_cell("b"), 1e-3)]


def written(path: Path) -> Path:
    book = Journal(path)
    book.header("run", "gw0")
    for row in ROWS:
        book.start(row.cell, row.nodeid)
        book.end(row)
    book.close()
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    contents = read_journal(written(tmp_path / "rows.jsonl"))
    assert contents.rows == tuple(ROWS)
    assert (contents.run_id, contents.worker, contents.open_cells, contents.problems) == ("run", "gw0", (), ())


def test_every_line_is_strict_json_with_its_checksum_last(tmp_path: Path) -> None:
    for line in written(tmp_path / "rows.jsonl").read_text().splitlines():
        assert list(json.loads(line))[-1] == "crc"


def test_a_started_cell_that_did_not_end_is_open(tmp_path: Path) -> None:
    book = Journal(tmp_path / "rows.jsonl")
    book.start(ROWS[0].cell, "node")
    assert read_journal(book.path).open_cells == (Started(ROWS[0].cell, "node"),)
    book.close()


WRITER = """
import sys
from pathlib import Path
from pytest_torchbasics.results.journal import Journal
from pytest_torchbasics.results.rows import Cell, Row
book = Journal(Path(sys.argv[1]))
book.header("run", "")
for i in range(10**9):
    cell = Cell("check", f"case{i}", "shape", "", "eager", "cpu", "float32", 0)
    book.start(cell, "")
    book.end(Row(cell, "passed", reason="x" * 200))
    print(i, flush=True)
"""


@pytest.mark.parametrize("kill_after", [1, 57, 400])
def test_kill_9_loses_no_row_that_was_acknowledged(tmp_path: Path, kill_after: int) -> None:
    path = tmp_path / "rows.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = 0
        while acknowledged < kill_after:
            acknowledged = int(writer.stdout.readline()) + 1
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
    assert writer.returncode == -signal.SIGKILL
    acknowledged = max([acknowledged, *(int(line) + 1 for line in rest[:-1] if line)])
    contents = read_journal(path)
    assert len(contents.rows) >= acknowledged
    assert len(contents.rows) <= acknowledged + 1
    assert len(contents.open_cells) <= 1


def test_a_torn_last_line_is_tolerated_and_reported(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl")
    whole = path.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for cut in range(2, last):
        path.write_bytes(whole[:-cut])
        contents = read_journal(path)
        assert contents.rows == tuple(ROWS[:1])
        assert contents.open_cells == (Started(ROWS[1].cell, ROWS[1].nodeid),)
        assert contents.torn
        assert contents.problems == (f"{path}, line 5: the last line is cut off",)


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    chance = random.Random(1)
    for _ in range(400):
        position = chance.randrange(len(whole) - 1)  # the last newline carries nothing
        damaged = bytearray(whole)
        damaged[position] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        contents = read_journal(path)
        number = next(n for n in range(len(lines)) if position < sum(map(len, lines[: n + 1]))) + 1
        assert any(f"line {number}: damaged line" in problem for problem in contents.problems)
        assert set(contents.rows) <= set(ROWS)
        assert len(contents.rows) >= len(ROWS) - 1 - (damaged[position] == 10 or whole[position] == 10)


def test_a_journal_that_goes_on_after_a_torn_line_loses_only_that(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    book = Journal(path)
    book.end(ROWS[1])
    book.close()
    contents = read_journal(path)
    assert contents.rows == tuple(ROWS)
    assert len(contents.problems) == 1
    assert not contents.torn


def test_a_forked_child_is_mute(tmp_path: Path) -> None:
    book = Journal(tmp_path / "rows.jsonl")
    child = os.fork()
    if child == 0:
        book.end(ROWS[0])
        book.close()
        os._exit(0)
    os.waitpid(child, 0)
    book.end(ROWS[1])
    book.close()
    assert read_journal(book.path).rows == (ROWS[1],)


def test_a_test_that_patches_os_write_does_not_reach_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Journal(tmp_path / "rows.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *args: 1 / 0)
        patch.setattr(json, "dumps", lambda *args: 1 / 0)
        book.end(ROWS[0])
    book.close()
    assert read_journal(book.path).rows == (ROWS[0],)


def close_descriptor(book: Journal) -> None:
    os.close(book._fd)


def delete_file(book: Journal) -> None:
    book.path.unlink()


def give_descriptor_to_another_file(book: Journal) -> None:
    other = os.open(book.path.parent / "other", os.O_RDWR | os.O_CREAT)
    os.dup2(other, book._fd)
    os.close(other)


@pytest.mark.parametrize("fault", [close_descriptor, delete_file, give_descriptor_to_another_file])
def test_a_row_that_cannot_be_written_goes_to_a_rescue_file_at_once(
    tmp_path: Path,
    fault: Callable[[Journal], None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    book = Journal(tmp_path / "rows.jsonl")
    book.header("run")
    book.end(ROWS[0])
    before = (tmp_path / "rows.jsonl").read_bytes()
    fault(book)
    book.end(ROWS[1])
    book.close()
    assert book.rescued is not None
    assert f"rows go to {book.rescued}" in capsys.readouterr().err
    found = read_journal(book.rescued).rows
    if book.path.exists():
        assert book.path.read_bytes() == before
        found = read_journal(book.path).rows + found
    assert found == tuple(ROWS)
    assert not (tmp_path / "other").exists() or (tmp_path / "other").read_bytes() == b""
    book.rescued.unlink()


def test_a_journal_that_is_deleted_after_its_last_row_is_rescued_when_it_is_closed(tmp_path: Path) -> None:
    told: list[str] = []
    book = Journal(tmp_path / "rows.jsonl", told.append)
    book.header("run")
    book.end(ROWS[0])
    delete_file(book)
    book.close()
    assert book.rescued is not None
    assert read_journal(book.rescued).rows == (ROWS[0],)
    assert f"rows go to {book.rescued}" in told[0]
    book.rescued.unlink()


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(journal, "_write", lambda fd, data: write(fd, data[:7]))
    book = Journal(tmp_path / "rows.jsonl")
    book.end(ROWS[0])
    book.close()
    assert read_journal(book.path).rows == (ROWS[0],)


def test_a_full_disk_in_the_middle_of_a_line_keeps_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    book = Journal(tmp_path / "rows.jsonl")
    book.header("run")
    calls: Iterator[int | OSError] = iter([10, OSError(28, "No space left on device")])

    def full(descriptor: int, data: bytes) -> int:
        step: int | OSError = next(calls, len(data))
        if isinstance(step, OSError):
            raise step
        return write(descriptor, data[:step])

    monkeypatch.setattr(journal, "_write", full)
    book.end(ROWS[0])
    book.close()
    assert book.rescued is not None
    assert read_journal(book.rescued).rows == (ROWS[0],)
    assert read_journal(book.path).torn
    book.rescued.unlink()


def test_a_newer_schema_is_refused_with_both_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SCHEMA", 9)
    path = written(tmp_path / "rows.jsonl")
    monkeypatch.undo()
    with pytest.raises(ResultError, match="schema 9, this version reads up to 1: pip install --upgrade"):
        read_journal(path)


def test_a_missing_journal_is_a_documented_error(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="No such file"):
        read_journal(tmp_path / "rows.jsonl")
