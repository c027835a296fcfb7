"""collect(): every planned cell has a row, and what nobody saw the end of is a death; from journals made up here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.collect import Collected, collect, planned_cells, runs_in
from pytest_torchbasics.results.journal import JournalContents, Started
from pytest_torchbasics.results.rows import Cell, Row

from .making import check_cell

A, B, C = (check_cell(name) for name in "abc")


def row(cell: Cell, outcome: str = "passed", nodeid: str = "", **more: Any) -> Row:
    return Row(cell, outcome, nodeid=nodeid, **more)


def journal(
    *rows: Row,
    open_cells: Sequence[Started] = (),
    finished: Sequence[Started] = (),
    begun: str = "1",
    worker: str = "",
    problems: Sequence[str] = (),
    run_id: str = "run",
) -> JournalContents:
    torn = bool(problems)
    told = (tuple(rows), tuple(open_cells), frozenset(finished), tuple(problems), torn)
    return JournalContents(Path("rows.jsonl"), run_id, worker, begun, *told)


def plan(*cells: Cell | tuple[Cell, str]) -> dict[str, Any]:
    """The content of run.json with a plan."""
    named = [cell if isinstance(cell, tuple) else (cell, "") for cell in cells]
    columns = [*(field.name for field in dataclasses.fields(Cell)), "nodeid"]
    values = [[*vars(cell).values(), nodeid] for cell, nodeid in named]
    return {"run_id": "run", "plan": {"columns": columns, "cells": values}}


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Collects from journals in the place of files."""

    def collected(record: dict[str, Any], *journals: JournalContents, **more: Any) -> Collected:
        contents = {Path(f"rows-{number}.jsonl"): each for number, each in enumerate(journals)}
        monkeypatch.setattr("pytest_torchbasics.results.collect.read_journal", contents.__getitem__)
        return collect(record, Path("run"), list(contents), **more)

    return collected


def told(found: Collected) -> list[tuple[str, str]]:
    return [(each.cell.case, each.outcome) for each in found.rows]


def test_a_run_is_complete_if_every_planned_cell_ended(collected: Any) -> None:
    for status in (None, "complete"):
        found = collected(plan(A, B), journal(row(A), row(B, "failed")), status=status)
        assert told(found) == [("a", "passed"), ("b", "failed")]
        assert (found.status, found.planned, found.ended, found.problems) == ("complete", 2, 2, ())


def test_more_than_was_planned_is_complete_too(collected: Any) -> None:
    found = collected(plan(A), journal(row(A), row(B)))
    assert (found.status, found.planned, found.ended) == ("complete", 1, 2)


def test_without_a_plan_no_run_is_complete(collected: Any) -> None:
    found = collected({"run_id": "run"}, journal(row(A)))
    assert (found.status, found.planned, found.ended) == ("incomplete", None, 1)
    nothing = collected(plan())
    assert (nothing.status, nothing.planned, nothing.rows) == ("complete", 0, ())


@pytest.mark.parametrize(
    ("more", "status", "reason"),
    [
        ({}, "incomplete", "the run ended before it was reached"),
        ({"status": "complete"}, "incomplete", "the run ended before it was reached"),
        ({"status": "interrupted"}, "interrupted", "the run was interrupted before it was reached"),
        ({"running": True}, "running", "the run goes on before it was reached"),
        ({"running": True, "status": "interrupted"}, "running", "the run goes on before it was reached"),
    ],
)
def test_a_planned_cell_that_is_not_there_is_a_row(collected: Any, more: Any, status: str, reason: str) -> None:
    found = collected(plan(A, (B, "test_b")), journal(row(A)), **more)
    assert found.rows == (row(A), Row(B, "not_run", reason=reason, reason_code="not_reached", nodeid="test_b"))
    assert (found.status, found.planned, found.ended) == (status, 2, 1)


def test_a_cell_that_two_tests_plan_has_two_rows_the_missing_one_by_its_name(collected: Any) -> None:
    for present, absent in (("one", "two"), ("two", "one")):
        found = collected(plan((A, "one"), (A, "two")), journal(row(A, nodeid=present)))
        assert [(each.nodeid, each.outcome) for each in found.rows] == [(present, "passed"), (absent, "not_run")]
    both = collected(plan((A, "one"), (A, "two")), journal(row(A, nodeid="one"), row(A, nodeid="two")))
    assert (both.status, both.ended) == ("complete", 2)


def test_a_row_stands_for_its_cell_whatever_the_test_is_called(collected: Any) -> None:
    assert collected(plan((A, "planned")), journal(row(A, nodeid="renamed"))).status == "complete"


@pytest.mark.parametrize(
    ("worker", "problems", "reason"),
    [
        ("", (), "the process died while this ran"),
        ("gw1", (), "worker gw1 died while this ran"),
        ("gw1", ("torn",), "worker gw1 died while this ran or its line is damaged"),
    ],
)
def test_a_cell_that_was_in_flight_is_a_death(collected: Any, worker: str, problems: Any, reason: str) -> None:
    book = journal(row(A), open_cells=[Started(B, "test_b")], worker=worker, problems=problems)
    found = collected(plan(A, B), book)
    assert found.rows == (row(A), Row(B, "crashed", reason=reason, reason_code="process_died", nodeid="test_b"))
    assert (found.status, found.planned, found.ended, found.problems) == ("crashed", 2, 1, problems)


def test_a_death_outranks_a_hole_and_an_interruption_both(collected: Any) -> None:
    book = journal(open_cells=[Started(A)])
    assert collected(plan(A, B), book).status == "crashed"
    assert collected(plan(A, B), book, status="interrupted").status == "interrupted"


