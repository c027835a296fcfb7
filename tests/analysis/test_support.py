"""How support changes between runs, and whether it is what a file declares."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pytest_torchbasics.analysis.support import changed, outlived, read_support, states, undeclared
from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load
from tests.results.making import check_cell, checked, write_run


def frame_of(tmp_path: Path, **outcomes: str) -> pd.DataFrame:
    """A run with a case for each outcome, and one that always passes."""
    rows = [checked(check_cell(name), outcome, f"why {outcome}") for name, outcome in outcomes.items()]
    return load(write_run(tmp_path, [checked(check_cell("anchor")), *rows]))


def test_a_state_is_the_gravest_of_what_is_there(tmp_path: Path) -> None:
    rows = [
        checked(check_cell("a", "shape")),
        checked(check_cell("a", "batch"), "not_applicable", "no batch"),
        checked(check_cell("b", "shape")),
        checked(check_cell("b", "batch"), "failed", "off"),
        checked(check_cell("c", "shape"), "unsupported", "no kernel"),
    ]
    found = states(load(write_run(tmp_path, rows))).set_index("case")
    assert found["outcome"].to_dict() == {"a": "passed", "b": "failed", "c": "unsupported"}
    assert found.loc["b", "reason"] == "off"


@pytest.mark.parametrize(
    ("before", "after", "better"),
    [
        ("unsupported", "passed", True),
        ("failed", "passed", True),
        ("passed", "unsupported", False),
        ("passed", "failed", False),
        ("unsupported", "crashed", False),
        ("unsupported", "skipped", None),
    ],
)
def test_only_what_changed_is_told(tmp_path: Path, before: str, after: str, better: bool | None) -> None:
    table = changed(frame_of(tmp_path / "a", it=before), frame_of(tmp_path / "b", it=after))
    (row,) = table.to_dict("records")
    assert (row["case"], row["base"], row["head"]) == ("it", before, after)
    assert row["better"] is better or (better is None and pd.isna(row["better"]))
    assert changed(frame_of(tmp_path / "c", it=before), frame_of(tmp_path / "d", it=before)).empty


def test_cases_that_came_and_went_are_changes(tmp_path: Path) -> None:
    table = changed(frame_of(tmp_path / "a", gone="passed"), frame_of(tmp_path / "b", new="passed")).set_index("case")
    assert table.loc["gone", ["base", "head", "better"]].tolist() == ["passed", "", False]
    assert table.loc["new", ["base", "head", "better"]].tolist() == ["", "passed", True]


SUPPORT = """
[[unsupported]]
match = "case:lstm and dtype:float32"
reason = "no kernel"
"""


def test_what_is_unsupported_must_be_declared(tmp_path: Path) -> None:
    path = tmp_path / "support.toml"
    path.write_text(SUPPORT)
    gaps = read_support(path)
    frame = frame_of(tmp_path, lstm="unsupported", gru="unsupported", skipped="skipped")
    assert undeclared(frame, gaps)["case"].tolist() == ["gru"]
    assert outlived(frame, gaps) == []


def test_a_gap_that_is_none_any_more_is_told(tmp_path: Path) -> None:
    path = tmp_path / "support.toml"
    path.write_text(SUPPORT)
    gaps = read_support(path)
    ((_, why),) = outlived(frame_of(tmp_path, lstm="passed"), gaps)
    assert why == "1 cells pass, lstm on cpu float32 is one"
    ((_, why),) = outlived(frame_of(tmp_path), gaps)
    assert why == "no cell matches it"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "unknown key 'x'"),
        ("unsupported = 1", r"must be tables: \[\[unsupported\]\]"),
        ("unsupported = [1]", "has a 'match' and a 'reason', found 1"),
        ('[[unsupported]]\nmatch = "a"', "has a 'match' and a 'reason'"),
        ('[[unsupported]]\nmatch = "a and"\nreason = "b"', "the expression 'a and' is wrong"),
        ("[", "is no TOML"),
    ],
)
def test_a_file_without_meaning_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "support.toml"
    path.write_text(text)
    with pytest.raises(ResultError, match=message):
        read_support(path)
