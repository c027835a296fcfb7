"""`torchbasics report`: the files that it writes, and its exit codes."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_torchbasics.results.safe import unescape_csv
from tests.cli.test_commands import torchbasics
from tests.report.accessibility import alive, problems
from tests.results.making import check_cell, checked, realistic_rows, timed, timing_cell, write_run

FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("results")
    for number in (1, 2):
        rows = [
            *realistic_rows(number),
            checked(check_cell(FORMULA), "failed", f'{FORMULA}, "a|b"'),
            checked(check_cell("NA")),
        ]
        write_run(root, rows, run_id=f"2026010{number}T000000Z-aaaaaaaa")
    return root


def files(out: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(out.iterdir())}


def test_a_report_is_a_page_a_summary_and_the_rows(folder: Path, tmp_path: Path) -> None:
    done = torchbasics("report", "latest", "--results", folder, "--out", tmp_path / "deep" / "out")
    assert (done.code, done.err) == (0, "")
    assert done.out.strip() == f"report: {tmp_path / 'deep' / 'out' / 'index.html'}"
    found = files(tmp_path / "deep" / "out")
    assert list(found) == ["index.html", "rows.csv", "summary.md"]
    assert problems(found["index.html"]) == alive(found["index.html"]) == []
    assert found["summary.md"].startswith("## torchbasics report\n")


def test_with_a_baseline_and_a_history_it_tells_what_changed(folder: Path, tmp_path: Path) -> None:
    done = torchbasics(
        "report", "20260102", "--base", "20260101", "--history", folder, "--results", folder, "--out", tmp_path
    )
    assert (done.code, done.err) == (0, "")
    found = files(tmp_path)
    assert list(found) == ["changes.csv", "index.html", "rows.csv", "summary.md"]
    for heading in ("Changes", "History", "Raw times"):
        assert f">{heading}</h2>" in found["index.html"]
    assert "suspect slower" in found["summary.md"]
    rows = list(csv.DictReader(io.StringIO(found["changes.csv"])))
    assert {row["verdict"] for row in rows} >= {"suspect slower", "same", "still failing"}


def test_the_rows_come_back_from_csv_and_none_is_a_formula(folder: Path, tmp_path: Path) -> None:
    torchbasics("report", "latest", "--results", folder, "--out", tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "rows.csv").read_text(encoding="utf-8"))))
    assert len(rows) == 947
    assert not any(str(value).startswith(("=", "+", "@", "\t")) for row in rows for value in row.values())
    (row,) = [row for row in rows if row["case"].endswith(FORMULA)]
    assert unescape_csv(row["case"]) == FORMULA
    assert unescape_csv(row["reason"]) == f'{FORMULA}, "a|b"'
    assert "NA" in {row["case"] for row in rows}


def test_the_same_runs_give_the_same_files(folder: Path, tmp_path: Path) -> None:
    arguments = ("report", "20260102", "--base", "20260101", "--history", folder, "--results", folder)
    for name in ("one", "two"):
        torchbasics(*arguments, "--out", tmp_path / name)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_the_summary_has_the_size_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    done = torchbasics("report", "latest", "--results", folder, "--out", tmp_path, "--max-bytes", 3000)
    assert done.code == 0
    assert 500 < (tmp_path / "summary.md").stat().st_size <= 3000
    assert torchbasics("report", "latest", "--results", folder, "--out", tmp_path, "--max-bytes", 100).code == 2


def test_an_incomplete_run_is_reported_and_exit_4(tmp_path: Path) -> None:
    cells = [timing_cell("linear"), timing_cell("relu")]
    run = write_run(tmp_path, [timed(cells[0], 1.0)], plan=cells, status="interrupted")
    done = torchbasics("report", run, "--out", tmp_path / "out")
    assert (done.code, "is interrupted" in done.last_line) == (4, True)
    assert "? not run" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    whole = write_run(tmp_path, [timed(cell, 1.0) for cell in cells])
    done = torchbasics("report", whole, "--base", run, "--out", tmp_path / "out")
    assert (done.code, "the baseline: " in done.last_line) == (4, True)


def test_what_cannot_be_reported_is_exit_2(folder: Path, tmp_path: Path) -> None:
    empty = write_run(tmp_path, [])
    other = write_run(tmp_path, [checked(check_cell("other"))])
    blocked = tmp_path / "file"
    blocked.write_text("")
    for arguments, why in (
        (("nothing",), "is no path"),
        ((empty,), "no matching data"),
        ((other, "--base", "20260101", "--results", folder), "no matching data"),
        ((other, "--base", other, "--metric", "speed"), "no side has the metric"),
        ((other, "--out", blocked / "deep"), "cannot be made"),
    ):
        done = torchbasics("report", "--out", tmp_path / "out", *arguments)
        assert (done.code, why in done.last_line) == (2, True), done
    assert torchbasics("report", other).code == 2  # no --out


def test_a_report_needs_no_torch(folder: Path, tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['torch'] = sys.modules['pytest'] = None\n"
    code = blocked + "from pytest_torchbasics.cli import main; main()"
    words = [sys.executable, "-c", code, "report", "latest", "--results", str(folder), "--out", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ})
    assert (done.returncode, done.stderr) == (0, "")
