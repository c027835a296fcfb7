"""What the support matrix holds: each case on each device and dtype, or in each check, and why there is a gap."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..analysis import matrix as tables
from ..analysis.naming import told_apart
from ..results.schema import PHASES
from . import reasons
from .document import Block, Column, Document, Entries, Entry, Facts, Heading, Table, Text, Tone, names
from .signs import (
    ABSENT,
    PHASE_TITLES,
    SIGNS,
    TONES,
    every_outcome_text,
    outcome_text,
    place_lines,
    time_text,
)
from .summary import facts, totals

if TYPE_CHECKING:
    import pandas as pd

WORDS = "n/a: does not apply; unsupp.: not supported; known: fails as declared; "
WORDS += f"{ABSENT.text}: no run planned it\nchecks passed: those that passed somewhere and are nowhere a problem"


def place_matrix(frame: pd.DataFrame, about: Mapping[str, str] | None = None, details: bool = False) -> Document:
    """Cases by device and dtype: how many checks ended how, and the time of the first phase that was timed.

    Args:
        frame: of `load`.
        about: more facts for the header.
        details: leave nothing out.
    """
    frame = told_apart(frame)
    support = tables.by_place(frame)
    places = list(dict.fromkeys(tuple(column[:-1]) for column in support.columns))
    many_modes = len({mode for _, mode, _, _ in places}) > 1
    phase = next((phase for phase in PHASES[1:] if (frame["phase"].astype(str) == phase).any()), "")
    columns = [_place_column(support, place, phase) for place in places]
    heads = [Column(place_lines(place, many_modes), group="places") for place in places]
    note = f"how many checks ended how, without those that do not apply\n{WORDS}"
    note += f"\ntime: {PHASE_TITLES.get(phase, phase)}, median ± half of its 95 % interval" if phase else ""
    return _document("torchbasics matrix", frame, heads, columns, note, about or {}, details)


def check_matrix(frame: pd.DataFrame, about: Mapping[str, str] | None = None, details: bool = False) -> Document:
    """Cases by check: the gravest outcome over runs, devices, dtypes and modes. As `place_matrix`."""
    frame = told_apart(frame)
    frame = frame[frame["kind"].astype(str) == "check"]
    found = {(row["case"], row["check"]): row for row in tables.by_check(frame).to_dict("records")}
    cases, checks = (list(dict.fromkeys(key[part] for key in found)) for part in (0, 1))
    columns = [[_check_text(found.get((case, check))) for case in cases] for check in checks]
    heads = [Column(tuple(check.split("_")), group="checks") for check in checks]
    note = (
        f"the gravest outcome; 2 of 3: in so many of the devices and dtypes; after ✓ the others do not apply\n{WORDS}"
    )
    return _document("torchbasics matrix by check", frame, heads, columns, note, about or {}, details)


def support_difference(table: pd.DataFrame, about: Mapping[str, str]) -> Document:
    """What is supported now and was not, and what no longer is: a table of `support.changed`."""
    groups = (
        ("Newly supported", table["better"].eq(True), "good"),
        ("No longer", table["better"].eq(False), "bad"),
        ("Otherwise changed", table["better"].isna(), "plain"),
    )
    blocks: list[Block] = [Facts(tuple((name, Text(value)) for name, value in about.items()))]
    for title, chosen, _ in groups:
        rows = [_changed_row(row) for row in table[chosen.fillna(False)].to_dict("records")]
        heads = [Column((name,)) for name in ("case", "on", "base", "head")]
        if rows:
            blocks += [Heading(title), Table((*heads, Column(("reason",), wraps=True)), tuple(rows), "")]
    counted = [(title, int(chosen.sum()), tone) for title, chosen, tone in groups if chosen.sum()]
    words = " · ".join(f"{count} {title.lower()}" for title, count, _ in counted) or "nothing changed"
    tone: Tone = "bad" if any(tone == "bad" for _, _, tone in counted) else "good"
    return Document("torchbasics matrix --diff", tuple(blocks), Text(words, tone))


def _changed_row(row: Mapping[Any, Any]) -> tuple[Text, ...]:
    on = " ".join(filter(None, (row["device"], row["dtype"], row["mode"] if row["mode"] != "eager" else "")))
    sides = (outcome_text(row[side]) if row[side] else ABSENT for side in ("base", "head"))
    return (Text(row["case"]), Text(on), *sides, Text(row["reason"]))


def _document(
    title: str,
    frame: pd.DataFrame,
    heads: list[Column],
    columns: list[list[Text]],
    note: str,
    about: Mapping[str, str],
    details: bool,
) -> Document:
    """The matrix between its header and the reasons for what it does not show as passed."""
    found = tables.thoroughness(frame)
    runs = {title: run for run, title in tables.run_titles(frame).items() if title}
    header = facts(frame, {**({"run": ""} if runs else {}), **runs, **about})
    if frame.empty:
        return Document(title, (header,), Text("no check or timing was planned", "hole"))
    thorough = [_thorough_text(row) for row in found.to_dict("records")]
    rows = zip(map(Text, found.index), thorough, *columns, strict=True)
    passed = Column(("checks", "passed"))
    blocks: list[Block] = [
        header,
        Heading("Cases"),
        Table((Column(("case",)), passed, *heads), tuple(rows), note, shaded=True),
        *nothing_ran(frame, found),
        *reasons.not_applicable(frame),
        *reasons.declared(frame),
        *reasons.problems(frame, details),
    ]
    return Document(title, tuple(blocks), _result(frame, found))


def _place_column(support: pd.DataFrame, place: tuple[str, ...], phase: str) -> list[Text]:
    rows = support.to_dict("records")
    checks = [every_outcome_text(row, place) for row in rows]
    times = [_time_text(row, place, phase) for row in rows]
    # Times stand under each other.
    width = max((len(check.text) for check, time in zip(checks, times, strict=True) if time.text), default=0)
    time_width = max((len(time.text) for time in times), default=0)
    return [
        Text(f"{check.text:{width}} {time.text:>{time_width}}".strip(), _graver(check, time))
        if check.text or time.text
        else ABSENT
        for check, time in zip(checks, times, strict=True)
    ]


def _time_text(row: Mapping[Any, Any], place: tuple[str, ...], phase: str) -> Text:
    """The time, or what came instead of it: `forward ✗ raised`."""
    text = time_text(row, place, phase)
    if text.text and row.get((*place, f"{phase}_outcome")) != "passed":
        return dataclasses.replace(text, text=f"{PHASE_TITLES.get(phase, phase)} {text.text}")
    return text


def _graver(*texts: Text) -> Tone:
    return max((text.tone for text in texts), key=TONES.index)


def _check_text(found: Mapping[Any, Any] | None) -> Text:
    """`✓ passed`, `✓ 2 of 3`, `✗ failed 1 of 3`."""
    if found is None:
        return ABSENT
    text = outcome_text(found["outcome"])
    if found["cells"] == found["of"]:
        return text
    share = f"{found['cells']} of {found['of']}"
    sign = SIGNS[found["outcome"]][0]
    return dataclasses.replace(text, text=f"{sign} {share}" if found["outcome"] == "passed" else f"{text.text} {share}")


def _thorough_text(row: Mapping[Any, Any]) -> Text:
    if not row["ran"]:
        return Text("? none ran", "hole")
    return Text(f"{row['passed']} of {row['checks']}") if row["checks"] else Text("")


def nothing_ran(frame: pd.DataFrame, found: pd.DataFrame) -> list[Block]:
    """An entry for the cases that the same reasons kept from running at all.

    Args:
        frame: of `load`, its cases told apart.
        found: its `thoroughness`.
    """
    cases = frame["case"].astype(str)
    of_idle = cases.isin(found.index[found["ran"] == 0])
    idle: dict[str, list[str]] = {}
    for case, why in frame.loc[of_idle, "reason"].astype(str).groupby(cases[of_idle], sort=False):
        idle.setdefault("; ".join(dict.fromkeys(filter(None, why))), []).append(str(case))
    entries = [
        Entry(Text(f"? nothing ran: {names(cases, 'cases', shown=reasons.ENTRIES).text}", "hole"), why)
        for why, cases in idle.items()
    ]
    return [Heading("Cases of which nothing ran"), Entries(tuple(entries))] if entries else []


def _result(frame: pd.DataFrame, found: pd.DataFrame) -> Text:
    idle = int((found["ran"] == 0).sum())
    text = totals(frame)
    cases = f"{len(found)} case{'s' if len(found) != 1 else ''}" + (f", nothing ran of {idle}" if idle else "")
    return Text(f"{cases} · {text.text}", _graver(text, Text("", "hole")) if idle else text.tone)
