"""The commands: the baseline first, exit codes that a gate can use, and no traceback."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_torchbasics.cli import main
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import Row
from tests.results.making import OTHER_MACHINE, check_cell, checked, realistic_rows, timed, timing_cell, write_run


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


def torchbasics(*arguments: object) -> Done:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def command(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    words: Sequence[str] = [
        sys.executable,
        "-c",
        "from pytest_torchbasics.cli import main; main()",
        *map(str, arguments),
    ]
    return subprocess.run(words, capture_output=True, text=True, check=False, **more)


def one(tmp_path: Path, seconds: float = 1.0, *rows: Row, **more: Any) -> Path:
    return write_run(tmp_path, [timed(timing_cell("linear"), seconds), *rows], **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    one(tmp_path, 1.0, run_id="20260101T000000Z-aaaaaaaa")
    one(tmp_path, 2.0, run_id="20260102T000000Z-bbbbbbbb")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "run"),
    [
        (["latest"], "b"),
        ([], "b"),
        (["20260101"], "a"),
        (["20260102T000000Z-bbbbbbbb"], "b"),
    ],
)
def test_a_run_is_found_by_its_id_the_beginning_of_it_or_as_the_latest(
    folder: Path, words: list[str], run: str
) -> None:
    done = torchbasics("show", *words, "--results", folder)
    assert done.code == 0
    assert f"Z-{run * 8}" in done.out


def test_a_run_is_found_by_a_path(folder: Path) -> None:
    path = folder / "runs" / "20260101T000000Z-aaaaaaaa"
    for source in (path, path / "rows.parquet", path / "rows.jsonl"):
        assert "Z-aaaaaaaa" in torchbasics("show", source).out
    assert "Z-bbbbbbbb" in torchbasics("show", folder).out


def test_an_unclear_or_unknown_run_is_exit_2_with_those_that_are_there(folder: Path) -> None:
    done = torchbasics("show", "2026", "--results", folder)
    assert (done.code, "begins the ids of 2 runs" in done.last_line) == (2, True)
    done = torchbasics("show", "nope", "--results", folder)
    assert (done.code, "there are 20260102T000000Z-bbbbbbbb, 2026" in done.last_line) == (2, True)
    done = torchbasics("show", "--results", folder / "empty")
    assert (done.code, "holds no run yet" in done.last_line) == (2, True)


def test_csv_and_json_are_exact(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(torchbasics("show", folder, "--format", "csv").out)))
    records = json.loads(torchbasics("show", folder, "--format", "json").out)
    assert [float(rows[0]["median_s"]), records[0]["median_s"]] == [2.0, 2.0]
    assert records[0]["duration_s"] is None
    long = list(csv.DictReader(io.StringIO(torchbasics("show", folder, "--format", "csv", "--long").out)))
    assert [row["metric"] for row in long] == ["median", "first_call"]


def test_csv_begins_no_formula(tmp_path: Path) -> None:
    write_run(tmp_path, [checked(check_cell("=cmd|calc"), "failed", "@SUM(1)\n+1")])
    (row,) = csv.DictReader(io.StringIO(torchbasics("show", tmp_path, "--format", "csv").out))
    assert (row["case"], row["reason"]) == ("'=cmd|calc", "'@SUM(1) +1")


@pytest.mark.parametrize(
    ("ending", "begins"), [("html", "<!DOCTYPE html>"), ("md", "## torchbasics"), ("json", "["), ("txt", "run ")]
)
def test_the_ending_of_out_chooses_the_format(folder: Path, ending: str, begins: str) -> None:
    out = folder / f"report.{ending}"
    assert torchbasics("show", folder, "--out", out).code == 0
    assert out.read_text(encoding="utf-8").startswith(begins)
    out = folder / f"compare.{ending}"
    assert torchbasics("compare", "20260101", "20260102", "--results", folder, "--out", out).code == 0
    assert out.exists()


def test_an_out_that_cannot_be_written_is_exit_2(folder: Path) -> None:
    done = torchbasics("show", folder, "--out", folder / "no" / "x.html")
    assert (done.code, "there is no such folder" in done.last_line) == (2, True)


def test_the_first_argument_is_the_baseline_and_is_echoed(folder: Path) -> None:
    done = torchbasics("compare", "20260102", "20260101", "--results", folder)
    assert "baseline  20260102T000000Z-bbbbbbbb" in done.out
    assert "-50.0 %" in done.out
    assert "▽ suspect faster" in done.out
    assert "+100 %" in torchbasics("compare", "20260101", "20260102", "--results", folder).out


def test_nothing_gated_is_exit_0_even_if_slower(folder: Path) -> None:
    assert torchbasics("compare", "20260101", "20260102", "--results", folder).code == 0


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("suspect", 1),
        ("new-failure", 1),
        ("missing", 1),
        ("new-failure,missing,suspect", 1),
        ("not-comparable", 0),
        ("", 0),
    ],
)
def test_what_is_gated_is_exit_1(tmp_path: Path, gate: str, code: int) -> None:
    base = one(tmp_path, 1.0, checked(check_cell("a")), checked(check_cell("b")))
    head = one(tmp_path, 2.0, checked(check_cell("a"), "failed", "off"))
    done = torchbasics("compare", base, head, "--fail-on", gate)
    assert done.code == code
    if code:
        assert done.last_line.startswith("torchbasics: exit 1: 1 cell is ")


def test_a_gate_within_the_screen_is_exit_0(folder: Path) -> None:
    assert (
        torchbasics(
            "compare", "20260101", "20260102", "--results", folder, "--fail-on", "suspect", "--screen", "150%"
        ).code
        == 0
    )
    assert torchbasics("compare", "20260102", "20260101", "--results", folder, "--fail-on", "suspect").code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--fail-on", "slower"],
        ["--screen", "-5%"],
        ["--screen", "nan"],
        ["--metric", "nope"],
        ["-k", "a and"],
        ["--only", "some"],
        ["--what"],
    ],
)
def test_wrong_options_are_exit_2(folder: Path, options: list[str]) -> None:
    assert torchbasics("compare", "20260101", "20260102", "--results", folder, *options).code == 2


def test_disjoint_runs_are_exit_2(tmp_path: Path) -> None:
    base = one(tmp_path)
    head = write_run(tmp_path, [timed(timing_cell("other"), 1.0)])
    done = torchbasics("compare", base, head)
    assert (done.code, done.out, "no matching data" in done.last_line) == (2, "", True)
    assert torchbasics("compare", base, base, "-k", "zzz").code == 2


def test_corrupt_and_missing_input_is_exit_2(tmp_path: Path) -> None:
    base = one(tmp_path)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 nothing")
    assert torchbasics("compare", base, broken).code == 2
    assert torchbasics("show", broken).code == 2
    assert torchbasics("compare", base, tmp_path / "none.parquet").code == 2


def test_another_machine_is_exit_3_unless_allowed(tmp_path: Path) -> None:
    base, head = one(tmp_path), one(tmp_path, 3.0, record=OTHER_MACHINE)
    done = torchbasics("compare", base, head, "--fail-on", "suspect")
    assert (done.code, "1 cells were measured on different machines" in done.last_line) == (3, True)
    done = torchbasics("compare", base, head, "--allow-mismatch", "--fail-on", "suspect")
    assert (done.code, "≠ not comparable" in done.out, "+200 %" in done.out) == (0, True, True)


def test_no_cell_of_an_equal_hash_is_exit_3(tmp_path: Path) -> None:
    base = write_run(tmp_path, [timed(timing_cell("a"), 1.0, "81ac")])
    head = write_run(tmp_path, [timed(timing_cell("a"), 1.0, "77f0")])
    done = torchbasics("compare", base, head)
    assert (done.code, "every case was changed" in done.last_line) == (3, True)


def test_an_incomplete_run_is_exit_4(tmp_path: Path) -> None:
    row = timed(timing_cell("linear"), 1.0)
    whole, part = write_run(tmp_path, [row]), write_run(tmp_path, [row], plan=[row.cell, check_cell("a")])
    done = torchbasics("compare", whole, part, "--fail-on", "missing")
    assert (done.code, f"head: the run {part.name} is incomplete" in done.last_line) == (4, True)
    assert torchbasics("compare", part, whole).code == 4
    assert torchbasics("compare", whole, part, "--allow-incomplete").code == 0
    assert torchbasics("show", part).code == 4
    assert torchbasics("show", part / "rows.parquet").code == 4


def test_several_runs_a_side(tmp_path: Path) -> None:
    runs = [one(tmp_path, seconds) for seconds in (1.0, 1.1, 2.0, 2.2)]
    done = torchbasics("compare", f"{runs[0]},{runs[1]}", runs[2], runs[3])
    assert "2+2" in done.out
    assert "+100 %" in done.out


def test_no_command_but_those_that_need_it_imports_torch(folder: Path) -> None:
    script = (
        "import sys\nfrom pytest_torchbasics.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print([m for m in ('torch', 'pytest') if m in sys.modules], file=sys.stderr)"
    )
    matrix = ["matrix", str(folder)]
    for words in (["--help"], ["show", str(folder)], ["compare", str(folder), str(folder / "runs")], matrix):
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
        assert done.stderr.strip().splitlines()[-1] == "[]", done.stderr


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    path = write_run(tmp_path, realistic_rows())
    words = [
        sys.executable,
        "-c",
        "from pytest_torchbasics.cli import main; main()",
        "show",
        str(path),
        "--format",
        "json",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        writer.stdout.read(10)
        writer.stdout.close()
        assert writer.stderr.read() == b""
        assert writer.wait() == 0


@pytest.mark.parametrize(
    "variables",
    [{"COLUMNS": "80"}, {"COLUMNS": "20"}, {"COLUMNS": "x"}, {"PYTHONIOENCODING": "ascii"}, {"NO_COLOR": "1"}],
)
def test_narrow_plain_and_ascii_terminals_do(folder: Path, variables: dict[str, str]) -> None:
    runs = [folder / "runs" / name for name in ("20260101T000000Z-aaaaaaaa", "20260102T000000Z-bbbbbbbb")]
    for words in (["show", folder], ["compare", *runs, "--only", "all"], ["matrix", folder]):
        done = command(*words, env={**os.environ, **variables})
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout


def test_every_command_has_help_and_the_version_is_told() -> None:
    for words in ([], ["show"], ["compare"], ["matrix"]):
        assert torchbasics(*words, "--help").code == 0
    assert "torchbasics, version 0" in torchbasics("--version").out
    assert torchbasics("nope").code == 2


def test_show_reads_what_load_reads(folder: Path) -> None:
    assert len(load(folder)) == 2


@pytest.mark.parametrize("limit", [200_000, 20_000, 4_000])
def test_a_comparison_fits_into_a_budget(tmp_path: Path, limit: int) -> None:
    rows = [timed(timing_cell(f"case-{number:04d}"), 1.0) for number in range(600)]
    base = write_run(tmp_path / "a", rows)
    head = write_run(tmp_path / "b", [timed(timing_cell(f"case-{number:04d}"), 2.0) for number in range(600)])
    done = torchbasics("compare", base, head, "--only=all", "--format=markdown", "--max-bytes", limit)
    assert done.code == 0
    assert len(done.out.encode()) <= limit
    assert "600 suspect slower" in done.out
    assert ("case-0599" in done.out) == (limit == 200_000)
    done = torchbasics("compare", base, head, "--format=json", "--max-bytes", 1000)
    assert (done.code, "--max-bytes=1000: the counts alone take" in done.last_line) == (2, True)


def test_what_nobody_expected_is_exit_2_and_never_a_gate(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_torchbasics.report.summary.run_summary", lambda *_: 1 / 0)
    done = torchbasics("show", folder)
    assert (done.code, "unexpected ZeroDivisionError; please report it" in done.last_line) == (2, True)
    assert "Traceback" in done.err


def test_odd_arguments_are_errors_of_one_line(folder: Path) -> None:
    for words in (["x" * 10_000, "latest"], ["latest", "latest", "--metric="], ["latest", "latest", "--metric=nope"]):
        done = torchbasics("compare", *words, "--results", folder)
        assert done.code == 2
        assert "Traceback" not in done.err


def test_a_run_on_both_sides_is_named(folder: Path) -> None:
    done = torchbasics("compare", folder, folder / "runs" / "20260102T000000Z-bbbbbbbb")
    assert "on both sides: 20260102T000000Z-bbbbbbbb" in done.err


def test_options_hold_for_cells_with_rules_too(tmp_path: Path) -> None:
    sides = [write_run(tmp_path / str(s), [timed(timing_cell("linear"), s)]) for s in (1.0, 2.0)]
    config = tmp_path / "rules.toml"
    config.write_text('[[tool.torchbasics.compare.rule]]\nmatch = "linear"\ngate = true\n')
    words = ["compare", *sides, "--config", config, "--fail-on=suspect"]
    assert torchbasics(*words).code == 1
    assert torchbasics(*words, "--screen=300%").code == 0


def test_an_explanation_has_the_values_of_its_own_cell(tmp_path: Path) -> None:
    rows = [timed(timing_cell("linear", threads=threads), 1.0 / threads) for threads in (1, 2)]
    done = torchbasics("compare", write_run(tmp_path / "a", rows), write_run(tmp_path / "b", rows), "--explain=linear")
    assert done.code == 0
    assert (done.out.count("1.00 s ("), done.out.count("500 ms (")) == (2, 2)


def test_a_time_that_is_none_is_null_in_json(tmp_path: Path) -> None:
    run = write_run(tmp_path, [timed(timing_cell("linear"), 1.0)], plan=[timing_cell("linear"), timing_cell("conv")])
    records = json.loads(torchbasics("show", run, "--format", "json").out)
    assert {record["started_at"] for record in records} == {None}


def test_a_fleet_that_was_merged_without_a_ci_is_shown_as_one(tmp_path: Path) -> None:
    for name, device in (("one", "cpu"), ("two", "cuda:0")):
        write_run(tmp_path / name, [checked(check_cell("linear", device=device))], leg=name)
    torchbasics("merge", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "out")
    done = torchbasics("matrix", tmp_path / "out")
    assert "cpu" in done.out
    assert "cuda:0" in done.out


def test_an_interrupt_is_exit_4_wherever_it_comes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_torchbasics.report.summary.run_summary", interrupted)
    done = torchbasics("show", folder)
    assert (done.code, done.last_line) == (4, "torchbasics: exit 4: it was interrupted")
