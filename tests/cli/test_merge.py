"""`torchbasics merge`: what it says and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_torchbasics.results.store import RunFolder
from tests.results.making import RECORD, begun_run, check_cell, checked, timed, timing_cell, write_run

from .test_commands import torchbasics

ROWS = [checked(check_cell("a")), timed(timing_cell("b"), 1e-3)]


def test_it_says_what_arrived(tmp_path: Path) -> None:
    write_run(tmp_path / "in" / "one", ROWS, leg="cpu")
    done = torchbasics("merge", tmp_path / "in", "--out", tmp_path / "out")
    assert done.code == 0
    assert f"1 runs, 2 rows in {tmp_path / 'out'}" in done.out
    assert torchbasics("show", tmp_path / "out").code == 0


def test_a_leg_that_never_arrived_is_exit_4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "out", ROWS, leg="cpu", run_id="20250101T000000Z-aaaaaaaa")  # an older run, of another CI run
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    write_run(tmp_path / "in", ROWS, leg="cpu", shard="2/2")
    write_run(tmp_path / "in", ROWS, leg="cpu")
    plan = tmp_path / "plan.json"
    plan.write_text(
        json.dumps(
            {"schema": 1, "legs": [{"leg": "cpu"}, {"leg": "cpu", "shard": "2/2"}, {"leg": "gpu", "device": "cuda"}]}
        )
    )
    done = torchbasics("merge", tmp_path / "in", "--out", tmp_path / "out", "--expect", plan)
    assert (done.code, done.last_line) == (4, "torchbasics: exit 4: 1 legs never arrived: gpu")
    assert "3 legs expected, 2 arrived" in done.out
    matrix = torchbasics("matrix", tmp_path / "out")
    assert matrix.code == 4
    assert "the leg gpu never arrived" in matrix.out
    assert "cuda" in matrix.out


def test_a_run_that_died_is_exit_4(tmp_path: Path) -> None:
    begun_run(tmp_path / "in", ROWS[:1], ROWS[1].cell)
    done = torchbasics("merge", tmp_path / "in", "--out", tmp_path / "out")
    assert (done.code, "1 runs did not end as planned" in done.last_line) == (4, True)


def test_a_contradiction_is_exit_3_and_nonsense_exit_2(tmp_path: Path) -> None:
    for place in (1, 2):
        write_run(tmp_path / str(place), [timed(timing_cell("b"), place)], run_id="same")
    done = torchbasics("merge", tmp_path / "1", tmp_path / "2", "--out", tmp_path / "out")
    assert (done.code, "there twice with different rows" in done.last_line) == (3, True)
    assert torchbasics("merge", tmp_path / "no", "--out", tmp_path / "out").code == 2
    assert torchbasics("merge", tmp_path / "1", "--out", tmp_path / "out", "--expect", tmp_path / "no.json").code == 2
    assert torchbasics("merge", "--out", tmp_path / "out").code == 2


def test_a_killed_run_that_is_in_the_folder_already_is_finished(tmp_path: Path) -> None:
    killed = begun_run(tmp_path / "out", ROWS, check_cell("c"))
    write_run(tmp_path / "in", ROWS)
    done = torchbasics("merge", tmp_path / "in", "--out", tmp_path / "out")
    assert done.code == 4
    assert f"run {killed.name} is crashed" in done.out
    assert "2 runs, 5 rows" in done.out
    assert (killed / "rows.parquet").is_file()


def test_a_run_that_goes_on_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "out", record=RECORD)
    folder.write_plan([row.cell for row in ROWS])
    write_run(tmp_path / "in", ROWS)
    before = {path: path.stat().st_ino for path in folder.path.iterdir()}
    done = torchbasics("merge", tmp_path / "in", "--out", tmp_path / "out")
    assert done.code == 4
    assert f"run {folder.run_id} is running" in done.out
    assert {path: path.stat().st_ino for path in folder.path.iterdir()} == before
