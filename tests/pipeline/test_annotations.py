"""Annotations: what failed, where, at most ten of a kind, and no text that is taken for a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_torchbasics.pipeline.annotations import annotated
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import Row
from tests.results.making import check_cell, checked, write_run

HOSTILE = "50 %\r\n::error::stolen ##[error] \x1b[31m ::stop-commands::x"


def lines(root: Path, *rows: Row, **more: object) -> list[str]:
    return list(annotated(load(write_run(root, rows, **more)), root))  # type: ignore[arg-type]


def test_what_passed_or_does_not_apply_is_not_annotated(tmp_path: Path) -> None:
    rows = [checked(check_cell("a"), outcome) for outcome in ("passed",)]
    rows += [checked(check_cell("b"), "not_applicable", "why"), checked(check_cell("c"), "xfailed", "known")]
    assert lines(tmp_path, *rows) == []


@pytest.mark.parametrize("outcome", ["failed", "error", "timeout", "crashed", "xpassed"])
def test_what_failed_is_an_error_that_names_the_cell(tmp_path: Path, outcome: str) -> None:
    assert lines(tmp_path, checked(check_cell("linear"), outcome, "is wrong"), leg="gpu") == [
        f"::error title=torchbasics%3A {outcome}::linear shape eager cpu float32: is wrong (gpu)"
    ]


def test_what_never_ran_is_a_warning(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, plan=[check_cell("linear")])
    assert line.startswith("::warning title=torchbasics%3A not_run::linear shape")


def test_the_line_of_the_test_is_found(tmp_path: Path) -> None:
    path = tmp_path / "suites" / "tutorial" / "test_tutorial.py"
    path.parent.mkdir(parents=True)
    path.write_text("class TestAll:\n\n    def test_correct_too(self): ...\n\n    async def test_correct(self): ...\n")
    (line,) = lines(tmp_path, checked(check_cell("linear"), "failed", "is wrong"))
    assert ",file=suites/tutorial/test_tutorial.py,line=5::" in line


@pytest.mark.parametrize("name", ["/etc/passwd::test_x", "../x.py::test_x", "x.py", "", "x,line=1.py::test"])
def test_a_test_that_is_not_there_has_no_place(tmp_path: Path, name: str) -> None:
    row = Row(check_cell("a"), "failed", "is wrong", nodeid=name)
    assert "file=" not in lines(tmp_path, row)[0]


def test_no_text_of_a_result_ends_the_command_or_begins_another_one(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, checked(check_cell(HOSTILE), "failed", HOSTILE))
    assert line.startswith("::error title=torchbasics%3A failed::")
    assert line.isprintable()
    assert "50 %25" in line
    path = tmp_path / "a,b:c.py"
    path.write_text("def test_x(): ...\n")
    (line,) = lines(tmp_path, Row(check_cell("a"), "failed", "r", nodeid="a,b:c.py::test_x"))
    assert ",file=a%2Cb%3Ac.py,line=1::" in line


@pytest.mark.parametrize(
    ("failed", "shown", "last"), [(10, 10, "case9 "), (11, 10, "::and 2 more;"), (40, 10, "31 more")]
)
def test_ten_are_shown_and_the_last_one_tells_of_the_others(tmp_path: Path, failed: int, shown: int, last: str) -> None:
    found = lines(tmp_path, *(checked(check_cell(f"case{number}"), "failed", "is wrong") for number in range(failed)))
    assert (len(found), last in found[-1]) == (shown, True)
