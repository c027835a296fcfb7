"""The whole page: complete, readable by everyone, and never alive, whatever stands in the results."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pytest_torchbasics.analysis.compare import compare
from pytest_torchbasics.analysis.rules import Rules
from pytest_torchbasics.analysis.samples import named
from pytest_torchbasics.analysis.timeline import timelines
from pytest_torchbasics.report import html, markdown, terminal
from pytest_torchbasics.report.changes import by_weight, changes
from pytest_torchbasics.report.comparison import Pair
from pytest_torchbasics.report.document import Figure, Fold, Heading, Line, Table
from pytest_torchbasics.report.environment import environment
from pytest_torchbasics.report.full import Compared, Material, full_report
from pytest_torchbasics.report.roofs import roofs
from pytest_torchbasics.report.samples import samples
from pytest_torchbasics.report.timeline import timeline
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import MetricValue, Row
from pytest_torchbasics.results.samples import load_samples, run_records
from tests.report.accessibility import alive, contrasts, problems, tree
from tests.results.making import (
    OTHER_MACHINE,
    RECORD,
    check_cell,
    checked,
    realistic_rows,
    timed,
    timing_cell,
    write_run,
)

HOSTILE = (
    "<script>alert(1)</script>]]>--><img src=x onerror=alert(1)>\"'&`|\u202e\u200b\x1b[31m http://evil.example/ @user"
)
LONG = "n" * 10_000


def counted(row: Row, flops: float, moved: float, peak: float = 1e11, bandwidth: float = 1e10) -> Row:
    """The row with what is counted of its work, and its share of the roofs."""
    seconds = row.metrics[0].value
    rate, intensity = flops / seconds, flops / moved
    share = max(flops / peak, moved / bandwidth) / seconds
    values = {"flop_rate": rate, "flop_per_byte": intensity, "byte_rate": moved / seconds, "roofline_share": share}
    more = tuple(MetricValue(name, "", "none", value) for name, value in values.items())
    return dataclasses.replace(row, metrics=(*row.metrics, *more))


def worked(speed: float) -> list[Row]:
    """Work that computing limits, and work that traffic limits."""
    sizes = ((1e9, 1e7), (4e9, 2e7), (1e6, 1e7), (3e6, 2e7))
    return [
        counted(timed(timing_cell(f"work_{number}"), speed), flops, moved)
        for number, (flops, moved) in enumerate(sizes)
    ]


@dataclasses.dataclass(frozen=True)
class Runs:
    base: list[Path]
    head: list[Path]
    root: Path

    def material(self, **more: Any) -> Material:
        paths = [*self.base, *self.head]
        base, head = load(self.base), load(self.head)
        records = run_records(paths)
        compared = Compared(
            Pair("the-base", "the-head", compare(base, head)),
            Rules(),
            tuple(path.name for path in self.base),
            [records[path.name] for path in self.base],
        )
        rows = pd.concat([base, head], ignore_index=True)
        made = Material(
            head,
            {"status": "complete"},
            compared,
            named(load_samples(paths), rows),
            timelines(load(self.root), records),
            (self.head[-1].name,),
            [records[path.name] for path in self.head],
        )
        return dataclasses.replace(made, **more)


def write(root: Path, speed: float, number: int, record: dict[str, Any], *more: Row) -> Path:
    rows = [*realistic_rows(speed, number), *worked(1e-2 * speed), *more]
    return write_run(root, rows, record=record, run_id=f"2026010{number}T000000Z-{number:08d}")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root = tmp_path_factory.mktemp("results")
    newer = {**RECORD, "torch": {"version": "2.15.0", "threads": 2}, "git": {"commit": "abcd" * 10, "dirty": True}}
    base = [write(root, 1.0, number, RECORD) for number in (1, 2)]
    head = [
        write(root, 1.5, number, newer, checked(check_cell("add", "strides"), "failed", "off by one"))
        for number in (3, 4)
    ]
    return Runs(base, head, root)


@pytest.fixture(scope="module")
def page(runs: Runs) -> str:
    return html.render(full_report(runs.material()))


def sections(text: str) -> list[str]:
    return [node.text for node in tree(text).all("h2")]


def texts(blocks: Any) -> str:
    """All words of blocks."""
    found = []
    for block in blocks:
        if isinstance(block, Fold):
            found += [block.title.text, texts(block.blocks)]
        elif isinstance(block, Table):
            found += [text.text for row in block.rows for text in row] + [block.note]
        elif isinstance(block, Line):
            found += [block.text.text, block.text.full]
        elif isinstance(block, Figure):
            found += [block.caption, block.told]
        elif isinstance(block, Heading):
            found.append(block.text)
    return "\n".join(found)


def test_the_page_has_a_section_for_everything(page: str) -> None:
    assert sections(page) == [
        "Outcomes that differ or fail",
        "Changes",
        "Values that differ",
        "Cases",
        "Times",
        "History",
        "Roofline",
        "Raw times",
        "What does not apply, and why",
        "Declared failures, skips and lack of support",
        "Environment: what differs",
    ]


def test_without_a_baseline_the_failures_come_first(runs: Runs) -> None:
    found = sections(html.render(full_report(runs.material(compared=None, timelines=None))))
    assert found[:2] == ["Failures", "Cases"]
    assert found[-1] == "Environment"
    assert not {"Changes", "History"} & set(found)


def test_the_page_can_be_read_by_everyone(page: str, runs: Runs) -> None:
    assert problems(page) == []
    assert problems(html.render(full_report(runs.material(compared=None)))) == []


def test_nothing_in_the_page_runs_or_loads(page: str) -> None:
    assert alive(page) == []
    assert "default-src 'none'" in page


def test_every_text_has_the_contrast_that_it_needs() -> None:
    found = contrasts(html.STYLE)
    assert len(found) > 40
    assert {pair: round(ratio, 2) for pair, ratio in found.items() if ratio < 4.5} == {}


def test_a_picture_has_its_numbers_in_a_table_near_it(page: str) -> None:
    root = tree(page)
    for title in ("Changes", "History", "Roofline", "Raw times"):
        at = [node for node in root.all("main")[0].children if node.tag]
        start = next(number for number, node in enumerate(at) if node.tag == "h2" and node.text == title)
        end = next(
            number for number in range(start + 1, len(at)) if at[number].tag == "h2" and title != at[number].text
        )
        section = at[start:end]
        assert any(node.all("svg") for node in section), title
        assert any(node.all("table") for node in section), title


def test_the_cells_of_the_matrix_are_shaded_and_say_it_in_words(page: str) -> None:
    cells = [node for node in tree(page).all("td") if "shade" in (node.attributes.get("class") or "")]
    assert len(cells) > 50
    assert all(node.text.strip() for node in cells if "plain" not in str(node.attributes["class"]).split())
    tones = {word for node in cells for word in str(node.attributes["class"]).split()}
    assert {"good", "bad", "known", "none"} <= tones


def test_hostile_and_long_names_are_text_everywhere(tmp_path: Path) -> None:
    record = {
        "torch": {"version": HOSTILE, HOSTILE: HOSTILE},
        "cpu": {"name": HOSTILE},
        "git": {"commit": HOSTILE},
        "gpus": [{"name": HOSTILE, "driver": HOSTILE}],
    }
    base, head = (
        [
            write_run(
                tmp_path,
                [
                    checked(check_cell(HOSTILE, HOSTILE), outcome, HOSTILE, HOSTILE),
                    checked(check_cell(LONG, LONG), outcome, LONG),
                    checked(check_cell("=cmd", HOSTILE), "not_applicable", HOSTILE),
                    *(
                        counted(timed(timing_cell(name, device=name, dtype=name), seconds), 1e6, 1e5)
                        for name in (HOSTILE, LONG)
                    ),
                ],
                record=record
                if outcome == "failed"
                else {**record, "python": {"version": HOSTILE}, HOSTILE: [{HOSTILE: HOSTILE}]},
                run_id=f"{outcome}-1",
            )
        ]
        for seconds, outcome in ((1.0, "passed"), (2.0, "failed"))
    )
    material = Runs(base, head, tmp_path).material()
    text = html.render(full_report(material))
    assert alive(text) == []
    assert problems(text) == []
    assert "onerror" in text
    assert not set(text) & {"\u202e", "\u200b", "\x1b"}
    words = terminal.render(full_report(material), width=100)
    assert not set(words) & {"\u202e", "\x1b"}
    told = markdown.render(full_report(material))
    assert "<script" not in told
    assert "<img" not in told
    assert "@user" not in told


def test_a_picture_is_told_in_words_where_there_are_none(runs: Runs) -> None:
    document = full_report(runs.material())
    for text in (terminal.render(document, width=100), markdown.render(document)):
        flat = " ".join(text.split())
        assert "Change of median" in flat
        assert "cells, from +" in flat
        assert "<svg" not in text
    assert markdown.render(document).count("<details>") == markdown.render(document).count("</details>") > 20


def test_a_page_of_many_cells_stays_light(tmp_path: Path) -> None:
    cells = [check_cell(f"case_{number:05d}_of_a_suite") for number in range(5000)]
    rows = [checked(cell, "failed" if cell.case.startswith("case_0499") else "passed", "why") for cell in cells]
    rows += [timed(timing_cell(cell.case), 1e-6) for cell in cells]
    run = write_run(tmp_path, rows)
    text = html.render(full_report(Runs([run], [run], tmp_path).material()))
    assert len(text.encode()) < 5_000_000
    assert "3000 more cases are in rows.csv" in text
    assert "case_04990_of_a_suite" in text  # what failed is listed, though it comes late


def test_a_page_of_many_failures_stays_light(runs: Runs) -> None:
    some = load(runs.base[:1]).query("kind == 'check'")
    frame = pd.concat([some] * 12, ignore_index=True)
    frame["case"] = [f"case_{number}" for number in range(len(frame))]
    frame["outcome"], frame["reason"] = "failed", [f"off by {number}" * 20 for number in range(len(frame))]
    text = html.render(full_report(Material(frame)))
    assert len(frame) > 10_000
    assert len(text.encode()) < 5_000_000
    assert "more cases are in rows.csv" in text


def compared_rows(ratios: list[float], **columns: Any) -> pd.DataFrame:
    table = pd.DataFrame({"ratio": ratios})
    table["change"] = table["ratio"] - 1
    table["metric"], table["base_n"], table["head_n"] = "median_s", 1, 1
    table["base"], table["head"] = 1e-6, table["ratio"] * 1e-6
    for name, value in {"kind": "timing", "check": "", "phase": "forward", "mode": "eager", "device": "cpu"}.items():
        table[name] = value
    table["dtype"], table["sizes"], table["threads"], table["obstacle"] = "float32", "", 1, ""
    table["case"] = [f"case_{number}" for number in range(len(ratios))]
    table["verdict"] = ["suspect slower" if ratio > 1.25 else "within noise" for ratio in ratios]
    return table.assign(**columns)


def test_the_largest_changes_are_drawn_and_the_rest_is_counted() -> None:
    ratios = [1 + number / 1000 for number in range(200)] + [2.0]
    blocks = changes(compared_rows(ratios), Rules())
    table = next(block for fold in blocks if isinstance(fold, Fold) for block in fold.blocks)
    assert isinstance(table, Table)
    assert len(table.rows) == 40
    assert table.rows[0][0].text.startswith("case_200 ")
    assert "161 cells are not in the plot: 161 within noise; changes.csv has them all" in texts(blocks)


def test_intervals_and_thresholds_of_the_cells_are_used_where_there_are_any() -> None:
    table = compared_rows([1.5, 1.1], low=[1.4, math.nan], high=[1.6, math.nan], threshold=[0.05, 0.05])
    figure = next(block for block in changes(table, Rules()) if isinstance(block, Figure))
    assert "95 % interval" in figure.caption
    assert "+40.0 % to +60.0 %" in texts(changes(table, Rules()))
    plain = next(block for block in changes(compared_rows([1.5]), Rules()) if isinstance(block, Figure))
    assert "interval" not in plain.caption


def test_there_is_no_section_where_nothing_compares() -> None:
    assert changes(compared_rows([1.5], obstacle="machine"), Rules()) == []
    assert changes(compared_rows([math.nan]), Rules()) == []
    assert roofs(load_frame_without_counts()) == []
    assert environment([]) == []


def load_frame_without_counts() -> pd.DataFrame:
    return pd.DataFrame({"outcome": ["passed"]})


def test_the_roofs_are_those_that_the_shares_tell(runs: Runs) -> None:
    blocks = roofs(load(runs.base))
    words = texts(blocks)
    assert "fastest product 100 GFLOP/s; copies 9.31 GiB/s" in words
    assert "work_0 · forward · cpu float32" in words


def test_the_samples_of_the_cells_that_changed_are_shown_and_the_rest_named(runs: Runs) -> None:
    material = runs.material()
    assert material.samples is not None
    wanted = ("linear", "forward", "eager", "cpu", "float32", "")
    blocks = samples(material.samples, [path.name for path in runs.base], [wanted])
    folds = [block for block in blocks if isinstance(block, Fold)]
    assert [fold.title.text.split(":")[0] for fold in folds] == ["linear · forward · cpu float32"]
    assert "medians of 4 process runs" in folds[0].title.text
    assert "cells have raw times that are not shown here" in texts(blocks)
    alone = samples(material.samples, [], [])
    assert len([block for block in alone if isinstance(block, Fold)]) == 24


def test_a_history_tells_what_changed_and_marks_what_it_is_told(runs: Runs) -> None:
    found = runs.material().timelines
    assert found is not None
    words = texts(timeline(found, (runs.head[0].name,), [("linear", "forward", "eager", "cpu", "float32", "")]))
    assert words.split("\n")[3].startswith("linear · forward · cpu float32: ")
    assert "1: torch 2.14.1+cpu -> 2.15.0 ◆ new level" in words
    assert "moved less are not shown" in words


def test_the_environment_says_what_differs(runs: Runs) -> None:
    material = runs.material()
    assert material.compared is not None
    blocks = environment(material.records, material.compared.records)
    assert isinstance(blocks[0], Heading)
    assert isinstance(blocks[1], Table)
    rows = {row[0].text: [text.text for text in row[1:]] for row in blocks[1].rows}
    assert rows["torch version"] == ["2.14.1+cpu", "2.15.0", "≠ yes"]
    assert rows["git dirty"] == ["no", "yes", "≠ yes"]
    assert "cpu name" not in rows
    same = environment(material.records, material.records)
    assert "the same environment" in texts(same)
    other = environment([{"environment": OTHER_MACHINE}], [{"environment": RECORD}])
    assert "Intel Xeon" in texts(other)


def test_what_is_claimed_comes_before_what_is_inconclusive_and_what_did_not_change() -> None:
    verdicts = ["within noise", "inconclusive", "slower", "faster", "inconclusive"]
    ordered = by_weight(compared_rows([9.0, 3.0, 1.2, 0.5, math.nan], verdict=verdicts))
    assert ordered["case"].tolist() == ["case_3", "case_2", "case_1", "case_4", "case_0"]
