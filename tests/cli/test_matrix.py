"""`torchbasics matrix`: one or several runs, two views, every format, and exit codes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.test_commands import torchbasics
from tests.results.making import check_cell, checked, timed, timing_cell, write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, device in enumerate(("cpu", "cuda:0"), 1):
        rows = [
            checked(check_cell("linear", "shape", device=device)),
            checked(check_cell("linear", "batch", device=device), "not_applicable", "no batch"),
            checked(check_cell("relu", "shape", device=device), "unsupported", "no kernel"),
            timed(timing_cell("linear", device=device), 2e-6),
        ]
        write_run(tmp_path, rows, run_id=f"2026010{number}T000000Z-aaaaaaaa")
    return tmp_path


def records(*arguments: object) -> list[dict[str, str]]:
    done = torchbasics("matrix", *arguments, "--format", "csv")
    assert (done.code, done.err) == (0, "")
    found = json.loads(torchbasics("matrix", *arguments, "--format", "json").out)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert [list(row) for row in found] == [list(row) for row in rows]
    return rows


def test_the_latest_run_is_shown_by_device(folder: Path) -> None:
    done = torchbasics("matrix", "--results", folder)
    assert (done.code, done.err) == (0, "")
    assert "20260102T000000Z-aaaaaaaa" in done.out
    assert "✓ 1 passed 2.00 µs  ±2 %" in done.out
    assert done.out == torchbasics("matrix", folder, "--by", "device").out


def test_several_runs_are_one_matrix(folder: Path) -> None:
    rows = records("20260101", "20260102", "--results", folder)
    assert [[row[name] for name in ("case", "device", "passed", "unsupported", "forward_s")] for row in rows] == [
        ["linear", "cpu", "1", "0", "2e-06"],
        ["linear", "cuda:0", "1", "0", "2e-06"],
        ["relu", "cpu", "0", "1", ""],
        ["relu", "cuda:0", "0", "1", ""],
    ]


def test_by_check_gives_the_outcome_of_each_check_and_the_reasons(folder: Path) -> None:
    rows = records("20260101", "20260102", "--results", folder, "--by", "check")
    assert [[row[name] for name in ("case", "check", "outcome", "cells", "of", "reasons")] for row in rows] == [
        ["linear", "shape", "passed", "2", "2", ""],
        ["linear", "batch", "not_applicable", "2", "2", "no batch"],
        ["relu", "shape", "unsupported", "2", "2", "no kernel"],
    ]
    assert "– unsupp." in torchbasics("matrix", folder, "--by", "check").out


def test_a_filter_chooses_the_cells(folder: Path) -> None:
    assert [row["case"] for row in records(folder, "-k", "relu and cuda")] == ["relu"]
    assert [row["check"] for row in records(folder, "--by", "check", "-k", "not batch")] == ["shape", "shape"]


@pytest.mark.parametrize("view", ["device", "check"])
@pytest.mark.parametrize(
    ("ending", "begins"), [("html", "<!DOCTYPE html>"), ("md", "## torchbasics"), ("json", "["), ("csv", "case,")]
)
def test_the_ending_of_out_chooses_the_format(folder: Path, view: str, ending: str, begins: str) -> None:
    out = folder / f"matrix.{ending}"
    assert torchbasics("matrix", folder, "--by", view, "--out", out).code == 0
    assert out.read_text(encoding="utf-8").startswith(begins)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--by", "dtype"], "'dtype' is not one of 'device', 'check'"),
        (["-k", "a and"], "the expression 'a and' is wrong at its end"),
        (["-k", "zzz"], "no matching data: nothing was planned there"),
        (["--by", "check", "-k", "forward"], "no matching data: no check was planned there"),
        (["nope"], "'nope' is no path"),
        (["--what"], "--what"),
        (["--out", "no/such/folder/x.html"], "there is no such folder"),
    ],
)
def test_wrong_arguments_are_exit_2_and_say_why(folder: Path, options: list[str], message: str) -> None:
    done = torchbasics("matrix", folder, *options)
    assert (done.code, done.out, message in done.last_line) == (2, "", True), done.err


def test_an_empty_run_is_exit_2(tmp_path: Path) -> None:
    done = torchbasics("matrix", write_run(tmp_path, []))
    assert (done.code, "no matching data" in done.last_line) == (2, True)


def test_an_incomplete_run_is_shown_and_exit_4(tmp_path: Path) -> None:
    row = checked(check_cell("a"))
    path = write_run(tmp_path, [row], plan=[row.cell, check_cell("b")])
    done = torchbasics("matrix", path)
    assert (done.code, f"the run {path.name} is incomplete" in done.last_line) == (4, True)
    assert "? nothing ran: b" in done.out
