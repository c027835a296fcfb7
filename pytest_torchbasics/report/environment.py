"""The section of a report on what the runs ran on, and in what baseline and head differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.environments import Fact, compared
from . import units
from .document import Block, Column, Fold, Heading, Line, Table, Text

Records = Sequence[Mapping[str, Any]]
#: Longer values are shown on request.
LONG = 60
#: How many values of one fact are listed.
VALUES = 6


def environment(head: Records, base: Records = ()) -> list[Block]:
    """The section; nothing if no run has a record.

    Args:
        head: the contents of run.json of the runs.
        base: those of the baseline.
    """
    titles, sides = (("baseline", "head"), (base, head)) if base else (("value",), (head,))
    found = compared(sides)
    if not found:
        return []
    everything = Fold(Text("The whole environment"), (_table(found, titles),))
    if not base:
        return [Heading("Environment"), _table([fact for fact in found if _short(fact)], titles), everything]
    differing = [fact for fact in found if fact.differs]
    if not differing:
        same = Line(Text("= baseline and head ran in the same environment", "good"))
        return [Heading("Environment"), same, everything]
    title = Heading("Environment: what differs")
    return [title, _table(differing, titles), everything]


#: The facts that a reader of one run looks for.
SHORT = (
    "git commit",
    "git branch",
    "git dirty",
    "torch version",
    "torch cuda",
    "torch threads",
    "python version",
    "cpu name",
    "cpu usable_cores",
    "memory_bytes",
    "os platform",
    "machine_key",
    "setting quality",
)


def _short(fact: Fact) -> bool:
    return fact.name in SHORT or fact.name.startswith(("gpus ", "variables "))


def _table(facts: Sequence[Fact], titles: Sequence[str]) -> Table:
    columns = [Column(("fact",)), *(Column((title,), wraps=True) for title in titles)]
    columns += [Column(("differs",))] if len(titles) > 1 else []
    rows = []
    for fact in facts:
        texts = [_value(fact.name, values) for values in fact.values]
        mark = [Text("≠ yes", "known") if fact.differs else Text("= no", "quiet")] if len(titles) > 1 else []
        rows.append((Text(fact.name.replace("_", " ")), *texts, *mark))
    return Table(tuple(columns), tuple(rows))


def _value(name: str, values: Sequence[object]) -> Text:
    if not values:
        return Text(units.ABSENT, "quiet")
    texts = [_plain(name, value) for value in values]
    more = f" and {len(texts) - VALUES} more" if len(texts) > VALUES else ""
    text = "; ".join(texts[:VALUES]) + more
    return Text(text) if len(text) <= LONG else Text(f"{text[: LONG - 1]}…", full=text)


def _plain(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name.endswith("_bytes") and isinstance(value, (int, float)):
        return units.memory(value)
    return str(value)
