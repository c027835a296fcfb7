"""load(): every accepted source gives the same tidy frame; what cannot be read is one clear error."""

from __future__ import annotations

import itertools
import json
import random
import time
from pathlib import Path

import pandas as pd
import pytest

import pytest_torchbasics
from pytest_torchbasics.results import ResultError, safe
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import MetricValue, Row
from pytest_torchbasics.results.table import parquet_bytes, rows_table

from .making import RECORD, check_cell, checked, realistic_rows, timed, timing_cell, write_run

ROWS = [
    checked(check_cell("a")),
    timed(timing_cell("b", dtype="bfloat16"), 1e-3),
    timed(timing_cell("b", "backward"), 2e-3),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path, ROWS)


def test_every_source_of_a_run_gives_the_same_frame(run: Path) -> None:
    expected = load(run)
    for source in (str(run), run.parent.parent, run.parent, run / "rows.parquet", run / "rows.jsonl", run / "run.json"):
        pd.testing.assert_frame_equal(load(source), expected)
    pd.testing.assert_frame_equal(load([run, run / "../" / run.name]), expected)
    pd.testing.assert_frame_equal(pytest_torchbasics.load(run), expected)


def test_metrics_are_columns_with_their_units(run: Path) -> None:
    frame = load(run)
    assert frame["median_s"].tolist()[1:] == [1e-3, 2e-3]
    assert frame[["low_s", "high_s"]].iloc[1].tolist() == pytest.approx([0.98e-3, 1.02e-3])
    assert frame["n"].tolist() == [pd.NA, 40, 40]
    assert frame["first_call_s"].tolist()[1:] == [0.03, 0.06]
    assert frame["error"].tolist()[0] == 1e-7
    assert pd.isna(frame["median_s"][0])
    assert frame.attrs["better"]["median_s"] == "lower"


def test_a_new_metric_is_a_new_column_and_changes_nothing_else(tmp_path: Path) -> None:
    row = Row(
        timing_cell("a"),
        "passed",
        metrics=(MetricValue("peak", "bytes", "lower", 1024), MetricValue("outcome", "", "none", 3)),
    )
    frame = load(write_run(tmp_path, [row]))
    assert frame["peak_bytes"].tolist() == [1024]
    assert frame["metric_outcome"].tolist() == [3]
    assert frame["outcome"].tolist() == ["passed"]


def test_axes_have_an_order(tmp_path: Path) -> None:
    phases, devices = ("forward_backward", "backward", "forward"), ("mps", "cuda:10", "cuda:2", "cpu")
    dtypes = ("bool", "float16", "float64", "new_dtype", "float32")
    axes = itertools.product(phases, dtypes, devices)
    cells = [timing_cell("a", phase, dtype, device) for phase, dtype, device in axes]
    frame = load(write_run(tmp_path, [timed(cell, 1.0) for cell in cells]))
    assert frame["phase"].drop_duplicates().sort_values().tolist() == ["forward", "backward", "forward_backward"]
    assert frame["device"].drop_duplicates().sort_values().tolist() == ["cpu", "cuda:2", "cuda:10", "mps"]
    assert frame["dtype"].drop_duplicates().sort_values().tolist() == [
        "float64",
        "float32",
        "float16",
        "bool",
        "new_dtype",
    ]
    assert all(frame[column].cat.ordered for column in ("phase", "device", "dtype", "outcome"))
    assert frame["phase"].max() == "forward_backward"


def test_order_survives_a_union_of_runs(tmp_path: Path) -> None:
    first = write_run(tmp_path, [timed(timing_cell("z", dtype="bfloat16", device="cuda:1"), 1.0)])
    second = write_run(tmp_path, [timed(timing_cell("a", dtype="float64"), 1.0)])
    frame = load([first, second])
    assert isinstance(frame["device"].dtype, pd.CategoricalDtype)
    assert frame["device"].cat.categories.tolist() == ["cpu", "cuda:1"]
    assert frame["dtype"].cat.categories.tolist() == ["float64", "bfloat16"]


def test_a_run_without_any_metric_loads_beside_one_with_them(tmp_path: Path) -> None:
    bare = {**RECORD, "git": {}, "torch": None}
    paths = [
        write_run(tmp_path, [Row(timing_cell("a"), "failed", "x")], record=bare),
        write_run(tmp_path, ROWS),
    ]
    for order in (paths, paths[::-1]):
        frame = load(order)
        assert len(frame) == 4
        assert frame["median_s"].dtype == "float64"
        assert frame["dirty"].dtype == "boolean"
        assert frame.loc[frame["outcome"] == "failed", "median_s"].isna().all()
    assert load(paths[0])["commit"].tolist() == [""]


def test_long_has_a_row_per_metric_and_keeps_cells_without_any(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, [*ROWS, Row(check_cell("c"), "skipped", "why")]), long=True)
    assert frame.groupby("case", observed=True).size().to_dict() == {"a": 2, "b": 4, "c": 1}
    median = frame[frame["metric"] == "median"]
    assert median["unit"].tolist() == ["s", "s"]
    assert median["value"].tolist() == [1e-3, 2e-3]
    assert median["n"].tolist() == [40, 40]


def test_text_that_looks_like_a_number_stays_text(tmp_path: Path) -> None:
    record = {**RECORD, "torch": {"version": "2.10"}, "git": {"commit": "1234e56", "dirty": None}}
    frame = load(write_run(tmp_path, [checked(check_cell("NA"), case_hash="00000012")], record=record))
    assert frame[["torch_version", "commit", "case", "case_hash"]].iloc[0].tolist() == [
        "2.10",
        "1234e56",
        "NA",
        "00000012",
    ]
    assert frame["dirty"].isna().all()


