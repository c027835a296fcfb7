"""Every check, in a run of pytest, rejects a result that is altered just where it looks."""

from __future__ import annotations

from pathlib import Path

from pytest_torchbasics.checks import check_names

from ..faults.running import Server, verify
from .planted import ALTERATIONS, NO_VALUES, PLANTED, TWIN, cases_of

PROJECT = """
from tests.false_green import planted

globals().update(planted.tests())
"""


def test_every_check_has_a_result_that_it_must_reject_or_says_what_it_judges_instead() -> None:
    assert sorted([*PLANTED, *NO_VALUES]) == sorted(check_names())


def test_a_result_that_is_altered_where_a_check_looks_is_red_and_its_twin_is_not(
    server: Server, tmp_path: Path
) -> None:
    left = server.run(tmp_path, project=PROJECT)
    assert left.code == 1
    found = left.rows()
    outcomes = {(row["check"], row["case"]): row["outcome"] for _, row in found.iterrows()}
    expected = {
        (check, case.name): "passed" if case.name in TWIN else "failed"
        for check in check_names()
        for case in cases_of(check)
    }
    assert {cell: outcomes.get(cell) for cell in expected if outcomes.get(cell) != expected[cell]} == {}
    assert len(found) == len(expected) >= len(PLANTED) * (len(ALTERATIONS) + len(TWIN) + 1)
    assert verify(left.run) == 1
