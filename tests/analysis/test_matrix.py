"""Coverage tables: exact, with every outcome told from every other, and no case lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_torchbasics.analysis import matrix
from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import OUTCOMES, Row
from tests.results.making import check_cell, checked, timed, timing_cell, write_run

ROWS = [
    checked(check_cell("linear", "shape")),
    checked(check_cell("linear", "shape", "bfloat16")),
    checked(check_cell("linear", "gradient")),
    checked(check_cell("linear", "gradient", "bfloat16"), "not_applicable", "float64 is needed"),
    checked(check_cell("relu", "shape")),
    checked(check_cell("relu", "shape", "bfloat16"), "failed", "off by one"),
    checked(check_cell("relu", "gradient"), "xfailed", "in place"),
    checked(check_cell("lstm", "shape"), "unsupported", "no kernel"),
    checked(check_cell("lstm", "gradient"), "unsupported", "no kernel"),
    timed(timing_cell("linear"), 2e-6),
]


def test_by_check_tells_the_gravest_outcome_in_how_many_of_its_places_and_why(tmp_path: Path) -> None:
    table = matrix.by_check(load(write_run(tmp_path, ROWS)))
    columns = ["case", "check", "outcome", "cells", "of", "passed", "not_applicable", "reasons"]
    assert table[columns].to_numpy().tolist() == [
        ["linear", "shape", "passed", 2, 2, 2, 0, ""],
        ["linear", "gradient", "passed", 1, 2, 1, 1, "float64 is needed"],
        ["relu", "shape", "failed", 1, 2, 1, 0, "off by one"],
        ["relu", "gradient", "xfailed", 1, 1, 0, 0, "in place"],
        ["lstm", "shape", "unsupported", 1, 1, 0, 0, "no kernel"],
        ["lstm", "gradient", "unsupported", 1, 1, 0, 0, "no kernel"],
    ]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_no_outcome_is_taken_for_another(tmp_path: Path, outcome: str) -> None:
    frame = load(write_run(tmp_path, [checked(check_cell("a"), outcome, "why")]))
    (by_check,) = matrix.by_check(frame).to_dict("records")
    (by_place,) = matrix.listed_by_place(frame).to_dict("records")
    assert by_check["outcome"] == outcome
    for row in (by_check, by_place):
        assert [name for name in OUTCOMES if row[name]] == [outcome]


def test_by_place_is_the_support_table_and_its_list_has_a_row_for_every_gap(tmp_path: Path) -> None:
    table = matrix.listed_by_place(load(write_run(tmp_path, ROWS)))
    columns = ["case", "run", "device", "dtype", "passed", "failed", "xfailed", "unsupported", "not_applicable"]
    assert table[columns].to_numpy().tolist() == [
        ["linear", "", "cpu", "float32", 2, 0, 0, 0, 0],
        ["linear", "", "cpu", "bfloat16", 1, 0, 0, 0, 1],
        ["relu", "", "cpu", "float32", 1, 0, 1, 0, 0],
        ["relu", "", "cpu", "bfloat16", 0, 1, 0, 0, 0],
        ["lstm", "", "cpu", "float32", 0, 0, 0, 2, 0],
        ["lstm", "", "cpu", "bfloat16", 0, 0, 0, 0, 0],
    ]
    assert table["forward_s"].dropna().tolist() == [2e-6]


def test_thoroughness_counts_what_passed_and_is_nowhere_a_problem(tmp_path: Path) -> None:
    table = matrix.thoroughness(load(write_run(tmp_path, ROWS)))
    assert table.reset_index().to_numpy().tolist() == [["linear", 2, 2, 4], ["relu", 0, 2, 3], ["lstm", 0, 2, 0]]


def test_a_check_that_torch_supports_in_one_dtype_only_still_counts_as_passed(tmp_path: Path) -> None:
    rows = [checked(check_cell("a")), checked(check_cell("a", dtype="bfloat16"), "unsupported", "no kernel")]
    assert matrix.thoroughness(load(write_run(tmp_path, rows)))["passed"].tolist() == [1]


def test_runs_of_other_devices_make_one_table(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, [checked(check_cell("a", device=device))]) for device in ("cpu", "cuda:0")]
    columns = matrix.by_place(load(runs)).columns
    assert [column[:4] for column in columns if column[-1] == "passed"] == [
        ("", "eager", "cpu", "float32"),
        ("", "eager", "cuda:0", "float32"),
    ]


def test_runs_of_the_same_cells_stand_side_by_side_and_are_not_added_up(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path, [checked(check_cell("a"), outcome, why), checked(check_cell(other))])
        for outcome, why, other in (("passed", "", "b"), ("failed", "wrong", "c"))
    ]
    table = matrix.listed_by_place(load(runs))
    assert table[["case", "run", "passed", "failed"]].to_numpy().tolist() == [
        ["a", "run 1", 1, 0],
        ["a", "run 2", 0, 1],
        ["b", "run 1", 1, 0],
        ["b", "run 2", 0, 0],
        ["c", "run 1", 0, 0],
        ["c", "run 2", 1, 0],
    ]
    assert list(matrix.run_titles(load(runs))) == [run.name for run in runs]


def test_a_run_without_rows_makes_empty_tables(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, []))
    assert matrix.by_place(frame).empty
    assert matrix.by_check(frame).empty
    assert matrix.thoroughness(frame).empty


def test_a_run_of_timings_has_no_checks_to_pass(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, [timed(timing_cell("a"), 1.0), Row(timing_cell("b"), "skipped", "why")]))
    assert matrix.by_check(frame).empty
    assert matrix.thoroughness(frame).reset_index().to_numpy().tolist() == [["a", 0, 0, 1], ["b", 0, 0, 0]]


def test_a_foreign_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"lacks the columns check; give one that load\(\) returned"):
        matrix.by_check(load(write_run(tmp_path, ROWS)).drop(columns="check"))