def test_a_journal_alone_is_read(tmp_path: Path, run: Path) -> None:
    alone = tmp_path / "copy.jsonl"
    alone.write_bytes((run / "rows.jsonl").read_bytes())
    frame = load(alone)
    assert frame["median_s"].tolist()[1:] == [1e-3, 2e-3]
    assert set(frame["run_id"]) == {run.name}


def test_the_device_is_named(tmp_path: Path) -> None:
    record = {**RECORD, "gpus": [{"type": "cuda", "name": "H100"}, {"type": "cuda", "name": "L4"}]}
    rows = [timed(timing_cell("a", device=device), 1.0) for device in ("cpu", "cuda:0", "cuda:1", "mps")]
    frame = load(write_run(tmp_path, rows, record=record))
    assert frame["device_name"].tolist() == [RECORD["cpu"]["name"], "H100", "L4", "mps"]


def test_nothing_there_is_an_error_that_says_what_to_give(tmp_path: Path) -> None:
    for source, message in (
        (tmp_path / "no", "is not there"),
        (tmp_path, "holds no run"),
        ([], "no results were given"),
    ):
        with pytest.raises(ResultError, match=message):
            load(source)
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(ResultError, match=r"give a run folder, a .parquet, a .jsonl, a .csv"):
        load(tmp_path / "x.txt")


def test_a_foreign_parquet_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ResultError, match="not one of torchbasics"):
        load(tmp_path / "x.parquet")


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    table = rows_table(ROWS, {"run_id": "x"}).replace_schema_metadata({"torchbasics_schema": "2"})
    (tmp_path / "x.parquet").write_bytes(parquet_bytes(table))
    with pytest.raises(ResultError, match="reads up to 1: pip install"):
        load(tmp_path / "x.parquet")


def test_columns_of_older_and_newer_minor_versions_are_understood(tmp_path: Path) -> None:
    import pyarrow as pa

    table = rows_table(ROWS, {"run_id": "x"})
    older = table.drop_columns(["leg", "median_s"])
    newer = table.append_column("colour", pa.array(["red"] * 3))
    (tmp_path / "old.parquet").write_bytes(parquet_bytes(older))
    (tmp_path / "new.parquet").write_bytes(parquet_bytes(newer))
    frame = load([tmp_path / "old.parquet", tmp_path / "new.parquet"])
    assert frame["colour"].tolist()[3:] == ["red"] * 3
    assert frame["leg"].tolist() == [""] * 6
    assert frame["median_s"].notna().tolist() == [False] * 4 + [True] * 2


def test_a_small_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    rows = [Row(check_cell("a"), "failed", "x")] * 3
    table = rows_table(rows, {"run_id": "x"})
    import pyarrow as pa

    bomb = table.set_column(table.column_names.index("nodeid"), "nodeid", pa.array(["x" * 100_000_000] * 3))
    (tmp_path / "bomb.parquet").write_bytes(parquet_bytes(bomb))
    assert (tmp_path / "bomb.parquet").stat().st_size < 1_000_000
    with pytest.raises(ResultError, match="would unpack to"):
        load(tmp_path / "bomb.parquet")


def test_broken_bytes_give_documented_errors_only(tmp_path: Path, run: Path) -> None:
    chance = random.Random(3)
    for name in ("rows.parquet", "rows.jsonl"):
        whole = (run / name).read_bytes()
        path = tmp_path / f"broken.{name.split('.')[1]}"
        for _ in range(100):
            data = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.3 else whole)
            for _ in range(chance.randrange(4)):
                if data:
                    data[chance.randrange(len(data))] = chance.randrange(256)
            path.write_bytes(data)
            error = _error_of(path)
            assert error is None or str(path) in error


def _error_of(path: Path) -> str | None:
    """The message of a documented error; any other error ends the test."""
    try:
        load(path)
    except ResultError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"run_id": "x"}',
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        "[" * 5000,
        '{"run_id": 1e999, "schema": 1}',
        "\x00",
    ],
)
def test_a_run_json_that_is_none_is_refused(run: Path, text: str) -> None:
    (run / "run.json").write_text(text)
    with pytest.raises(ResultError, match=r"run\.json"):
        load(run)


def test_a_hostile_plan_is_refused(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    (run / "rows.parquet").unlink()
    plans: tuple[object, ...] = (
        [],
        {"columns": 1, "cells": []},
        {"columns": ["kind"], "cells": [["check", "x"]]},
        {"columns": ["kind"], "cells": [["check"]]},
    )
    for plan in plans:
        (run / "run.json").write_text(json.dumps({**record, "plan": plan}))
        with pytest.raises(ResultError):
            load(run)


def test_too_large_a_file_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe, "PARQUET_BYTES", 10)
    with pytest.raises(ResultError, match="MiB are read"):
        load(run)


def test_a_link_among_the_runs_is_not_followed(tmp_path: Path, run: Path) -> None:
    (run.parent / "link").symlink_to(run)
    assert len(load(tmp_path)) == 3


def test_loading_stays_fast(tmp_path: Path) -> None:
    rows = realistic_rows() * 20
    table = rows_table(rows, {"run_id": "x"})
    (tmp_path / "many.parquet").write_bytes(parquet_bytes(table))
    load(tmp_path / "many.parquet")
    begun = time.perf_counter()
    assert len(load(tmp_path / "many.parquet")) == len(rows)
    assert time.perf_counter() - begun < 2  # 19,000 rows in about 0.05 s on 2 cores; the bound is for loaded machines
