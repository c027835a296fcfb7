"""Why what did not pass did not: what does not apply, what was declared, and what failed or never ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..analysis import summary as tables
from .document import Block, Column, Entries, Entry, Heading, Line, Table, Text, names
from .signs import SIGNS

if TYPE_CHECKING:
    import pandas as pd

#: How many entries a list shows unless all are asked for.
ENTRIES = 25
NO_REASON = "no reason was given"
NOT_APPLICABLE = "What does not apply, and why"


def not_applicable_in_short(frame: pd.DataFrame) -> list[Block]:
    """A row per reason, as far as its first colon: all the checks and cases that it holds for, together."""
    found = tables.not_applicable(frame)
    all_of = frame["case"].nunique(), frame["dtype"].nunique()
    rows = []
    for general, group in found.groupby(found["reason"].str.split(": ", n=1).str[0], sort=False):
        reasons = group["reason"].unique()
        why = str(reasons[0]) if len(reasons) == 1 else f"{general} ({len(reasons)} reasons)"
        where = _where(_all(group["cases"]), _all(group["dtypes"]), all_of, shown=0)
        rows.append((Text(", ".join(sorted(group["subject"].unique()))), Text(why or NO_REASON), where))
    rows.sort(key=lambda row: row[0].text)
    return _not_applicable_table(rows)


def not_applicable(frame: pd.DataFrame) -> list[Block]:
    """Everything that does not apply; what does not for the same reason in the same cases and dtypes shares a row."""
    found = tables.not_applicable(frame)
    all_of = frame["case"].nunique(), frame["dtype"].nunique()
    subjects: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    ordered = found.sort_values(["subject", "cells"], ascending=[True, False], kind="stable")
    for group in ordered.to_dict("records"):
        subjects.setdefault((group["reason"], group["cases"], group["dtypes"]), []).append(group["subject"])
    rows = [
        (Text(", ".join(what)), Text(reason or NO_REASON), _where(cases, dtypes, all_of, shown=2))
        for (reason, cases, dtypes), what in subjects.items()
    ]
    return _not_applicable_table(rows)


def declared(frame: pd.DataFrame) -> list[Block]:
    """What was declared to fail, to be skipped or not to be supported, and why."""
    found = tables.declared(frame)
    if found.empty:
        return []
    rows = []
    for _, group in found.iterrows():
        sign, word, tone = SIGNS[group["outcome"]]
        where = names(group["cases"], "cases", shown=2)
        what = names(group["subjects"], "checks", shown=1)
        scope = f"{where.text}: {what.text} ({', '.join(group['dtypes'])})"
        full = f"{where.full or where.text}: {what.full or what.text} ({', '.join(group['dtypes'])})"
        rows.append(
            (Text(f"{sign} {word}", tone), Text(group["reason"]), Text(scope, full=full if full != scope else ""))
        )
    heads = (Column(("declared",)), Column(("why",), wraps=True), Column(("where",), wraps=True))
    return [Heading("Declared failures, skips and lack of support"), Table(heads, tuple(rows))]


def problems(frame: pd.DataFrame, details: bool) -> list[Block]:
    """What failed, crashed or never ran, the gravest first."""
    found = tables.problems(frame)
    if found.empty:
        return []
    failed, absent = found[found["outcome"] != "not_run"], found[found["outcome"] == "not_run"]
    entries = [*_failed_entries(failed), *_absent_entries(absent)]
    shown = entries if details else entries[:ENTRIES]
    blocks: list[Block] = [Heading("Failures" if len(failed) else "Not run"), Entries(tuple(shown))]
    if len(shown) < len(entries):
        blocks.append(Line(Text(f"... and {len(entries) - len(shown)} more: torchbasics show RUN --long", "quiet")))
    return blocks


def _failed_entries(failed: pd.DataFrame) -> list[Entry]:
    """One entry for what failed alike in several dtypes."""
    keys = ["outcome", "case", "subject", "device", "reason"]
    groups: dict[tuple[str, ...], tuple[dict[str, None], dict[str, None]]] = {}
    for *key, dtype, mode in failed[[*keys, "dtype", "mode"]].astype(str).itertuples(index=False, name=None):
        dtypes, modes = groups.setdefault(tuple(key), ({}, {}))
        dtypes[dtype] = modes[mode] = None
    entries = []
    for (outcome, case, subject, device, reason), (dtypes, modes) in groups.items():
        sign, word, tone = SIGNS[outcome]
        mode = ", ".join(modes)
        where = f"{device} {', '.join(dtypes)}" + (f" {mode}" if mode != "eager" else "")
        entries.append(Entry(Text(f"{sign} {word}: {case} · {subject} · {where}", tone), reason or NO_REASON))
    return entries


def _absent_entries(absent: pd.DataFrame) -> list[Entry]:
    """One entry for all that one reason kept from running."""
    sign, word, tone = SIGNS["not_run"]
    entries = []
    for reason, group in absent.groupby("reason", sort=False, observed=True):
        cases = names(list(dict.fromkeys(map(str, group["case"]))), "cases")
        plural = "cell" if len(group) == 1 else "cells"
        entries.append(Entry(Text(f"{sign} {word}: {len(group)} {plural} of {cases.text}", tone), str(reason)))
    return entries


def _not_applicable_table(rows: Sequence[tuple[Text, ...]]) -> list[Block]:
    if not rows:
        return []
    heads = (Column(("what",), wraps=True), Column(("why",), wraps=True), Column(("where",), wraps=True))
    return [Heading(NOT_APPLICABLE), Table(heads, tuple(rows), blank_repeats=True)]


def _where(cases: tuple[str, ...], dtypes: tuple[str, ...], all_of: tuple[int, int], shown: int) -> Text:
    """The cases, and the dtypes where not all are meant; `all_of` so many cases and dtypes."""
    where = names(cases, "cases", shown=shown, all_of=all_of[0])
    scope = f" ({', '.join(dtypes)})" if len(dtypes) < all_of[1] else ""
    return Text(where.text + scope, full=where.full + scope if where.full else "")


def _all(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
