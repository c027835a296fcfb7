"""`torchbasics verify`: 0 only for a run that is there, whole, and in which nothing failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.making import begun_run, check_cell, checked, timed, timing_cell, write_run

from .test_commands import command, torchbasics

ROWS = [checked(check_cell("a")), timed(timing_cell("b"), 1e-3)]


def test_a_complete_run_is_0(tmp_path: Path) -> None:
    write_run(tmp_path, ROWS, run_id="20260101T000000Z-aaaaaaaa")
    more = [*ROWS, checked(check_cell("c"), "not_applicable", "no batch")]
    write_run(tmp_path, more, run_id="20260102T000000Z-bbbbbbbb")
    done = torchbasics("verify", tmp_path)
    assert (done.code, done.out) == (0, "complete: 2 runs, 5 cells, as planned\n")
    assert torchbasics("verify", "--results", tmp_path).out == "complete: 1 runs, 3 cells, as planned\n"
    assert command("verify", tmp_path).returncode == 0


@pytest.mark.parametrize("outcome", ["failed", "error", "timeout", "xpassed"])
def test_a_cell_that_ended_badly_is_1(tmp_path: Path, outcome: str) -> None:
    write_run(tmp_path, [*ROWS, checked(check_cell("c"), outcome, "wrong")])
    done = torchbasics("verify", tmp_path)
    assert done.code == 1
    assert done.last_line == f"torchbasics: exit 1: 1 of 3 cells ended badly: c shape cpu float32 ({outcome})"


def test_a_cell_that_is_absent_or_a_death_is_4(tmp_path: Path) -> None:
    write_run(tmp_path / "absent", ROWS, plan=[*(row.cell for row in ROWS), check_cell("c")])
    done = torchbasics("verify", tmp_path / "absent")
    assert done.code == 4
    assert "1 of 3 cells did not run to their end: c shape cpu float32 (not_run)" in done.last_line
    begun_run(tmp_path / "dead", ROWS, check_cell("c"))
    done = torchbasics("verify", tmp_path / "dead")
    assert done.code == 4
    assert "(crashed)" in done.last_line
    write_run(tmp_path / "stopped", ROWS, status="interrupted")
    done = torchbasics("verify", tmp_path / "stopped")
    assert (done.code, done.last_line.split()[-1]) == (4, "interrupted")
    assert torchbasics("verify", tmp_path / "absent", tmp_path / "stopped").code == 4


def test_one_bad_run_among_good_ones_is_found(tmp_path: Path) -> None:
    write_run(tmp_path, ROWS)
    bad = begun_run(tmp_path, ROWS, check_cell("c"))
    write_run(tmp_path, ROWS)
    done = torchbasics("verify", tmp_path)
    assert done.code == 4
    assert bad.name in done.last_line


def test_no_run_an_altered_one_and_one_that_measured_nothing_are_2(tmp_path: Path) -> None:
    assert torchbasics("verify", tmp_path).code == 2
    assert torchbasics("verify", tmp_path / "nowhere").code == 2
    write_run(tmp_path / "empty", [checked(check_cell("a"), "skipped", "why")])
    done = torchbasics("verify", tmp_path / "empty")
    assert (done.code, "nothing was measured" in done.last_line) == (2, True)
    run = write_run(tmp_path / "altered", ROWS)
    data = bytearray((run / "rows.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (run / "rows.parquet").write_bytes(data)
    done = torchbasics("verify", tmp_path / "altered")
    assert (done.code, "not those that the run wrote" in done.last_line) == (2, True)
