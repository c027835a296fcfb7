"""What stands in result files stays text in every output: terminal, HTML, Markdown, CSV, JSON, annotations, JUnit."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import html5lib
import pytest
from markdown_it import MarkdownIt

from pytest_torchbasics.pipeline.annotations import annotated
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import Cell, Row
from pytest_torchbasics.results.safe import printable
from tests.results.making import RECORD, check_cell, checked, timed, timing_cell, write_run

from .making import torchbasics
from .payloads import MARK, PAYLOADS

#: As many harmless texts, of which outputs have the same form.
HARMLESS = [f"harmless {n}" for n in range(len(PAYLOADS))]
HOSTILE = [f"{text}{MARK}{n}z" for n, text in enumerate(PAYLOADS.values())]
MARKS = [f"{MARK}{n}z" for n in range(len(PAYLOADS))]
FORMATS = ("terminal", "html", "markdown", "csv", "json")

Outputs = dict[str, dict[str, str]]


def run_of(root: Path, texts: Sequence[str], seconds: float, run_id: str) -> Path:
    """A run that has the texts wherever a run.json and a row may have one."""
    all_of_them = " ".join(texts)
    facts = {**dict.fromkeys(("version", "name", "platform"), all_of_them), **dict(zip(texts, texts, strict=True))}
    record = {
        **RECORD,
        **{part: {**RECORD[part], **facts} for part in ("torch", "cpu", "python", "os")},
        "git": {"commit": all_of_them, "branch": all_of_them, "dirty": True},
        "gpus": [{"type": "cuda", "name": all_of_them, "driver": all_of_them}],
        "variables": facts,
        "packages": facts,
        **dict(zip(texts, texts, strict=True)),
    }
    outcomes = ("passed", "failed", "error", "xfailed", "skipped", "unsupported", "not_applicable", "not_run")
    rows = []
    for number, text in enumerate(texts):
        where = {"mode": text, "device": "cuda:0", "dtype": text}
        outcome = outcomes[number % len(outcomes)]
        rows += [
            checked(check_cell(f"{text} {outcome}", text), outcome, text),
            Row(Cell("check", text, text, "", threads=0, **where), "failed", text, text, nodeid=text, timer=text),
            timed(timing_cell(text), seconds, flags=(text,), timer=text),
            timed(Cell("timing", text, "", text, threads=1, sizes=text, **where), seconds, timer=text),
        ]
    run = write_run(root, rows, record=record, run_id=run_id)
    path = run / "run.json"
    told = json.loads(path.read_bytes())
    settings = {"quality": all_of_them, "modes": all_of_them}
    changed = {"leg": all_of_them, "argv": list(texts), "settings": settings, "files": {}}
    path.write_text(json.dumps({**told, **changed}))  # names no table, so that rows take what stands there
    return run


def outputs(folder: Path, texts: Sequence[str]) -> Outputs:
    """Every output of the commands by its kind, on two runs of which the second is slower."""
    base, head = (run_of(folder, texts, n, f"2026010{n}T000000Z-aaaaaaaa") for n in (1, 2))
    commands: dict[str, tuple[object, ...]] = {
        "show": ("show", head, "--long"),
        "compare": ("compare", base, head, "--only", "all"),
        "matrix": ("matrix", head, "--long"),
        "matrix by check": ("matrix", head, "--by", "check", "--long"),
        "history": ("history", texts[0], base, head),
    }
    found: Outputs = {kind: {} for kind in FORMATS}
    for name, arguments in commands.items():
        for format_ in FORMATS:
            done = torchbasics(*arguments, "--format", format_)
            assert done.code in (0, 3, 4), done.err
            found[format_][name] = done.out
            found["terminal"][f"{name}, {format_}: errors"] = done.err
    done = torchbasics("report", head, "--base", base, "--history", folder, "--out", folder / "report")
    assert done.code in (0, 3, 4), done.err
    for kind, file in (("html", "index.html"), ("markdown", "summary.md"), ("csv", "rows.csv"), ("csv", "changes.csv")):
        found[kind][f"report, {file}"] = (folder / "report" / file).read_bytes().decode()
    return found


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    return outputs(tmp_path_factory.mktemp("harmless"), HARMLESS)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def hostile(results: Path) -> Outputs:
    return outputs(results, HOSTILE)


def test_every_text_arrives_in_every_kind_of_output(hostile: Outputs) -> None:
    """Else the tests below would hold for what is left out."""
    for kind in ("html", "csv", "json"):
        assert not [mark for mark in MARKS if not any(mark in text for text in hostile[kind].values())], kind
    for kind in ("terminal", "markdown"):  # long texts are cut there
        arrived = [mark for mark in MARKS if any(mark in text for text in hostile[kind].values())]
        assert len(arrived) > len(MARKS) / 2, (kind, arrived)


def raw_characters(text: str) -> set[str]:
    """Characters that drive a terminal or turn text around."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c not in "\n\u200b"}


def test_no_text_drives_a_terminal_or_a_ci(hostile: Outputs) -> None:
    for name, text in hostile["terminal"].items():
        assert not raw_characters(text) | ({"\u200b"} & set(text)), name
        for line in text.splitlines():
            assert not re.match(r"\s*::|.*##\[", line), (name, line)


