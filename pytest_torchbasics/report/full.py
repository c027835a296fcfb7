"""The whole report of runs as one page: what failed, what changed, what is supported, and the plots."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..analysis.compare import UNCHANGED
from ..analysis.naming import told_apart
from ..analysis.rules import Rules
from ..analysis.samples import CELL
from ..analysis.summary import PROBLEMS, RAN
from . import changes, comparison, environment, matrix, roofs, samples, summary, timeline
from .comparison import Pair
from .document import Block, Document, Entries, Fold, Heading, Line, Table, Text

if TYPE_CHECKING:
    import pandas as pd

TITLE = "torchbasics report"
#: How many cases and compared cells a page lists; rows.csv and changes.csv have all.
LISTED = 2000
#: Longer tables are shown on request.
OPEN_ROWS = 150


@dataclass(frozen=True)
class Compared:
    """What the runs are compared with.

    Attributes:
        pair: the baseline and the head, and the rows of `compare`.
        rules: how large a change must be.
        runs: the ids of the baseline's runs.
        records: the contents of run.json of the baseline's runs.
    """

    pair: Pair
    rules: Rules = field(default_factory=Rules)
    runs: tuple[str, ...] = ()
    records: Sequence[Mapping[str, Any]] = ()

    @property
    def table(self) -> pd.DataFrame:
        """The rows of `compare`."""
        return self.pair.table

    @property
    def first_metric(self) -> pd.DataFrame:
        """The rows of the metric that was named first."""
        table = self.pair.table
        first: pd.DataFrame = table[table["metric"] == table["metric"].iloc[0]] if len(table) else table
        return first

    def report(self, everything: bool, details: bool = True) -> Document:
        """The report of the comparison by itself."""
        return comparison.comparison([self.pair], comparison.View(everything, details, elsewhere="changes.csv"))


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes:
        frame: the rows of the runs.
        about: more facts for the header.
        compared: the comparison, if there is a baseline.
        samples: of `analysis.samples.named`, also those of the baseline.
        timelines: of `analysis.timeline.timelines`.
        marked: runs to mark in the timelines.
        records: the contents of run.json of the runs.
    """

    frame: pd.DataFrame
    about: Mapping[str, str] = field(default_factory=dict)
    compared: Compared | None = None
    samples: pd.DataFrame | None = None
    timelines: pd.DataFrame | None = None
    marked: Collection[str] = ()
    records: Sequence[Mapping[str, Any]] = ()


def full_report(material: Material) -> Document:
    """The page: what needs attention first, then what changed, the matrix, and the plots."""
    frame = told_apart(material.frame)
    if frame.empty:
        return Document(
            TITLE, (summary.facts(frame, material.about),), Text("nothing was planned and nothing ran", "hole")
        )
    listed, left_out = _listed(frame)
    found = matrix.place_matrix(listed, about(material), details=True)
    sections = by_heading(found.blocks)
    changed = changed_cells(material.compared)
    header = sections.pop("")[0]
    blocks: list[Block] = [summary.facts(frame, about(material)) if left_out else header]
    if material.compared is None:
        blocks += [*sections.pop("Failures", []), *sections.pop("Not run", [])]
    else:
        blocks += _compared(material.compared)
        sections = {title: section for title, section in sections.items() if title not in ("Failures", "Not run")}
    blocks += sections.pop("Cases of which nothing ran", [])
    cases = sections.pop("Cases", [])
    blocks += [*_folded(cases, "cases"), *([Line(Text(left_out, "quiet"))] if left_out else [])]
    blocks += _folded(summary.times(listed), "times")
    if material.timelines is not None:
        blocks += timeline.timeline(material.timelines, material.marked, changed)
    blocks += roofs.roofs(frame)
    if material.samples is not None:
        base = material.compared.runs if material.compared else ()
        blocks += samples.samples(material.samples, base, changed)
    for section in sections.values():
        blocks += section
    blocks += environment.environment(material.records, material.compared.records if material.compared else ())
    return Document(TITLE, tuple(_capped(blocks)), result(material))


def about(material: Material) -> dict[str, str]:
    """What the header says beside the facts of the rows."""
    compared = material.compared
    return {**material.about, **({"compared with": compared.pair.base} if compared else {})}


def result(material: Material) -> Text:
    """All of it in one line: what changed, if there is a baseline, and what the runs came to."""
    own = summary.totals(material.frame)
    if material.compared is None:
        return own
    told = material.compared.report(everything=False, details=False).result
    tone = "bad" if "bad" in (told.tone, own.tone) else own.tone
    return Text(f"{told.text} · the head: {own.text}", tone)


def changed_cells(compared: Compared | None) -> list[tuple[str, ...]]:
    """The timed cells whose value changed or does not compare, by the values of `CELL`."""
    if compared is None:
        return []
    table = compared.first_metric
    ordered = changes.by_weight(table[(table["kind"].astype(str) == "timing") & ~table["verdict"].isin(UNCHANGED)])
    return [tuple(map(str, cell)) for cell in ordered[list(CELL)].itertuples(index=False, name=None)]


def by_heading(blocks: Sequence[Block]) -> dict[str, list[Block]]:
    """The sections of a document by their titles; each begins with its heading."""
    sections: dict[str, list[Block]] = {}
    title = ""
    for block in blocks:
        title = block.text if isinstance(block, Heading) else title
        sections.setdefault(title, []).append(block)
    return sections


def _compared(compared: Compared) -> list[Block]:
    few = int((~compared.table["verdict"].isin(UNCHANGED)).sum()) <= LISTED
    document = compared.report(everything=False, details=few)
    sections = by_heading(document.blocks[1:])
    outcomes = sections.pop("Outcomes that differ or fail", [])
    values = [block for section in sections.values() for block in section]
    return [*outcomes, *changes.changes(compared.first_metric, compared.rules), *_folded(values, "values")]


def _listed(frame: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows of the cases that a page lists, those with problems first if there are too many; what is left out."""
    case = frame["case"].astype(str)
    cases = list(dict.fromkeys(case))
    if len(cases) <= LISTED:
        return frame, ""
    problem = frame["outcome"].isin(PROBLEMS).groupby(case, sort=False).any()
    idle = ~frame["outcome"].isin(RAN).groupby(case, sort=False).any()
    first = sorted(cases, key=lambda name: not (problem[name] or idle[name]))
    chosen = set(first[:LISTED])
    listed: pd.DataFrame = frame[case.isin(chosen)]
    return listed, f"{len(cases) - LISTED} more cases are in rows.csv; those with problems are listed first"


def _capped(blocks: Iterable[Block]) -> Iterator[Block]:
    """No table and no list of more than `LISTED`."""
    for block in blocks:
        left = 0
        if isinstance(block, Fold):
            block = dataclasses.replace(block, blocks=tuple(_capped(block.blocks)))
        elif isinstance(block, Table):
            left = len(block.rows) - LISTED
            block = dataclasses.replace(block, rows=block.rows[:LISTED])
        elif isinstance(block, Entries):
            left = len(block.entries) - LISTED
            block = Entries(block.entries[:LISTED])
        yield block
        if left > 0:
            yield Line(Text(f"... and {left} more: rows.csv", "quiet"))


def _folded(section: Sequence[Block], what: str) -> list[Block]:
    """The section with a long table behind a title."""
    return [
        Fold(Text(f"Show the table of {len(block.rows)} {what}"), (block,))
        if isinstance(block, Table) and len(block.rows) > OPEN_ROWS
        else block
        for block in section
    ]
