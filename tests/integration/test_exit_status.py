"""The exit status of a run, without a run."""

from __future__ import annotations

import pytest

from pytest_torchbasics.integration.summary import RESULTS_LOST, exit_status

OK, FAILED, INTERRUPTED, NOTHING = 0, 1, 2, 5


def found(told: int = OK, status: str = "complete", **more: object) -> tuple[int, str]:
    facts = {"rescued": "", "bad": 0, "resume": False, "measured": True} | more
    return exit_status(told, status, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("told", range(7))
def test_a_complete_run_in_which_nothing_failed_changes_nothing(told: int) -> None:
    assert found(told) == (told, "")


@pytest.mark.parametrize("told", [FAILED, INTERRUPTED, 3, 4, 6])
def test_what_pytest_calls_bad_stays_so_and_needs_no_other_reason(told: int) -> None:
    for resume in (False, True):
        assert found(told, "crashed", bad=2, resume=resume, measured=False) == (told, "")


@pytest.mark.parametrize("told", [OK, FAILED, INTERRUPTED, NOTHING])
def test_rows_that_were_rescued_elsewhere_outrank_all_else(told: int) -> None:
    why = "the folder of the run lacks rows, which are kept in /tmp/x"
    assert found(told, "crashed", rescued="/tmp/x", bad=1, resume=True, measured=False) == (RESULTS_LOST, why)
    assert RESULTS_LOST == 3


@pytest.mark.parametrize("told", [OK, NOTHING])
@pytest.mark.parametrize("status", ["incomplete", "crashed", "interrupted", "running"])
def test_a_run_that_is_not_what_was_planned_has_failed(told: int, status: str) -> None:
    for resume in (False, True):
        assert found(told, status, bad=1, resume=resume, measured=False) == (
            FAILED,
            f"the run is {status}: not every planned cell ended",
        )


@pytest.mark.parametrize("told", [OK, NOTHING])
def test_cells_that_ended_badly_fail_a_run_that_pytest_calls_good(told: int) -> None:
    code, why = found(told, bad=1)
    assert (code, why.split(" (")[0]) == (FAILED, "1 cell ended badly, which pytest does not report as a failure")
    assert why.endswith("that changes reports): declare what is known to fail as known_failure")
    assert found(told, bad=2, measured=False)[1].startswith("2 cells ended badly")
    assert found(told, bad=2, resume=True) == (FAILED, "2 cells had failed before the run was gone on with")


def test_a_run_that_was_gone_on_with_is_good_if_nothing_was_left() -> None:
    for told in (OK, NOTHING):
        assert found(told, resume=True, measured=False) == (OK, "")


def test_a_run_that_measured_nothing_is_not_good() -> None:
    why = "nothing was measured: every cell was skipped or did not apply"
    assert found(measured=False) == (NOTHING, why)
    assert found(NOTHING, measured=False) == (NOTHING, why)
