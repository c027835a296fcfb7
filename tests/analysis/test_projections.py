"""Comparing across the values of a column, and folding cells."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_torchbasics.analysis.compare import compare
from pytest_torchbasics.analysis.projections import across, folded, in_order
from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load
from tests.results.making import check_cell, checked, timed, timing_cell, write_run


def test_values_of_a_column_are_compared_with_the_first_or_the_named_one(tmp_path: Path) -> None:
    rows = [
        timed(timing_cell("a", dtype=dtype), seconds)
        for dtype, seconds in (("bfloat16", 1.0), ("float64", 4.0), ("float32", 2.0))
    ]
    frame = load(write_run(tmp_path, rows))
    assert [(base, head) for base, head, _, _ in across(frame, "dtype")] == [
        ("dtype=float64", "dtype=float32"),
        ("dtype=float64", "dtype=bfloat16"),
    ]
    ratios = [
        compare(base, head, ignore=["dtype"])["ratio"].tolist()
        for _, _, base, head in across(frame, "dtype", "float32")
    ]
    assert ratios == [[2.0], [0.5]]


def test_a_column_without_two_values_is_refused(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, [timed(timing_cell("a"), 1.0)]))
    for arguments, message in (
        (("nope",), "--col=nope: there are phase"),
        (("dtype",), "all rows have the same, 'float32'"),
        (("dtype", "int8"), "no row has it; there are float32"),
    ):
        with pytest.raises(ResultError, match=message):
            list(across(frame, *arguments))


def test_cells_that_agree_are_folded_into_their_geometric_mean(tmp_path: Path) -> None:
    def side(*seconds: float) -> Path:
        cells = [timing_cell("a", phase) for phase in ("forward", "backward")] + [timing_cell("b")]
        return write_run(tmp_path, [timed(cell, s) for cell, s in zip(cells, seconds, strict=True)])

    table = folded(compare(side(1.0, 1.0, 1.0), side(2.0, 0.5, 1.1)), ["case"])
    assert table[["case", "cells"]].to_dict("records") == [{"case": "a", "cells": 2}, {"case": "b", "cells": 1}]
    assert table["ratio"].tolist() == pytest.approx([1.0, 1.1])
    assert table["verdict"].astype(str).tolist() == ["suspect slower", "within noise"]
    assert table["reason"].tolist()[0] == "1 suspect slower, 1 suspect faster"


def test_the_largest_change_comes_first_in_either_direction(tmp_path: Path) -> None:
    base = write_run(tmp_path, [timed(timing_cell(name), 1.0) for name in "abc"] + [checked(check_cell("d"))])
    head = write_run(
        tmp_path,
        [timed(timing_cell(name), s) for name, s in zip("abc", (1.1, 1.01, 0.8), strict=True)]
        + [checked(check_cell("d"))],
    )
    table = compare(base, head)
    assert in_order(table, "change")["case"].tolist() == ["c", "a", "b", "d"]
    assert in_order(table, "case")["case"].tolist() == ["a", "b", "c", "d"]
