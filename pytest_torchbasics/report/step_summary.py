"""The report as Markdown that fits: a CI's step summary takes 1 MiB, and all of a longer one is refused.

What tells least is left out first: what did not change, then the tables of single cases, then all but the failures;
and those are cut where they still do not fit. A last line says what was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ..analysis.compare import UNCHANGED
from ..analysis.matrix import thoroughness
from ..analysis.naming import told_apart
from ..analysis.summary import DECLARED, PROBLEMS
from . import comparison, markdown, matrix, reasons, summary, units
from .cells import cell
from .document import Block, Document, Entries, Entry, Facts, Heading, Line, Text
from .full import TITLE, Material, about, by_heading, result

if TYPE_CHECKING:
    import pandas as pd

#: The least that a summary can be told to take: title, result, and what was left out.
LEAST = 2000
#: No row of a table is shorter.
ROW_BYTES = 30
#: How much of a text is kept where all is cut.
CUT = 300


def step_summary(material: Material, limit: int) -> str:
    """The report as Markdown of at most so many bytes.

    Args:
        material: what it is of.
        limit: at least `LEAST`.
    """
    if not material.frame.empty:
        for document in _ladder(material, limit):
            text = markdown.render(document)
            if len(text.encode()) <= limit:
                return text
    return _failures(material, limit)


def _ladder(material: Material, limit: int) -> Iterator[Document]:
    """The report, then with less and less in it; each says what it lacks. What cannot fit is not made."""
    frame = told_apart(material.frame)
    compared = material.compared
    header = summary.facts(frame, about(material))
    # A comparison tells the failures of the head itself.
    failures = reasons.problems(frame, details=True) if compared is None else []
    troubles = [*failures, *matrix.nothing_ran(frame, thoroughness(frame))]
    others = [*reasons.not_applicable(frame), *reasons.declared(frame)]

    def document(blocks: list[Block], *left_out: str) -> Document:
        note = [_left_out(left_out, limit)] if left_out else []
        return Document(TITLE, (header, *blocks, *note), result(material))

    count = frame["case"].nunique()
    unchanged = 0 if compared is None else int(compared.table["verdict"].isin(UNCHANGED).sum())
    if (count + unchanged) * ROW_BYTES <= limit:
        yield document([*_compared(material, True), *troubles, *_cases(frame), *summary.times(frame), *others])
    quiet = f"{unchanged} unchanged cells" if compared else f"cases that passed of {count}"
    fewer = frame[frame["case"].isin(frame[frame["outcome"].isin((*PROBLEMS, *DECLARED))]["case"].unique())]
    if fewer["case"].nunique() * ROW_BYTES <= limit:
        yield document([*_compared(material, False), *troubles, *_cases(fewer), *others], quiet, "times")
    all_cases = f"the tables of {count} cases"
    yield document([*_compared(material, False), *troubles], quiet, "times", all_cases, "what does not apply and why")


def _cases(frame: pd.DataFrame) -> list[Block]:
    return by_heading(matrix.place_matrix(frame, details=True).blocks).get("Cases", []) if len(frame) else []


def _compared(material: Material, everything: bool) -> list[Block]:
    if material.compared is None:
        return []
    return list(material.compared.report(everything).blocks[1:])


def _left_out(what: tuple[str, ...], limit: int) -> Line:
    told = f"Left out to fit into {limit:,} bytes: {', '.join(what)}. index.html and rows.csv have more"
    return Line(Text(told, "quiet"))


def _failures(material: Material, limit: int) -> str:
    """Only what failed or changed for the worse, as much of it as fits, and how much does not."""
    entries = list(_entries(material))
    facts = summary.facts(told_apart(material.frame), about(material))
    pairs = tuple((_cut(name), Text(_cut(value.text))) for name, value in facts.pairs)

    def text(pairs_kept: int, entries_kept: int) -> str:
        rest = len(entries) - entries_kept
        note = f"{rest} of {len(entries)} failures and changes, " if rest else ""
        blocks: list[Block] = [Facts(pairs[:pairs_kept])]
        if entries_kept:
            blocks += [Heading("Failures and changes"), Entries(tuple(entries[:entries_kept]))]
        blocks.append(_left_out((f"{note}everything that passed or did not change",), limit))
        return markdown.render(Document(TITLE, tuple(blocks), result(material)))

    kept = _largest(len(pairs), lambda number: len(text(number, 0).encode()) <= limit)
    return text(kept, _largest(len(entries), lambda number: len(text(kept, number).encode()) <= limit))


def _largest(count: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to `count` that fits; 0 is taken for one."""
    low, high = 0, count
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _entries(material: Material) -> Iterator[Entry]:
    """The outcomes that differ or fail and the values that changed; without a baseline the problems."""
    compared = material.compared
    if compared is None:
        if not material.frame.empty:
            yield from _cut_entries(reasons.problems(told_apart(material.frame), details=True))
        return
    yield from _cut_entries(compared.report(everything=False).blocks)
    for row in compared.table.to_dict("records"):
        sign, tone = comparison.SIGNS[str(row["verdict"])]
        if tone in ("bad", "good") and row["verdict"] not in comparison.OUTCOME_VERDICTS:
            change = units.percent(float(row["change"]))
            yield Entry(Text(f"{sign} {row['verdict']}: {_cut(cell(row))}: {change}", tone))


def _cut_entries(blocks: Iterable[Block]) -> Iterator[Entry]:
    for block in blocks:
        if isinstance(block, Entries):
            for entry in block.entries:
                yield Entry(Text(_cut(entry.title.text), entry.title.tone), _cut(entry.detail))


def _cut(text: str) -> str:
    return text if len(text) <= CUT else f"{text[: CUT - 1]}…"
