"""Histories: each cell on its machine, in order of time, with what changed beside the code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from pytest_torchbasics.analysis.timeline import timelines
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import Row
from pytest_torchbasics.results.samples import run_records
from tests.results.making import OTHER_MACHINE, RECORD, check_cell, checked, timed, timing_cell, write_run


def run(root: Path, number: int, *rows: Row, record: dict[str, Any] = RECORD) -> Path:
    return write_run(root, rows, record=record, run_id=f"run-{number}")


def found(root: Path) -> pd.DataFrame:
    frame = load(root)
    return timelines(frame.sample(frac=1, random_state=1), run_records(sorted((root / "runs").iterdir())))


def test_runs_stand_in_order_with_what_changed(tmp_path: Path) -> None:
    newer = {**RECORD, "torch": {"version": "2.15.0"}}
    gpus = [{**RECORD, "gpus": [{"type": "cuda", "driver": driver}]} for driver in ("550", "560")]
    linear = timing_cell("linear")
    run(tmp_path, 1, timed(linear, 1.0), checked(check_cell("linear")))
    run(tmp_path, 2, timed(linear, 2.0), record=newer)
    run(tmp_path, 3, timed(linear, 3.0, case_hash="beef"), record=newer)
    table = found(tmp_path)
    assert table["run_id"].tolist() == ["run-1", "run-2", "run-3"]
    assert table["median_s"].tolist() == [1.0, 2.0, 3.0]
    assert table["changed"].tolist() == ["", "torch 2.14.1+cpu -> 2.15.0", "the case"]
    other = tmp_path / "other"
    for number, record in enumerate(gpus):
        run(other, number, timed(linear, 1.0), record={**record, "cpu": {}})
    assert found(other)["changed"].tolist() == ["", "driver 550 -> 560"]


def test_each_machine_has_its_own_history(tmp_path: Path) -> None:
    for number, record in enumerate((RECORD, OTHER_MACHINE, RECORD, OTHER_MACHINE)):
        run(tmp_path, number, timed(timing_cell("linear"), 1.0 + number), record=record)
    table = found(tmp_path)
    assert table.groupby("machine_key", sort=False)["median_s"].agg(list).tolist() in (
        [[1.0, 3.0], [2.0, 4.0]],
        [[2.0, 4.0], [1.0, 3.0]],
    )
    assert set(table["changed"]) == {""}


def test_a_cell_of_one_run_has_no_history(tmp_path: Path) -> None:
    run(tmp_path, 1, timed(timing_cell("linear"), 1.0))
    assert len(found(tmp_path)) == 0
    assert "changed" in found(tmp_path)


def test_a_run_without_a_time_is_kept_with_its_outcome_and_hides_no_change(tmp_path: Path) -> None:
    linear = timing_cell("linear")
    run(tmp_path, 1, timed(linear, 1.0))
    run(tmp_path, 2, Row(linear, "failed", "off"))
    run(tmp_path, 3, timed(linear, 1.0, case_hash="beef"))
    table = found(tmp_path)
    assert table["outcome"].tolist() == ["passed", "failed", "passed"]
    assert math.isnan(table["median_s"][1])
    assert table["changed"].tolist() == ["", "", "the case"]


def test_processes_of_one_run_are_one_moment(tmp_path: Path) -> None:
    import dataclasses

    for number in (1, 2):
        cells = [dataclasses.replace(timing_cell("linear"), process=process) for process in range(3)]
        run(tmp_path, number, *(timed(cell, 1.0 + cell.process) for cell in cells))
    assert found(tmp_path)["median_s"].tolist() == [2.0, 2.0]
