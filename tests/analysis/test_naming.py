"""Cases of one name: each suite has its own row, and a name that is clear stays as it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from pytest_torchbasics.analysis.naming import told_apart
from pytest_torchbasics.analysis.summary import support_table
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import Row
from tests.results.making import check_cell, checked, timed, timing_cell, write_run

TUTORIAL, TORCH_NN = "suites/tutorial/test_tutorial.py::test_correct", "suites/torch_nn/test_torch_nn.py::test_correct"


def of(test: str, case: str, check: str = "shape", case_hash: str = "cafe", outcome: str = "passed") -> Row:
    row = checked(check_cell(case, check), outcome, "" if outcome == "passed" else "why", case_hash)
    return dataclasses.replace(row, nodeid=f"{test}[{case}-{check}-cpu-float32]" if test else "")


def cases(tmp_path: Path, *rows: Row) -> list[str]:
    return told_apart(load(write_run(tmp_path, rows)))["case"].tolist()


def test_cases_of_two_suites_are_told_apart_only_where_the_name_is_ambiguous(tmp_path: Path) -> None:
    found = cases(tmp_path, of(TUTORIAL, "relu"), of(TUTORIAL, "square"), of(TORCH_NN, "relu"), of(TORCH_NN, "gelu"))
    assert found == ["relu (tutorial)", "square", "relu (torch_nn)", "gelu"]


def test_their_checks_are_not_added_up(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, [of(TUTORIAL, "relu"), of(TORCH_NN, "relu"), of(TORCH_NN, "relu", "gradient")]))
    passed = support_table(told_apart(frame))["eager"]["cpu"]["float32"]["passed"]
    assert passed.to_dict() == {"relu (tutorial)": 1, "relu (torch_nn)": 2}


def test_files_of_the_same_name_are_told_by_their_paths(tmp_path: Path) -> None:
    found = cases(tmp_path, of("a/test_ops.py::test_it", "relu"), of("b/test_ops.py::test_it", "relu"))
    assert found == ["relu (a/test_ops.py)", "relu (b/test_ops.py)"]


def test_in_one_file_other_cases_are_told_by_their_tests_and_the_same_case_is_one(tmp_path: Path) -> None:
    file = "test_ops.py"
    rows = [
        of(f"{file}::test_ops", "relu", case_hash="1"),
        of(f"{file}::TestLayers::test_it", "relu", case_hash="2"),
        of(f"{file}::test_ops", "gelu", case_hash="3"),
        of(f"{file}::test_again", "gelu", "gradient", case_hash="3"),
    ]
    assert cases(tmp_path, *rows) == ["relu (test_ops)", "relu (TestLayers::test_it)", "gelu", "gelu"]


def test_a_case_that_was_changed_between_runs_stays_one(tmp_path: Path) -> None:
    tests = {TUTORIAL: "shape", f"{TUTORIAL}_too": "gradient"}
    runs = [
        write_run(tmp_path, [of(test, "relu", check, case_hash) for test, check in tests.items()]) for case_hash in "12"
    ]
    assert set(told_apart(load(runs))["case"]) == {"relu"}


def test_cells_of_an_unknown_test_are_no_suite_s(tmp_path: Path) -> None:
    lost = of("", "relu", "gradient", case_hash="", outcome="not_run")
    assert cases(tmp_path, of(TUTORIAL, "relu"), of(TORCH_NN, "relu"), lost)[-1] == "relu (?)"
    assert cases(tmp_path, of(TUTORIAL, "relu"), lost) == ["relu", "relu"]


def test_telling_apart_twice_changes_nothing(tmp_path: Path) -> None:
    frame = told_apart(load(write_run(tmp_path, [of(TUTORIAL, "relu"), of(TORCH_NN, "relu")])))
    assert told_apart(frame)["case"].tolist() == frame["case"].tolist()


def test_sizes_and_threads_tell_timings_of_a_case_apart(tmp_path: Path) -> None:
    rows = [
        timed(dataclasses.replace(timing_cell("relu", threads=threads), sizes=sizes), 1e-3)
        for threads in (1, 2)
        for sizes in ("N=1", "")
    ]
    frame = told_apart(load(write_run(tmp_path, [*rows, checked(check_cell("relu"))])))
    assert sorted(set(frame["case"])) == [
        "relu",
        "relu 1 thread",
        "relu 2 threads",
        "relu N=1 1 thread",
        "relu N=1 2 threads",
    ]
    assert told_apart(frame)["case"].tolist() == frame["case"].tolist()
