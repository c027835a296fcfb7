"""Reports: complete, readable without colour, and never alive, whatever stands in the results."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pytest_torchbasics.analysis.compare import compare
from pytest_torchbasics.report import html, markdown, terminal
from pytest_torchbasics.report.comparison import Pair, View, comparison
from pytest_torchbasics.report.summary import run_summary
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import Row
from tests.results.making import check_cell, checked, realistic_rows, timed, timing_cell, write_run


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    return load(write_run(tmp_path_factory.mktemp("run"), realistic_rows(), plan=None))


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("timing_dtypes", [("float32",), ("float64", "float32")])
def test_the_summary_fits_the_terminal(tmp_path: Path, width: int, timing_dtypes: tuple[str, ...]) -> None:
    frame = load(write_run(tmp_path, realistic_rows(timing_dtypes=timing_dtypes, devices=("cpu", "cuda:0"))))
    text = terminal.render(run_summary(frame), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_the_summary_tells_what_ran_what_does_not_apply_and_why(frame) -> None:  # type: ignore[no-untyped-def]
    text = terminal.render(run_summary(frame), width=120)
    for expected in (
        "devices  cpu (AMD EPYC 9354 32-Core Processor)",
        "✗ 1 of 8",
        "~ 1 known",
        "– unsupp.",
        "– n/a",
        "±",
        "no argument carries a batch dimension",
        "no argument carries a batch dimension 5 cases",
        "each case and check: torchbasics matrix RUN --by check",
        "✗ failed: gelu · reference · cpu bfloat16",
        "allowed error 0.0039",
        "✗ raised: conv_transpose2d · batch · cpu float64, float32, bfloat16",
        "945 planned · 773 ran · 766 passed · 4 failed (3 raised) · 3 known failures",
    ):
        assert expected in " ".join(text.split()) or expected in text, expected
    row = re.search(r"^linear +✓ 8 +✓ 8 +✓ 6 +[\d.]+ µs +±\d %.*$", text, re.MULTILINE)
    assert row


def test_nothing_is_left_out_with_details(frame) -> None:  # type: ignore[no-untyped-def]
    text = " ".join(terminal.render(run_summary(frame, details=True), width=120, details=True).split())
    for case in ("softmax_stable", "multihead_attention"):
        assert text.count(case) > terminal.render(run_summary(frame), width=120).count(case)


def test_what_crashed_and_what_never_ran_look_like_nothing_else(tmp_path: Path) -> None:
    outcomes = ("passed", "crashed", "not_run", "skipped", "unsupported", "not_applicable", "xfailed", "timeout")
    rows = [checked(check_cell(f"case_{outcome}"), outcome, "why") for outcome in outcomes]
    text = terminal.render(run_summary(load(write_run(tmp_path, rows))), width=100)
    cells = [re.search(rf"^case_{outcome} +(.+)$", text, re.MULTILINE) for outcome in outcomes]
    shown = [cell.group(1) for cell in cells if cell]
    assert shown == ["✓ 1", "! 1 crashed", "? 1 not run", "○ skipped", "– unsupp.", "– n/a", "~ 1 known", "✗ 1 of 1"]


def test_colour_only_adds_to_the_words(frame) -> None:  # type: ignore[no-untyped-def]
    plain, coloured = (terminal.render(run_summary(frame), color=color) for color in (False, True))
    assert "\x1b[" in coloured
    uncoloured = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in uncoloured.splitlines()] == plain.splitlines()


def test_an_ascii_terminal_gets_ascii(frame) -> None:  # type: ignore[no-untyped-def]
    assert terminal.to_ascii(terminal.render(run_summary(frame))).isascii()


def test_an_empty_run_says_that_nothing_ran(tmp_path: Path) -> None:
    frame = load(write_run(tmp_path, []))
    for text in (
        terminal.render(run_summary(frame)),
        markdown.render(run_summary(frame)),
        html.render(run_summary(frame, details=True)),
    ):
        assert "nothing was planned and nothing ran" in text


def test_many_cells_that_never_ran_are_one_entry(tmp_path: Path) -> None:
    rows = realistic_rows()
    frame = load(write_run(tmp_path, rows[:1], plan=[row.cell for row in rows], status="interrupted"))
    text = terminal.render(run_summary(frame))
    assert "? not run: 944 cells of 35 cases: tensor_creation, add, matmul and 32 more" in text
    assert "the run was interrupted before it was reached" in text


class Page(HTMLParser):
    """Collects the elements of a page and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


HOSTILE = "<img src=x onerror=alert(1)>|`*_[a](http://b)\x1b[31m\u202e\n=cmd|' /C calc'!A0 @user #1 ::error:: ##[error]"


