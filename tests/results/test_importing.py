"""Tables as CSV, and pytest-benchmark's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pytest_torchbasics.cli._output import csv_text
from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load

from .making import RECORD, check_cell, checked, realistic_rows, timed, timing_cell, write_run


def test_a_csv_gives_back_what_was_written(tmp_path: Path) -> None:
    record = {**RECORD, "torch": {"version": "2.10"}, "git": {"commit": "1234e56", "dirty": None}}
    hostile = ["NA", "=cmd()", "'quoted", 'a,"b"', "None", "é ✗ 🔥", "00000012", "a | b"]
    rows = [checked(check_cell(name), "failed", f"why {name}", case_hash="1e5") for name in hostile]
    run = write_run(tmp_path, [*rows, timed(timing_cell("b"), 1e-3), *realistic_rows()], record=record)
    frame = load(run)
    for name, text in (("ours", csv_text(frame)), ("pandas", frame.to_csv(index=False))):
        path = tmp_path / f"{name}.csv"
        path.write_text(text, encoding="utf-8")
        found = load(path)
        kept = [column for column in frame if name == "ours" or column not in ("case", "reason")]
        pd.testing.assert_frame_equal(found[kept], frame[kept], check_exact=True)
    assert load(tmp_path / "pandas.csv").groupby("outcome", observed=True).size()["failed"] > 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as CSV"),
        ("a,b\n1,2\n", "it needs the columns kind, case and outcome"),
        ("kind,case,case,outcome\ncheck,a,a,passed\n", "each once"),
        (
            "kind,case,outcome,median_s\ntiming,a,passed,fast\n",
            "'median_s' must be numbers|must hold numbers, found 'fast'",
        ),
        ("kind,case,outcome\nnonsense,a,passed\n", "has rows of the kind 'nonsense'"),
    ],
)
def test_a_csv_that_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ResultError, match=message):
        load(path)


def benchmark_json(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "machine_info": {"machine": "x86_64", "python_version": "3.11.7", "cpu": {"brand_raw": "EPYC", "count": 2}},
        "commit_info": {"id": "abc", "dirty": False},
        "benchmarks": list(entries),
        "datetime": "2026-11-28T09:06:47.123456+00:00",
        "version": "5.3.1",
    }


STATS = {"median": 2e-3, "min": 1e-3, "max": 9e-3, "mean": 3e-3, "stddev": 1e-4, "rounds": 7, "data": [1e-3, 2e-3]}


def test_pytest_benchmarks_file_is_rows(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    cell = {key: str(value) for key, value in vars(timing_cell("linear", "backward", "bfloat16", "cuda:1")).items()}
    entries = [
        {"fullname": "t.py::test_foreign[1]", "name": "test_foreign[1]", "stats": STATS, "extra_info": {}},
        {"fullname": "t.py::test_ours", "name": "test_ours", "stats": {**STATS, "median": 4e-3}, "extra_info": cell},
    ]
    path.write_text(json.dumps(benchmark_json(*entries)))
    frame = load(path)
    assert frame["case"].tolist() == ["t.py::test_foreign[1]", "linear"]
    assert frame["phase"].astype(str).tolist() == ["", "backward"]
    assert frame["device"].astype(str).tolist() == ["", "cuda:1"]
    assert frame["median_s"].tolist() == [2e-3, 4e-3]
    assert frame["n"].tolist() == [7, 7]
    assert frame["commit"].tolist() == ["abc", "abc"]
    assert frame["run_id"].str.startswith("20261128T090647Z-").all()


def test_a_real_file_of_pytest_benchmark_is_read(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile("def test_it(benchmark):\n    benchmark(lambda: sum(range(9)))\n")
    result = pytester.runpytest_subprocess(
        "-p", "no:torchbasics", "--benchmark-json=b.json", "--benchmark-max-time=0.01"
    )
    result.assert_outcomes(passed=1)
    frame = load(pytester.path / "b.json")
    assert frame["case"].tolist() == ["test_a_real_file_of_pytest_benchmark_is_read.py::test_it"]
    assert frame["median_s"].between(0, 1e-3).all()


@pytest.mark.parametrize("found", [[], {}, {"benchmarks": []}, benchmark_json({"name": "x"}), benchmark_json(3)])  # type: ignore[arg-type]
def test_a_json_that_is_none_is_refused(tmp_path: Path, found: object) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(found))
    with pytest.raises(ResultError, match=r"pytest-benchmark|has no 'stats'"):
        load(path)