def test_in_a_run_that_goes_on_nothing_has_died(collected: Any) -> None:
    found = collected(plan(A), journal(open_cells=[Started(A)]), running=True)
    assert (told(found), found.status) == ([("a", "not_run")], "running")


def test_a_death_after_the_row_turns_the_row(collected: Any) -> None:
    book = journal(row(A, "failed", "test_a", duration_s=2.0), row(B), open_cells=[Started(A, "test_a")])
    found = collected(plan(A, B), book)
    reason = "the process died after its failed row"
    death = row(A, "crashed", "test_a", duration_s=2.0, reason=reason, reason_code="process_died")
    assert found.rows == (death, row(B))
    assert (found.status, found.ended) == ("crashed", 1)


@pytest.mark.parametrize("outcome", ["crashed", "timeout"])
def test_a_row_that_tells_of_a_death_already_stays(collected: Any, outcome: str) -> None:
    """The main process wrote it, which lived on: the run is whole. The next cell in flight is told all the same."""
    death = row(A, outcome, reason="killed by signal 9", reason_code="killed")
    found = collected(plan(A), journal(death, open_cells=[Started(A)]))
    assert (found.rows, found.status, found.ended) == ((death,), "complete", 1)
    more = collected(plan(A, B), journal(death, open_cells=[Started(A), Started(B)]))
    assert told(more) == [("a", outcome), ("b", "crashed")]


def test_the_same_cell_of_another_test_is_not_the_one_that_was_in_flight(collected: Any) -> None:
    found = collected(plan((A, "one"), (A, "two")), journal(row(A, nodeid="one"), open_cells=[Started(A, "two")]))
    assert [(each.nodeid, each.outcome) for each in found.rows] == [("one", "passed"), ("two", "crashed")]


@pytest.mark.parametrize(("begun", "died"), [("1", False), ("2", False), ("3", False), ("0", True)])
def test_a_cell_that_another_journal_ended_is_no_death_unless_that_was_before(
    collected: Any, begun: str, died: bool
) -> None:
    first = journal(row(B), open_cells=[Started(A), Started(C)], begun="1")
    second = journal(row(A), finished=[Started(A)], begun=begun)
    third = journal(finished=[Started(C)], begun="2")
    for books in orders(first, second, third):
        found = {each.cell.case: each.outcome for each in collected(plan(A, B), *books).rows}
        assert found.pop("a") == ("crashed" if died else "passed")
        assert found == {"b": "passed"}


def orders(*books: JournalContents) -> list[tuple[JournalContents, ...]]:
    return [books, books[::-1], (books[1], books[0], books[2])]


def test_of_a_test_that_ran_again_the_last_row_counts_by_when_its_journal_was_begun(collected: Any) -> None:
    old, new = journal(row(A, "failed"), row(B), begun="1"), journal(row(A), begun="2")
    for books in ((old, new), (new, old)):
        found = collected(plan(A, B), *books)
        assert told(found) == [("a", "passed"), ("b", "passed")]
        assert found.status == "complete"
    again = journal(row(A, "failed"), row(A))
    assert told(collected(plan(A), again)) == [("a", "passed")]


def test_a_cell_that_died_and_ran_again_is_well(collected: Any) -> None:
    died, again = journal(open_cells=[Started(A)], begun="1"), journal(row(A), begun="2")
    for books in ((died, again), (again, died)):
        found = collected(plan(A), *books)
        assert (told(found), found.status) == ([("a", "passed")], "complete")


def test_what_could_not_be_read_is_told_of_all_journals(collected: Any) -> None:
    books = [journal(problems=["x"]), journal(), journal(problems=["y", "z"])]
    assert collected(plan(), *books).problems == ("x", "y", "z")


def test_a_journal_of_another_run_is_refused_and_one_without_a_header_is_not(collected: Any) -> None:
    with pytest.raises(ResultError, match=r"rows\.jsonl: belongs to the run other, not to run"):
        collected(plan(A), journal(row(A)), journal(run_id="other"))
    assert collected(plan(A), journal(row(A), run_id="")).status == "complete"


def test_the_plan_has_its_cells_with_the_names_of_their_tests() -> None:
    assert planned_cells({"plan": None}, Path("run")) is None
    assert planned_cells({}, Path("run")) is None
    assert planned_cells(plan((A, "one"), B), Path("run")) == [(A, "one"), (B, "")]
    old = plan(A)
    old["plan"]["columns"].pop()
    old["plan"]["cells"][0].pop()
    assert planned_cells(old, Path("run")) == [(A, "")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "'plan' must have 'columns' and 'cells'"),
        ([], "'plan' must have 'columns' and 'cells'"),
        ({"columns": ["case"]}, "'plan' must have 'columns' and 'cells'"),
        ({"cells": []}, "'plan' must have 'columns' and 'cells'"),
        ({"columns": "case", "cells": []}, "'plan' must have 'columns' and 'cells'"),
        ({"columns": ["case"], "cells": [["a", "b"]]}, "a cell of 'plan' does not have a value for each column"),
        ({"columns": ["case"], "cells": [["a"], "b"]}, "a cell of 'plan' does not have a value for each column"),
        ({"columns": ["case"], "cells": [["a"]]}, "'kind' must be text, found nothing"),
    ],
)
def test_a_plan_that_is_none_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(ResultError, match=rf"run\.json: {message}"):
        planned_cells({"plan": wrong}, Path("run"))


def test_the_runs_of_a_folder_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    for name in ("2", "10", "1"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "run.json").touch()
    (tmp_path / "runs" / "3").mkdir()
    assert [path.name for path in runs_in(tmp_path)] == ["1", "10", "2"]
