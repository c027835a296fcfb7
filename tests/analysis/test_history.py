"""Histories: one for each cell and machine, and where they changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_torchbasics.analysis.history import History, change_points, histories
from pytest_torchbasics.report.history import bars, history_report
from pytest_torchbasics.report.terminal import render
from pytest_torchbasics.results.load import load
from tests.results.making import OTHER_MACHINE, RECORD, timed, timing_cell, write_run


def noise(count: int, seed: int = 0, spread: float = 0.02) -> np.ndarray[Any, Any]:
    return np.exp(spread * np.random.default_rng(seed).standard_normal(count))


def test_a_step_is_found_where_it_is() -> None:
    values = noise(30)
    values[12:] *= 1.15
    assert change_points(values) == [12]


def test_two_steps_and_a_way_back() -> None:
    values = noise(40, 1)
    values[10:25] *= 1.2
    assert change_points(values) == [10, 25]


def test_without_a_step_there_is_none_most_of_the_time() -> None:
    found = sum(bool(change_points(noise(30, seed, 0.03))) for seed in range(60))
    assert found <= 4


def test_single_bad_runs_are_no_change() -> None:
    values = noise(30, 2)
    values[[5, 17, 23]] *= 1.5
    assert change_points(values) == []


@pytest.mark.parametrize("values", [[], [1.0] * 5, [0.0] * 20, [1.0] * 20])
def test_too_few_or_no_values_have_no_change(values: list[float]) -> None:
    assert change_points(np.array(values)) == []


def runs(tmp_path: Path, values: list[float], **more: Any) -> list[History]:
    for number, value in enumerate(values):
        torch = "2.13" if number < 10 else "2.14"
        record = {**RECORD, "torch": {"version": torch}}
        row = timed(timing_cell("a"), value, **more.get("row", {}))
        write_run(tmp_path, [row], record=record, run_id=f"20260101T0000{number:02d}Z-aaaaaaaa")
    return list(histories(load(tmp_path)))


def test_what_else_changed_is_named(tmp_path: Path) -> None:
    (history,) = runs(tmp_path, [1.0] * 10 + [1.3] * 8)
    (change,) = history.changes
    assert (change.place, change.ratio, change.facts) == (10, pytest.approx(1.3), ("torch_version 2.13 -> 2.14",))
    assert [level for *_, level in history.levels] == [1.0, 1.3]
    text = render(history_report([history], "median_s", "lower", {"case": "a"}), 100)
    for words in ("▲ +30.0 %", "torch_version 2.13 -> 2.14", "1 changes", "▁▁▁▁▁▁▁▁▁▁████████"):
        assert words in text


def test_machines_are_apart_and_runs_in_order_of_time(tmp_path: Path) -> None:
    for number, record in ((2, RECORD), (1, RECORD), (3, OTHER_MACHINE)):
        write_run(
            tmp_path, [timed(timing_cell("a"), number)], record=record, run_id=f"2026010{number}T000000Z-aaaaaaaa"
        )
    found = list(histories(load(tmp_path)))
    assert sorted(history.runs["value"].tolist() for history in found) == [[1.0, 2.0], [3.0]]


def test_a_case_that_was_changed_starts_anew(tmp_path: Path) -> None:
    for number in range(16):
        row = timed(timing_cell("a"), 1.0 if number < 8 else 5.0, "old" if number < 8 else "new")
        write_run(tmp_path, [row], run_id=f"20260101T0000{number:02d}Z-aaaaaaaa")
    (history,) = histories(load(tmp_path))
    (change,) = history.changes
    assert change.case_changed
    assert "the case was changed" in render(history_report([history], "median_s", "lower", {}), 100)


def test_bars_do_not_blow_up_noise() -> None:
    assert set(bars([1.0, 1.01, 0.995])) <= {"▁", "▂"}
    assert bars([1.0, 2.0]) == "▁█"
    assert bars([]) == bars([float("nan")]) == ""
    assert len(bars([0.0] * 5)) == 5
