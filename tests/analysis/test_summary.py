"""The tables of a run: nothing is averaged away, dropped or counted as passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_torchbasics.analysis import summary
from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import Row
from tests.results.making import check_cell, checked, timed, timing_cell, write_run

ROWS = [
    checked(check_cell("b", "shape")),
    checked(check_cell("b", "gradient"), "failed", "wrong"),
    checked(check_cell("b", "shape", "float64")),
    *(
        checked(check_cell("a", check, dtype), "unsupported", "no kernel")
        for check in ("shape", "gradient")
        for dtype in ("float64", "float32")
    ),
    checked(check_cell("c", "batch"), "not_applicable", "no batch"),
    checked(check_cell("c", "batch", "float64"), "not_applicable", "no batch"),
    checked(check_cell("d", "shape"), "xfailed", "known"),
    timed(timing_cell("b"), 2e-6),
    Row(timing_cell("c"), "error", "raised"),
]


@pytest.fixture
def frame(tmp_path: Path):  # type: ignore[no-untyped-def]
    return load(write_run(tmp_path, ROWS, plan=[*(row.cell for row in ROWS), check_cell("e")]))


def test_support_keeps_cases_that_nothing_supports_in_the_order_of_the_run(frame) -> None:  # type: ignore[no-untyped-def]
    table = summary.support_table(frame)
    assert table.index.tolist() == ["b", "a", "c", "d", "e"]
    assert table.loc["a", ("eager", "cpu", "float64", "unsupported")] == 2
    assert table.loc["b", ("eager", "cpu", "float32", "failed")] == 1
    assert table.loc["e", ("eager", "cpu", "float32", "not_run")] == 1
    assert [column[2] for column in table.columns.droplevel([3]).unique()] == ["float64", "float32"]


def test_a_failed_timing_has_an_outcome_and_no_time(frame) -> None:  # type: ignore[no-untyped-def]
    table = summary.support_table(frame)["eager"]["cpu"]["float32"]
    assert table.loc["b", "forward_s"] == 2e-6
    assert table.loc["c", "forward_outcome"] == "error"
    assert table["forward_s"].isna().tolist() == [False, True, True, True, True]


def test_several_runs_give_the_median_time_and_the_gravest_outcome(tmp_path: Path) -> None:
    paths = [write_run(tmp_path, [timed(timing_cell("a"), seconds)]) for seconds in (1.0, 9.0, 2.0)]
    paths.append(write_run(tmp_path, [Row(timing_cell("a"), "error", "x")]))
    table = summary.support_table(load(paths))["eager"]["cpu"]["float32"]
    assert table.loc["a", ["forward_s", "forward_outcome"]].tolist() == [2.0, "error"]


def test_counts_name_every_outcome(frame) -> None:  # type: ignore[no-untyped-def]
    table = summary.counts(frame)
    assert table.loc["unsupported"].tolist() == [4, 0, 4]
    assert table.loc["crashed"].tolist() == [0, 0, 0]
    assert table["total"].sum() == len(frame)


def test_what_does_not_apply_is_grouped_by_check_and_reason(frame) -> None:  # type: ignore[no-untyped-def]
    (row,) = summary.not_applicable(frame).to_dict("records")
    assert (row["subject"], row["reason"], row["cases"], row["dtypes"]) == (
        "batch",
        "no batch",
        ("c",),
        ("float32", "float64"),
    )


def test_declared_is_grouped_by_outcome_and_reason(frame) -> None:  # type: ignore[no-untyped-def]
    table = summary.declared(frame)
    assert table["outcome"].tolist() == ["unsupported", "xfailed"]
    assert table["subjects"].tolist() == [("shape", "gradient"), ("shape",)]


def test_problems_come_gravest_first_with_their_reasons(frame) -> None:  # type: ignore[no-untyped-def]
    table = summary.problems(frame)
    assert table["outcome"].tolist() == ["failed", "error", "not_run"]
    assert table["subject"].tolist() == ["gradient", "timing forward", "shape"]
    assert table["reason"].tolist()[0] == "wrong"


def test_a_run_without_rows_makes_empty_tables(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, []))
    assert frame.empty
    assert summary.support_table(frame).empty
    assert summary.problems(frame).empty
    assert summary.declared(frame).empty
    assert summary.counts(frame)["total"].sum() == 0


def test_a_foreign_frame_is_refused(frame) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ResultError, match=r"lacks the columns case; give one that load\(\) returned"):
        summary.problems(frame.drop(columns="case"))
