"""What exit code a comparison and a verification ask for, on tables, without a run on the disk."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from pytest_torchbasics.analysis.verdicts import VERDICTS
from pytest_torchbasics.cli import _output as output
from pytest_torchbasics.cli import verify
from pytest_torchbasics.cli.compare import GATES, Compared, conclusion
from pytest_torchbasics.report.comparison import Pair
from pytest_torchbasics.results.rows import NO_CASE

NAN = float("nan")
GATED, UNUSABLE, NOT_COMPARABLE, INCOMPLETE = 1, 2, 3, 4


def compared(*cells: dict[str, Any]) -> Compared:
    """A comparison of cells that passed on both sides and did not change, unless told otherwise."""
    usual = {"base_outcome": "passed", "head_outcome": "passed", "obstacle": "", "ratio": 1.0, "reason": ""}
    usual |= {"verdict": "unchanged", "gate": True}
    table = pd.DataFrame([usual | cell for cell in cells], columns=list(usual))
    return Compared(pd.DataFrame(), pd.DataFrame(), Pair("base", "head", table))


def code(
    *cells: dict[str, Any], gates: tuple[str, ...] = (), allow_mismatch: bool = False, incomplete: str = ""
) -> tuple[int, str]:
    return conclusion([compared(*cells)], gates, allow_mismatch, incomplete)


SAME: dict[str, Any] = {}
FAILED = {"head_outcome": "failed", "verdict": "new failure"}
OTHER_MACHINE = {"obstacle": "machine", "verdict": "not comparable", "reason": "measured on different machines"}
OTHER_CASE = {"obstacle": "case", "verdict": "not comparable", "reason": "the case was changed (its hash differs)"}
OTHER_TIMER = {"obstacle": "timer", "verdict": "not comparable", "reason": "measured with different timers"}


def test_the_codes_are_those_that_are_documented() -> None:
    assert (output.GATED, output.UNUSABLE, output.NOT_COMPARABLE, output.INCOMPLETE) == (1, 2, 3, 4)


def test_without_a_gate_no_verdict_is_more_than_0() -> None:
    for verdict in VERDICTS:
        assert code({"verdict": verdict}) == (0, "")
    assert code(FAILED) == (0, "")


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_stops_its_own_verdicts_and_no_other(gate: str) -> None:
    for verdict in VERDICTS:
        cells = [{"verdict": verdict}, {"verdict": verdict}, SAME]
        gated = verdict in GATES[gate]
        said = (GATED, f"2 cells are {gate} (--fail-on {gate})") if gated else (0, "")
        assert code(*cells, gates=(gate,)) == said
        assert code(*[{**cell, "gate": False} for cell in cells], gates=(gate,)) == (0, "")
    assert code({"verdict": GATES[gate][0]}, gates=(gate,))[1] == f"1 cell is {gate} (--fail-on {gate})"


def test_a_gate_counts_the_cells_of_all_comparisons_that_it_holds_for() -> None:
    slower = {"verdict": "slower"}
    both = [compared(slower, {**slower, "gate": False}), compared(SAME, slower)]
    assert conclusion(both, ("missing", "regression"), False) == (
        GATED,
        "2 cells are regression (--fail-on missing,regression)",
    )


def test_where_no_cell_passed_on_both_sides_a_gate_has_compared_nothing() -> None:
    for cell in (
        {"base_outcome": "failed", "head_outcome": "failed", "verdict": "still failing"},
        {"base_outcome": "", "verdict": "added"},
        {"head_outcome": "skipped", "verdict": "missing"},
    ):
        assert code(cell, gates=("regression",)) == (
            UNUSABLE,
            "--fail-on regression: no cell passed on both sides, so nothing was compared",
        )
        assert code(cell) == (0, "")
        assert code(cell, {"base_outcome": "failed", "verdict": "fixed"}, gates=("regression",)) == (0, "")
        assert code(cell, SAME, gates=("regression",)) == (0, "")
    gone = {"head_outcome": "skipped", "verdict": "missing"}
    assert code(gone, gates=("suspect", "regression"))[1].startswith("--fail-on suspect,regression: no cell passed")


@pytest.mark.parametrize(
    ("obstacle", "what"), [("machine", "different machines"), ("threads", "different numbers of threads")]
)
def test_one_cell_of_another_machine_is_not_comparable(obstacle: str, what: str) -> None:
    other = {**OTHER_MACHINE, "obstacle": obstacle}
    why = f"1 cells were measured on {what} (--allow-mismatch shows the ratios without a verdict)"
    assert code(other, SAME, {"verdict": "slower"}, gates=("regression",)) == (NOT_COMPARABLE, why)
    assert code(other, SAME, allow_mismatch=True) == (0, "")
    assert code({**other, "head_outcome": "failed"}, SAME) == (0, "")
    assert code({**other, "base_outcome": "failed"}, SAME) == (0, "")


def test_cases_that_were_all_changed_are_not_comparable() -> None:
    why = "no cell has the same case hash on both sides: every case was changed"
    assert code(OTHER_CASE, {**OTHER_CASE, "ratio": NAN}) == (NOT_COMPARABLE, why)
    assert code({**OTHER_CASE, "ratio": NAN}) == (NOT_COMPARABLE, why)
    assert code(OTHER_CASE, SAME) == (0, "")
    assert code(OTHER_CASE, allow_mismatch=True) == (0, "")


def test_values_that_all_have_an_obstacle_are_not_comparable() -> None:
    check = {"ratio": NAN, "verdict": "same"}
    assert code(check, OTHER_TIMER) == (NOT_COMPARABLE, "no cell can be compared: measured with different timers")
    assert code(OTHER_CASE, OTHER_TIMER)[0] == NOT_COMPARABLE
    assert code(check, OTHER_TIMER, SAME) == (0, "")
    assert code(check) == (0, "")
    assert code(check, OTHER_TIMER, allow_mismatch=True) == (0, "")


def test_what_is_not_comparable_outranks_what_is_not_whole_and_that_a_gate() -> None:
    slower = {"verdict": "slower"}
    assert code(OTHER_MACHINE, slower, gates=("regression",), incomplete="head: why")[0] == NOT_COMPARABLE
    assert code(slower, gates=("regression",), incomplete="head: why") == (INCOMPLETE, "head: why")
    assert code(FAILED, gates=("regression",), incomplete="head: why") == (INCOMPLETE, "head: why")
    assert code(OTHER_MACHINE, incomplete="head: why", allow_mismatch=True) == (INCOMPLETE, "head: why")
    assert code(SAME, incomplete="head: why") == (INCOMPLETE, "head: why")


def rows(*outcomes: str, case: str = "linear") -> pd.DataFrame:
    """The rows of one run."""
    usual = {"case": case, "check": "shape", "phase": "", "device": "cpu", "dtype": "float32"}
    return pd.DataFrame([{**usual, "outcome": outcome} for outcome in outcomes])


def test_runs_that_are_whole_and_good_are_0() -> None:
    done = "complete: 2 runs, 4 cells, as planned"
    good = rows("passed", "skipped", "xfailed")
    assert verify.conclusion([good, rows("not_applicable")], []) == (0, done)
    assert verify.conclusion([good, rows("unsupported")], []) == (0, done)


@pytest.mark.parametrize("outcome", ["failed", "error", "timeout", "xpassed"])
def test_one_bad_cell_of_one_run_is_1(outcome: str) -> None:
    why = f"1 of 3 cells ended badly: linear shape cpu float32 ({outcome})"
    assert verify.conclusion([rows("passed"), rows("passed", outcome)], []) == (GATED, why)
    many = verify.conclusion([rows(*[outcome] * 7)], [])[1]
    five = ", ".join([f"linear shape cpu float32 ({outcome})"] * 5)
    assert many == f"7 of 7 cells ended badly: {five}, and 2 more"
    assert not verify.conclusion([rows(*[outcome] * 5)], [])[1].endswith("more")


def test_what_is_not_whole_outranks_what_ended_badly() -> None:
    assert verify.conclusion([rows("failed"), rows("passed")], ["a is crashed", "b is running"]) == (
        INCOMPLETE,
        "a is crashed; b is running",
    )


@pytest.mark.parametrize("outcome", ["skipped", "not_applicable", "unsupported"])
def test_runs_of_which_none_measured_anything_are_2(outcome: str) -> None:
    why = "nothing was measured: all 2 cells were skipped or did not apply"
    assert verify.conclusion([rows(outcome), rows("skipped")], []) == (UNUSABLE, why)
    assert verify.conclusion([rows(outcome), rows("passed", case=NO_CASE)], []) == (UNUSABLE, why)
    assert verify.conclusion([rows(outcome), rows("xfailed")], [])[0] == 0


def test_tests_without_a_case_measure_nothing_and_have_not_to() -> None:
    assert verify.conclusion([rows("passed", case=NO_CASE)], []) == (0, "complete: 1 runs, 1 cells, as planned")
    assert verify.conclusion([rows("failed", case=NO_CASE)], [])[0] == GATED
