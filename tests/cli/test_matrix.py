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


def test_the_difference_of_two_runs_names_what_is_newly_supported(tmp_path: Path) -> None:
    def run(name: str, **outcomes: str) -> Path:
        rows = [checked(check_cell(case), outcome, f"why {case}") for case, outcome in outcomes.items()]
        return write_run(tmp_path / name, rows)

    base = run("a", conv="unsupported", linear="passed", gru="passed")
    head = run("b", conv="passed", linear="failed", gru="passed")
    done = torchbasics("matrix", head, "--diff", base)
    assert done.code == 0
    assert "1 newly supported · 1 no longer" in done.out
    assert "conv" in done.out
    assert "gru" not in done.out
    assert (
        "| conv | cpu float32 | – unsupp. | ✓ passed |"
        in torchbasics("matrix", head, "--diff", base, "--format=markdown").out
    )
    assert "nothing changed" in torchbasics("matrix", base, "--diff", base).out


def test_support_that_is_not_declared_is_exit_1(tmp_path: Path) -> None:
    rows = [checked(check_cell("gru"), "unsupported", "no kernel"), checked(check_cell("linear"))]
    run, file = write_run(tmp_path, rows), tmp_path / "support.toml"
    file.write_text("")
    done = torchbasics("matrix", run, "--support", file)
    assert (done.code, "support is not as declared in 1 places" in done.last_line) == (1, True)
    assert "not declared: gru · shape on cpu float32 is unsupported: no kernel" in done.err
    file.write_text('[[unsupported]]\nmatch = "case:gru"\nreason = "x"\n')
    assert torchbasics("matrix", run, "--support", file).code == 0
    file.write_text('[[unsupported]]\nmatch = "gru or linear"\nreason = "x"\n')
    done = torchbasics("matrix", run, "--support", file)
    assert (done.code, "declared, and none any more: 'gru or linear' (x)" in done.err) == (1, True)
    file.write_text("[")
    assert torchbasics("matrix", run, "--support", file).code == 2
