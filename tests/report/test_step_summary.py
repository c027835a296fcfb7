"""The Markdown of a step summary: it fits, what tells least is left out first, and it says what."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from pytest_torchbasics.analysis.compare import compare
from pytest_torchbasics.report.comparison import Pair
from pytest_torchbasics.report.full import Compared, Material
from pytest_torchbasics.report.step_summary import LEAST, step_summary
from pytest_torchbasics.results.load import load
from tests.results.making import check_cell, checked, realistic_rows, timed, timing_cell, write_run

HOSTILE = "<details><script>|`@user*[a](http://b)\u202e\n```" + "x" * 10_000


def size(text: str) -> int:
    return len(text.encode())


def check_valid(text: str) -> None:
    """Whole tables, whole blocks, nothing alive."""
    lines = text.splitlines()
    assert lines[0] == "## torchbasics report"
    assert text.endswith("\n")
    assert text.count("<details>") == text.count("</details>")
    assert "<script" not in text
    assert "@user" not in text
    assert "](http" not in text
    widths: list[int] = []
    for line in [*lines, ""]:
        if line.startswith("|"):
            widths.append(len(re.findall(r"(?<!\\)\|", line)))
        elif widths:
            assert len(set(widths)) == 1
            assert len(widths) >= 2
            widths = []


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("runs")
    base = load(write_run(folder, realistic_rows()))
    more = [checked(check_cell("add", "strides"), "failed", "off by one"), timed(timing_cell("slow"), 9.0)]
    head = load(write_run(folder, [*realistic_rows(seed=2), *more]))
    slower = head["case"].astype(str).eq("linear") & head["kind"].astype(str).eq("timing")
    head.loc[slower, "median_s"] *= 2
    return Material(head, {"status": "complete"}, Compared(Pair("base", "head", compare(base, head))))


def test_everything_is_told_if_there_is_room(material: Material) -> None:
    text = step_summary(material, 900_000)
    check_valid(text)
    assert "Left out" not in text
    for expected in ("within noise", "△ suspect slower", "✗ new failure: add · strides", "### Cases", "### Times"):
        assert expected in text


def test_what_tells_least_is_left_out_first(material: Material) -> None:
    whole = step_summary(material, 900_000)
    without_unchanged = step_summary(material, size(whole) - 10)
    check_valid(without_unchanged)
    assert "unchanged cells" in without_unchanged
    assert "· within noise |" not in without_unchanged
    assert "### Cases" in without_unchanged
    without_cases = step_summary(material, size(without_unchanged) - 10)
    check_valid(without_cases)
    assert "### Cases" not in without_cases
    assert "### Values that differ" in without_cases
    only_failures = step_summary(material, size(without_cases) - 10)
    check_valid(only_failures)
    for text in (whole, without_unchanged, without_cases, only_failures):
        assert "add · strides" in text
        assert "suspect slower" in text
    assert size(whole) > size(without_unchanged) > size(without_cases) > size(only_failures)


@pytest.mark.parametrize("limit", [LEAST, 5_000, 20_000, 100_000, 900_000])
@pytest.mark.parametrize("outcome", ["passed", "failed", "not_applicable"])
def test_ten_thousand_rows_fit(many: pd.DataFrame, limit: int, outcome: str) -> None:
    frame = many.assign(outcome=outcome, reason=[f"reason {number}" for number in range(len(many))])
    text = step_summary(Material(frame), limit)
    check_valid(text)
    assert size(text) <= limit
    if limit < 100_000:
        assert f"Left out to fit into {limit:,} bytes" in text
    if outcome == "failed" and limit < 100_000:
        listed = text.count("✗ failed: ")
        assert listed > 0
        assert f"{10_000 - listed} of 10000 failures and changes" in text


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    cases = [checked(check_cell(f"case_{number}")) for number in range(10_000)]
    return load(write_run(tmp_path_factory.mktemp("many"), cases))


def test_hostile_and_long_names_fit_and_stay_text(tmp_path: Path) -> None:
    record = {"torch": {"version": HOSTILE}, "git": {"commit": HOSTILE}, "cpu": {"name": HOSTILE}}
    rows = [checked(check_cell(HOSTILE + str(number), HOSTILE), "failed", HOSTILE) for number in range(30)]
    rows.append(timed(timing_cell(HOSTILE, device=HOSTILE, dtype=HOSTILE), 1.0))
    frame = load(write_run(tmp_path, rows, record=record))
    for about in ({}, {"status": HOSTILE, "files": HOSTILE}):
        for limit in (LEAST, 10_000, 900_000):
            text = step_summary(Material(frame, about), limit)
            check_valid(text)
            assert size(text) <= limit


def test_a_run_of_nothing_says_so(tmp_path: Path) -> None:
    text = step_summary(Material(load(write_run(tmp_path, []))), LEAST)
    check_valid(text)
    assert "0 planned" in text