def hostile_rows(seconds: float) -> list[Row]:
    return [
        checked(check_cell(HOSTILE, HOSTILE), "failed", HOSTILE, HOSTILE),
        checked(check_cell("=cmd" + HOSTILE, "batch"), "not_applicable", HOSTILE),
        checked(check_cell("x", "batch"), "xfailed", "=" + HOSTILE),
        timed(timing_cell(HOSTILE, device=HOSTILE, dtype=HOSTILE), seconds),
    ]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    record = {"torch": {"version": HOSTILE}, "cpu": {"name": HOSTILE}, "git": {"commit": HOSTILE}}
    return [write_run(folder, hostile_rows(seconds), record=record) for seconds in (1.0, 2.0)]


def test_hostile_text_drives_no_terminal(hostile: list[Path]) -> None:
    table = compare(*hostile)
    for text in (
        terminal.render(run_summary(load(hostile[0])), width=100),
        terminal.render(comparison([Pair(HOSTILE, HOSTILE, table)], View(everything=True)), width=100),
    ):
        assert not set(text) & {"\x1b", "\u202e", "\r", "\t"}
        assert not any(line.lstrip().startswith("::") or "##[" in line for line in text.splitlines())


def test_hostile_text_is_no_markup_in_html(hostile: list[Path]) -> None:
    table = compare(*hostile)
    for text in (
        html.render(run_summary(load(hostile[0]), details=True)),
        html.render(comparison([Pair(HOSTILE, HOSTILE, table)], View(everything=True, details=True))),
    ):
        assert "onerror" in text
        elements = Page(text).elements
        assert not {"img", "script", "a", "iframe", "link"} & {tag for tag, _ in elements}
        assert not any(name.startswith("on") for _, attributes in elements for name in attributes)
        assert "\x1b" not in text


def test_hostile_text_is_no_markup_in_markdown(hostile: list[Path]) -> None:
    table = compare(*hostile)
    for text in (
        markdown.render(run_summary(load(hostile[0]))),
        markdown.render(comparison([Pair(HOSTILE, HOSTILE, table)], View(everything=True))),
    ):
        assert "<img" not in text
        assert "](http" not in text
        assert "@user" not in text
        assert "\x1b" not in text
        for line in text.splitlines():
            if line.startswith("|"):
                bars = len(re.findall(r"(?<!\\)\|", line))
                assert bars in (5, 8, 9, 4), line


def test_the_page_is_self_contained_with_real_tables_and_a_policy(frame) -> None:  # type: ignore[no-untyped-def]
    text = html.render(run_summary(frame, details=True))
    elements = Page(text).elements
    policy = next(attributes for tag, attributes in elements if attributes.get("http-equiv"))
    assert "default-src 'none'" in str(policy["content"])
    assert "prefers-color-scheme: dark" in text
    assert not any({"src", "href"} & set(attributes) for _, attributes in elements)
    heads = [attributes.get("scope") for tag, attributes in elements if tag == "th"]
    assert set(heads) == {"col", "row"}
    assert "url(" not in text


def test_a_markdown_table_has_as_many_cells_in_each_row(frame) -> None:  # type: ignore[no-untyped-def]
    lines = [line for line in markdown.render(run_summary(frame)).splitlines() if line.startswith("|")]
    first = [len(re.findall(r"(?<!\\)\|", line)) for line in lines[:37]]
    assert set(first) == {8}


def test_the_comparison_says_what_differs_first_and_claims_nothing(tmp_path: Path) -> None:
    rows = realistic_rows()
    base = write_run(tmp_path, rows)
    head = write_run(
        tmp_path,
        [
            checked(check_cell("add"), "failed", "off by one"),
            *(row for row in realistic_rows(1.5, 2) if row.cell not in (check_cell("add"), check_cell("cat"))),
            checked(check_cell("brand_new")),
        ],
    )
    for width in (80, 100):
        text = terminal.render(comparison([Pair("the-base", "the-head", compare(base, head))]), width=width)
        assert max(map(len, text.splitlines())) <= width
        order = [
            "baseline  the-base",
            "head      the-head",
            "✗ new failure: add · shape · cpu float32",
            "passed -> failed: off by one",
            "? missing: 1 cell of cat",
            "+ added: 1 cell of brand_new",
            "△ suspect slower",
            "unchanged cells are not listed",
            "geometric mean of head / base: 1.50",
            "over 101 cells",
            "With so few runs no significance is claimed",
            "1 new failure · 1 missing",
        ]
        positions = [text.index(words) for words in order]
        assert positions == sorted(positions)


@pytest.mark.parametrize(("factor", "said"), [(1.3, True), (1.0, False)])
def test_a_machine_that_was_slower_as_a_whole_is_suspected(tmp_path: Path, factor: float, said: bool) -> None:
    rows = [timed(timing_cell(f"case{number}"), 1.0) for number in range(30)]
    after = [timed(timing_cell(f"case{number}"), factor * (1.01 if number % 2 else 0.99)) for number in range(30)]
    table = compare(write_run(tmp_path / "a", rows), write_run(tmp_path / "b", after))
    text = terminal.render(comparison([Pair("a", "b", table)]), 100)
    assert ("was the machine itself faster or slower?" in text) is said