def test_no_text_is_markup_in_html(hostile: Outputs, harmless: Outputs) -> None:
    for name, text in hostile["html"].items():
        assert not elements(text) - elements(harmless["html"][name]), name
        assert not raw_characters(text), name


def elements(text: str) -> set[tuple[str, str]]:
    """Each element with each of its attributes' names, as a browser reads the page; and what may load something."""
    found = set()
    for node in html5lib.parse(text, namespaceHTMLElements=False).iter():
        tag = str(node.tag)
        found |= {(tag, ""), *((tag, str(name)) for name in node.attrib)}
        for name, value in node.attrib.items():
            if name in ("href", "src", "action", "style") and not value.startswith("#"):
                found.add((tag, f"{name}={value}"))
        if tag == "style":
            found.add((tag, str(node.text)))
    return found


def test_no_text_is_markup_in_markdown(hostile: Outputs, harmless: Outputs) -> None:
    for name, text in hostile["markdown"].items():
        assert tokens(text) <= tokens(harmless["markdown"][name]), (
            name,
            tokens(text) - tokens(harmless["markdown"][name]),
        )
        assert not raw_characters(text), name
        assert not re.search(r"(?i)@\w|https?:|www\.|(?<!\\)#\d", text), name


def tokens(text: str) -> set[str]:
    """What a page of Markdown is made of; of HTML in it the tags."""
    found = set()
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        for part in [token, *(token.children or [])]:
            if part.type in ("html_block", "html_inline"):
                found |= {f"tag {tag}" for tag in re.findall(r"</?\w+", part.content)}
            elif part.type not in ("softbreak", "hardbreak", "text_special"):
                found.add(f"{part.type} {part.tag}")
    return found


def test_no_text_is_a_formula_in_csv_and_each_stands_in_its_cell(hostile: Outputs, harmless: Outputs) -> None:
    for name, text in hostile["csv"].items():
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        expected = len(next(csv.reader(io.StringIO(harmless["csv"][name], newline=""))))
        assert {len(row) for row in rows} <= {len(head)}, name
        assert name.startswith("matrix") or len(head) == expected, name
        for cell in (cell for row in rows for cell in row):
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")) or is_number(cell), (name, cell)
        assert not raw_characters(printable(text)) - {"\t"}, name


def is_number(text: str) -> bool:
    """True for what a spreadsheet takes for a number."""
    return re.fullmatch(r"[+-]?[0-9.]+(e[+-]?[0-9]+)?", text) is not None


def test_no_text_breaks_json(hostile: Outputs) -> None:
    for name, text in hostile["json"].items():
        assert text.isascii(), name
        assert isinstance(json.loads(text, parse_constant=_refuse), list), name


def _refuse(word: str) -> Any:
    raise ValueError(word)


@pytest.mark.parametrize("mark", MARKS)
def test_no_text_ends_an_annotation_or_begins_another_one(mark: str, results: Path, hostile: Outputs) -> None:
    frame = load(results)
    rows = frame[frame["case"].astype(str).str.contains(mark)]
    problems = rows["outcome"].isin(["failed", "error", "not_run"]).sum()
    lines = list(annotated(rows, Path()))
    assert len(lines) == problems > 0
    for line in lines:
        found = re.fullmatch(
            r"::(error|warning) title=torchbasics%3A [a-z_]+(?:,file=[\w/.]+(?:,line=\d+)?)?::(.*)", line
        )
        assert found is not None, line
        assert mark in line
        assert not raw_characters(line), line
        assert not re.search(r"%(?!25|0A|0D)", found[2]), line


JUNIT = """
import json, pathlib, pytest, torch
from pytest_torchbasics import Tensor, op

TEXTS = json.loads(pathlib.Path("payloads.json").read_text())

def failing(text):
    def function(x):
        raise ValueError(text)
    return function

@pytest.mark.cases([op(f"case{n}", failing(text), Tensor(2)) for n, text in enumerate(TEXTS)])
@pytest.mark.checks("shape")
def test_correct(check):
    check()
"""


def test_no_message_of_a_check_breaks_the_terminal_or_junit_of_pytest(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
        monkeypatch.delenv(name, raising=False)
    (pytester.path / "payloads.json").write_text(json.dumps([text + MARK for text in PAYLOADS.values()]))
    pytester.makepyfile(test_it=JUNIT)
    words = ("--torchbasics-device=cpu", "--torchbasics-dtype=float32", "--junitxml=junit.xml", "--results=out", "-rA")
    result = pytester.runpytest_subprocess(*words, "--tb=line", timeout=120)
    result.assert_outcomes(failed=len(PAYLOADS))
    table = result.stdout.str().partition("torchbasics")[2]
    assert MARK in table
    tree = ElementTree.fromstring((pytester.path / "junit.xml").read_bytes())
    assert len(list(tree.iter("testcase"))) == len(list(tree.iter("failure"))) == len(PAYLOADS)
    assert {node.tag for node in tree.iter()} <= {"testsuites", "testsuite", "testcase", "failure", "properties"}
