"""Which of several runs a merge keeps, on runs that are made up here: nothing of them is on the disk."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from pytest_torchbasics.results.merge import Contradiction, Found, _latest_attempts, _united
from pytest_torchbasics.results.store import RunFolder

from .making import check_cell

COMPLETE: dict[str, Any] = {"status": "complete", "ended": 1}


def found(run_id: str, digest: str = "x", place: str = "", **record: Any) -> Found:
    return Found(RunFolder(Path("runs") / run_id, run_id), COMPLETE | record, digest, Path(place or run_id))


def leg(run_id: str, attempt: int | None = 1, *, kinds: tuple[str, ...] = ("timing",), **record: Any) -> Found:
    named = {"ci_run": "7", "leg": "gpu", "shard": "1/2", "attempt": attempt, "kinds": list(kinds)}
    return found(run_id, **(named | record))


def placeholder(run_id: str, *, kinds: tuple[str, ...] = (), **record: Any) -> Found:
    return leg(run_id, None, kinds=kinds, placeholder=True, **record)


def latest(*runs: Found) -> tuple[set[str], set[str]]:
    """The ids of those that count and of those that are superseded; whatever order they come in."""
    answers = set()
    for order in itertools.permutations(runs):
        counts, superseded = _latest_attempts(order)
        answers.add(tuple(frozenset(run.folder.run_id for run in each) for each in (counts, superseded)))
    ((counts, superseded),) = answers
    assert len(counts) + len(superseded) <= len(runs)
    return set(counts), set(superseded)


def test_a_run_that_is_given_twice_is_there_once() -> None:
    runs = [found("a", place="one"), found("b"), found("a", place="two")]
    assert [run.folder.run_id for run in _united(runs)] == ["a", "b"]


def test_two_contents_of_one_run_in_the_same_state_are_a_contradiction() -> None:
    with pytest.raises(Contradiction) as caught:
        _united([found("a", "x", "one"), found("b"), found("a", "y", "two")])
    assert str(caught.value) == (
        "the run a is there twice with different rows: one and two. Leave out the one that was changed"
    )


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"status": "running", "ended": 1}, {"status": "incomplete", "ended": 1}),
        ({"status": "running", "ended": 9}, {"status": "crashed", "ended": 1}),
        ({"status": "crashed", "ended": 9}, {"status": "complete", "ended": 1}),
        ({"status": "running", "ended": 9}, {"status": "complete", "ended": None}),
        ({"status": "crashed", "ended": 1}, {"status": "crashed", "ended": 2}),
        ({"status": "running", "ended": None}, {"status": "running", "ended": 1}),
    ],
)
@pytest.mark.parametrize("digests", ["xy", "yx", "xx"])
def test_of_two_states_of_a_run_the_later_one_is_kept(earlier: Any, later: Any, digests: str) -> None:
    runs = [found("a", digests[0], **earlier), found("a", digests[1], **later)]
    for order in (runs, runs[::-1]):
        assert _united(order) == [runs[1]]


def test_the_folder_of_a_run_is_kept_and_a_table_of_it_not_whatever_it_says() -> None:
    table, folder = found("a", "x", imported=True, ended=9), found("a", "y", status="crashed")
    for order in ([table, folder], [folder, table], [table, folder, table]):
        assert _united(order) == [folder]
        assert _united([*order, found("b")]) == [folder, found("b")]
    with pytest.raises(Contradiction):
        _united([table, found("a", "z", imported=True, ended=9)])


def test_two_placeholders_of_one_leg_are_no_contradiction() -> None:
    runs = [placeholder("0-missing-a"), found("0-missing-a", "y", placeholder=True)]
    for order in (runs, runs[::-1]):
        assert _united(order) == [runs[1]]
    for untrue in (1, "yes", None):
        assert not found("a", placeholder=untrue).is_placeholder
        assert not found("a", imported=untrue).is_imported


def test_the_highest_attempt_counts_and_all_runs_of_it() -> None:
    assert latest(leg("a", 1), leg("b", 3), leg("c", 2), leg("d", 3)) == ({"b", "d"}, {"a", "c"})
    assert latest(leg("a", 1)) == latest(leg("a", 0)) == ({"a"}, set())


def test_an_attempt_that_is_no_number_is_the_first() -> None:
    for attempt in (None, "2"):
        assert latest(leg("a", attempt), leg("b", 1)) == ({"a", "b"}, set())  # type: ignore[arg-type]
        assert latest(leg("a", attempt), leg("b", 2)) == ({"b"}, {"a"})  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [{"ci_run": "8"}, {"leg": "cpu"}, {"shard": "2/2"}, {"kinds": ["check"]}])
def test_an_attempt_of_something_else_supersedes_nothing(other: Any) -> None:
    another = leg("b", 2)
    another.record.update(other)
    assert latest(leg("a", 1), another) == ({"a", "b"}, set())


def test_a_run_counts_while_it_is_the_last_of_one_of_its_kinds() -> None:
    both = leg("a", 1, kinds=("check", "timing"))
    assert latest(both, leg("b", 2)) == ({"a", "b"}, set())
    assert latest(both, leg("b", 2), leg("c", 2, kinds=("check",))) == ({"b", "c"}, {"a"})


def test_runs_of_no_leg_and_of_nothing_all_count() -> None:
    assert latest(leg("a", 1, leg=""), leg("b", 2, leg="")) == ({"a", "b"}, set())
    assert latest(leg("a", 1, kinds=()), leg("b", 2)) == ({"a", "b"}, set())


def test_a_placeholder_yields_to_what_arrived() -> None:
    hole = placeholder("0")
    assert latest(hole) == ({"0"}, set())
    assert latest(hole, leg("a", 1)) == ({"a"}, set())
    assert latest(hole, leg("a", 1, ci_run="8")) == ({"0", "a"}, set())
    assert latest(hole, leg("a", 1, shard="2/2")) == ({"0", "a"}, set())
    assert latest(hole, placeholder("1", shard="2/2")) == ({"0", "1"}, set())


def test_a_placeholder_of_the_times_yields_to_times_alone() -> None:
    hole = placeholder("0", kinds=("timing",))
    assert latest(hole, leg("a", 1, kinds=("check",))) == ({"0", "a"}, set())
    assert latest(hole, leg("a", 1, kinds=("check",)), leg("b", 1)) == ({"a", "b"}, set())
    both = placeholder("0", kinds=("check", "timing"))
    assert latest(both, leg("a", 1)) == ({"0", "a"}, set())


def test_what_a_run_is_of_is_told_or_follows_from_its_plan() -> None:
    cell = vars(check_cell("a"))
    planned = found("a", plan={"columns": list(cell), "cells": [list(cell.values())]})
    assert planned.kinds == {"check"}
    assert leg("a", kinds=("timing",)).kinds == {"timing"}
    assert found("a").kinds == frozenset()
    assert found("a").slot == ("", "", "")
    assert leg("a", leg=None).slot == ("7", "", "1/2")
