"""The support matrix: every outcome looks like itself, gaps are seen, and it fits a terminal."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from pytest_torchbasics.report import html, markdown, terminal
from pytest_torchbasics.report.document import Column, Document, Table, Text
from pytest_torchbasics.report.matrix import check_matrix, place_matrix
from pytest_torchbasics.report.summary import run_summary
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import OUTCOMES, Row
from tests.report.test_reports import HOSTILE, Page, hostile_rows
from tests.results.making import CASES, check_cell, checked, realistic_rows, timed, timing_cell, write_run

MATRICES = (place_matrix, check_matrix)


def cells(document: Document) -> list[list[str]]:
    """The heads and rows of the matrix."""
    table = next(block for block in document.blocks if isinstance(block, Table))
    heads = [" ".join(column.lines) for column in table.columns]
    return [heads, *([text.text for text in row] for row in table.rows)]


def flat(document: Document, width: int = 120) -> str:
    return " ".join(terminal.render(document, width).split())


def test_a_place_shows_symbol_word_and_time(tmp_path: Path) -> None:
    rows = [
        checked(check_cell("linear", "shape")),
        checked(check_cell("linear", "gradient"), "not_applicable", "no float64"),
        checked(check_cell("linear", "shape", device="cuda:0"), "unsupported", "no kernel"),
        checked(check_cell("relu", "shape")),
        checked(check_cell("relu", "gradient"), "failed", "off"),
        timed(timing_cell("linear"), 2e-6),
        Row(timing_cell("relu"), "crashed", "died"),
    ]
    assert cells(place_matrix(load(write_run(tmp_path, rows)))) == [
        ["case", "checks passed", "cpu float32", "cuda:0 float32"],
        ["linear", "1 of 2", "✓ 1 passed                2.00 µs  ±2 %", "– 1 unsupp."],
        ["relu", "1 of 2", "✗ 1 failed ✓ 1 passed forward ! crashed", "· absent"],
    ]


def test_a_check_shows_symbol_and_word_and_in_how_many_places(tmp_path: Path) -> None:
    rows = [
        *(checked(check_cell("a", "shape", dtype)) for dtype in ("float64", "float32")),
        checked(check_cell("a", "batch", "float64"), "not_applicable", "no batch"),
        checked(check_cell("a", "batch")),
        checked(check_cell("b", "shape", "float64")),
        checked(check_cell("b", "shape"), "failed", "off"),
        checked(check_cell("c", "edge_values"), "not_applicable", "no input"),
    ]
    assert cells(check_matrix(load(write_run(tmp_path, rows)))) == [
        ["case", "checks passed", "shape", "batch", "edge values"],
        ["a", "2 of 3", "✓ passed", "✓ 1 of 2", "· absent"],
        ["b", "0 of 3", "✗ failed 1 of 2", "· absent", "· absent"],
        ["c", "? none ran", "· absent", "· absent", "– n/a"],
    ]


def test_no_two_outcomes_look_alike(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, [checked(check_cell(outcome), outcome, "why") for outcome in OUTCOMES]))
    for matrix in MATRICES:
        shown = [row[2] for row in cells(matrix(frame))[1:]]
        assert len(set(shown)) == len(OUTCOMES)
        assert all(re.fullmatch(r"[✓✗!~○–?] (1 )?\w.+", text) for text in shown), shown


@pytest.mark.parametrize("matrix", MATRICES)
def test_cases_of_which_nothing_ran_stand_out_with_their_reasons(tmp_path: Path, matrix) -> None:  # type: ignore[no-untyped-def]
    rows = [
        checked(check_cell("a")),
        checked(check_cell("b"), "unsupported", "no kernel"),
        checked(check_cell("c"), "unsupported", "no kernel"),
        checked(check_cell("d"), "skipped", "too slow"),
    ]
    text = flat(matrix(load(write_run(tmp_path, rows, plan=[*(row.cell for row in rows), check_cell("e")]))))
    for expected in (
        "? nothing ran: b, c no kernel",
        "? nothing ran: d too slow",
        "? nothing ran: e the run ended before it was reached",
        "5 cases, nothing ran of 4 · 5 planned · 1 ran",
    ):
        assert expected in text
    assert text.count("? none ran") == 4


def test_the_matrix_by_check_says_why_each_gap_is_there(tmp_path: Path) -> None:
    rows = [
        checked(check_cell("a", "shape")),
        checked(check_cell("a", "batch"), "not_applicable", "no batch"),
        checked(check_cell("b", "batch"), "skipped", "too slow"),
        checked(check_cell("b", "leak"), "unsupported", "no counter"),
        checked(check_cell("b", "shape"), "xfailed", "wrong upstream"),
        timed(timing_cell("c"), 1.0),
    ]
    text = flat(check_matrix(load(write_run(tmp_path, rows))))
    for expected in (
        "batch no batch a",
        "○ skipped too slow b: batch (float32)",
        "– unsupported no counter b: leak (float32)",
        "~ known failure wrong upstream b: shape (float32)",
    ):
        assert expected in text
    assert "timing" not in text


def test_several_runs_of_the_same_cells_have_a_column_each(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, [checked(check_cell("a"), *how)]) for how in (["passed"], ["failed", "off"])]
    document = place_matrix(load(runs))
    assert cells(document) == [
        ["case", "checks passed", "run 1 cpu float32", "run 2 cpu float32"],
        ["a", "0 of 1", "✓ 1 passed", "✗ 1 failed"],
    ]
    assert f"run 1 {runs[0].name} run 2 {runs[1].name}" in flat(document)
    assert cells(check_matrix(load(runs)))[1:] == [["a", "0 of 1", "✗ failed 1 of 2"]]


def test_modes_are_named_where_there_are_several(tmp_path: Path) -> None:
    modes = [dataclasses.replace(check_cell("a"), mode=mode) for mode in ("eager", "compile")]
    heads, _ = cells(place_matrix(load(write_run(tmp_path, [checked(cell) for cell in modes]))))
    assert heads[2:] == ["cpu float32 eager", "cpu float32 compile"]


def test_cases_of_one_name_in_two_suites_have_a_row_each_in_every_report(tmp_path: Path) -> None:
    rows = [
        dataclasses.replace(checked(check_cell("relu"), *how), nodeid=f"{suite}/test_{suite}.py::test_it[relu]")
        for suite, how in (("tutorial", ["passed"]), ("torch_nn", ["failed", "off"]))
    ]
    frame = load(write_run(tmp_path, rows))
    assert [row[-1] for row in cells(run_summary(frame))[1:]] == ["✓ 1", "✗ 1 of 1"]
    for report in (run_summary, *MATRICES):
        assert [row[0] for row in cells(report(frame))[1:]] == ["relu (tutorial)", "relu (torch_nn)"]
        assert "✗ failed: relu (torch_nn) · shape" in flat(report(frame))


def test_no_width_of_a_terminal_cuts_a_column_off() -> None:
    columns = tuple(Column((f"check{number}",), group="checks") for number in range(12))
    rows = tuple((Text(case), *[Text("✓ passed")] * 12) for case in ("a", "a_name_of_some_length"))
    document = Document("x", (Table((Column(("case",)), *columns), rows),), Text("end"))
    for width in range(40, 180):
        assert terminal.render(document, width).count("✓ passed") == 24, width


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_many_checks_fit_a_terminal_and_none_is_cut_off(tmp_path: Path, matrix, width: int) -> None:  # type: ignore[no-untyped-def]
    checks = [f"check_number{number}" for number in range(25)]
    rows = [checked(check_cell(case, check)) for case in CASES for check in checks]
    document = matrix(load(write_run(tmp_path, [*rows, *realistic_rows(devices=("cpu", "cuda:0"))])))
    lines = terminal.render(document, width).splitlines()
    assert max(map(len, lines)) <= width
    (heads, *body), text = cells(document), "\n".join(lines)
    if matrix is check_matrix:
        assert re.findall(r"number\d+", text) == [f"number{number}" for number in range(25)]
    shown = sum(row.count("✓ passed") for row in body)
    assert text.count("✓ passed") == shown
    assert len(heads) == len(body[0])


def test_an_empty_run_and_one_of_timings_do(tmp_path: Path) -> None:
    empty = load(write_run(tmp_path, []))
    timings = load(write_run(tmp_path, [timed(timing_cell("a"), 2e-6)]))
    for matrix in MATRICES:
        assert "no check or timing was planned" in flat(matrix(empty))
    assert cells(place_matrix(timings))[1] == ["a", "", "2.00 µs  ±2 %"]
    assert "no check or timing was planned" in flat(check_matrix(timings))


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_page_needs_nothing_from_outside_and_hostile_text_is_no_markup(tmp_path: Path, matrix) -> None:  # type: ignore[no-untyped-def]
    document = matrix(load(write_run(tmp_path, hostile_rows(1.0))), {"files": HOSTILE}, details=True)
    page = html.render(document)
    elements = Page(page).elements
    assert not {"img", "script", "a", "iframe", "link"} & {tag for tag, _ in elements}
    assert not any({"src", "href"} & set(attributes) for _, attributes in elements)
    assert "url(" not in page
    for text in (markdown.render(document), terminal.render(document)):
        assert not set(text) & {"\x1b", "\u202e", "\r", "\t"}
    assert "<img" not in markdown.render(document)


def test_the_summary_shortens_what_does_not_apply_to_a_row_per_reason_and_says_where_all_of_it_is(
    tmp_path: Path,
) -> None:
    rows = [
        *(checked(check_cell(f"case{n}", "vmap"), "not_applicable", f"torch cannot: {n}") for n in range(30)),
        *(checked(check_cell(case, "leak"), "not_applicable", "no tensor") for case in ("case0", "case1")),
        checked(check_cell("case2", "modes"), "not_applicable", "no tensor"),
        checked(check_cell("case2", "batch"), "not_applicable", "no batch: name it"),
    ]
    frame = load(write_run(tmp_path, rows))
    text = terminal.render(run_summary(frame), 80)
    section = text[text.index("What does not apply") :].splitlines()
    assert [re.split(" {2,}", line) for line in section[3:6]] == [
        ["batch", "no batch: name it", "case2"],
        ["leak, modes", "no tensor", "3 cases"],
        ["vmap", "torch cannot (30 reasons)", "all 30 cases"],
    ]
    assert section[7] == "each case and check: torchbasics matrix RUN --by check"
    everything = flat(check_matrix(frame))
    assert all(f"torch cannot: {n}" in everything for n in range(30))
