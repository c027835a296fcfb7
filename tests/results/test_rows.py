"""The row: plain values whatever a test hands over, and a documented error for what is no row."""

from __future__ import annotations

import enum
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.rows import INFINITE, OUTCOMES, Cell, MetricValue, Row

from .making import check_cell, timing_cell

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(max_size=8),
    st.floats().map(np.float64),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**31), 2**31).map(np.int64),
    st.text().map(np.str_),
    st.just(Path("a/b")),
    st.complex_numbers(),
    st.just(object()),
    st.lists(st.integers(), max_size=2),
    st.text(st.characters(categories=["Cs"]), max_size=3),
)
METRICS = st.builds(MetricValue, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING)
CELLS = st.builds(Cell, st.just("check"), *[ANYTHING] * 8)
ROWS = st.builds(
    Row,
    CELLS,
    st.sampled_from(OUTCOMES),
    reason=ANYTHING,
    reason_code=ANYTHING,
    duration_s=ANYTHING,
    started_at=ANYTHING,
    nodeid=ANYTHING,
    case_hash=ANYTHING,
    flags=st.lists(ANYTHING, max_size=2),
    metrics=st.lists(METRICS, max_size=2),
    samples_ns=st.lists(ANYTHING, max_size=3),
)


@given(ROWS)
def test_any_values_make_a_row_that_strict_json_gives_back(row: Row) -> None:
    text = json.dumps(row.to_json(), allow_nan=False)
    assert Row.from_json(json.loads(text)) == row
    assert "\n" not in row.reason
    assert len(row.reason) <= 300


def test_torch_objects_become_text_and_numbers() -> None:
    torch = pytest.importorskip("torch")
    cell = Cell("timing", "a", "", "forward", "eager", torch.device("cpu"), torch.float32, 1)
    row = Row(cell, "passed", metrics=(MetricValue("median", "s", "lower", torch.tensor(2.0)),))
    assert (cell.device, cell.dtype, row.metrics[0].value) == ("cpu", "float32", 2.0)
    assert type(row.metrics[0].value) is float


def test_infinity_is_null_with_a_flag_and_nan_is_null() -> None:
    row = Row(check_cell("a"), "passed", metrics=(MetricValue("error", "", "lower", math.inf, math.nan),))
    assert (row.metrics[0].value, row.metrics[0].low) == (None, None)
    assert row.flags == (INFINITE,)


def test_an_object_that_cannot_be_printed_is_named() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert Row(check_cell("a"), "failed", reason=Broken()).reason == "<unprintable Broken>"  # type: ignore[arg-type]


def test_an_enum_outcome_is_its_value() -> None:
    class Status(str, enum.Enum):
        PASSED = "passed"

    assert Row(check_cell("a"), Status.PASSED).outcome == "passed"


def test_a_long_reason_is_one_line_of_300_characters() -> None:
    reason = Row(check_cell("a"), "failed", reason="first\nsecond\t" + "x" * 500).reason
    assert reason.startswith("first second x")
    assert len(reason) == 300
    assert reason.endswith("…")


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ResultError, match=r"must be one of passed, .* found 'fine'"):
        Row(check_cell("a"), "fine")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outcome": "fine"}, "found 'fine'"),
        ({"outcome": None}, "'outcome' must be text, found nothing"),
        ({"cell": []}, "'cell' must be a JSON object"),
        ({"cell": {"kind": "check"}}, "'case' must be text"),
        ({"metrics": 3}, "'metrics' must be a list, found int"),
        ({"metrics": [{"metric": "a", "value": "1"}]}, "'value' must be a number or null"),
        ({"samples_ns": [1.5]}, "'sample' must be a whole number"),
        ({"duration_s": True}, "'duration_s' must be a number"),
    ],
)
def test_what_is_no_row_is_refused_with_file_and_line(change: dict[str, object], message: str) -> None:
    data = {**Row(timing_cell("a"), "passed").to_json(), **change}
    with pytest.raises(ResultError, match=message) as error:
        Row.from_json(data, Path("rows.jsonl"), 7)
    assert str(error.value).startswith("rows.jsonl, line 7: ")


def test_keys_of_a_newer_minor_version_are_passed_over() -> None:
    row = Row(timing_cell("a"), "passed")
    assert Row.from_json({**row.to_json(), "colour": "red"}) == row


def test_rows_and_journal_import_nothing_heavy() -> None:
    code = (
        "import sys, pytest_torchbasics.results.rows, pytest_torchbasics.results.journal;"
        "print([m for m in ('numpy', 'pandas', 'pyarrow', 'torch', 'pytest') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
