"""What the summary of a run holds: what ran, how it went, how long it took, and why the rest did not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..analysis import summary as tables
from ..results.schema import KEYS, PHASES
from . import units
from .document import Block, Column, Document, Entries, Entry, Facts, Heading, Line, Table, Text, Tone, names

if TYPE_CHECKING:
    import pandas as pd

PHASE_TITLES = {"forward_backward": "fwd+bwd"}
#: Symbol, word and tone of each outcome. Symbols and words differ, so that nothing hangs on colour.
SIGNS: Mapping[str, tuple[str, str, Tone]] = {
    "passed": ("✓", "passed", "good"),
    "failed": ("✗", "failed", "bad"),
    "error": ("✗", "raised", "bad"),
    "timeout": ("✗", "timed out", "bad"),
    "crashed": ("!", "crashed", "bad"),
    "xfailed": ("~", "known failure", "known"),
    "xpassed": ("✗", "passed, declared to fail", "bad"),
    "skipped": ("○", "skipped", "none"),
    "not_applicable": ("–", "not applicable", "none"),
    "unsupported": ("–", "unsupported", "none"),
    "not_run": ("?", "not run", "hole"),
}
#: What fits into the cells of the table.
SHORT = {"not_applicable": "n/a", "unsupported": "unsupp.", "xpassed": "xpassed", "xfailed": "known"}
LEGEND = "✓ passed, ✗ failed of those that ran, ! crashed, ~ known failure, – not applicable or unsupported, "
LEGEND += "○ skipped, ? not run"
#: How many entries a list shows unless all are asked for.
ENTRIES = 25


def run_summary(frame: pd.DataFrame, about: Mapping[str, str] | None = None, details: bool = False) -> Document:
    """The summary of the runs in a wide frame.

    Args:
        frame: of `load`.
        about: more facts for the header: status, files.
        details: leave nothing out.
    """
    tables.require_columns(frame, (*KEYS, "outcome", "reason", *tables.TIMES))
    blocks: list[Block] = [_facts(frame, about or {})]
    if frame.empty:
        return Document("torchbasics", tuple(blocks), Text("nothing was planned and nothing ran", "hole"))
    blocks += _support(frame)
    blocks += _not_applicable(frame)
    blocks += _declared(frame)
    blocks += _problems(frame, details)
    return Document("torchbasics", tuple(blocks), totals(frame))


def totals(frame: pd.DataFrame) -> Text:
    """Planned, ran, passed, failed, not applicable, skipped, not run; in one line."""
    number = tables.counts(frame)["total"]
    ran = int(number[list(tables.RAN)].sum())
    bad = {word: int(number[word]) for word in ("failed", "error", "timeout", "crashed", "xpassed") if number[word]}
    failed = sum(bad.values())
    kinds = ", ".join(f"{count} {SIGNS[word][1]}" for word, count in bad.items() if word != "failed")
    parts = [
        f"{len(frame)} planned",
        f"{ran} ran",
        f"{number['passed']} passed",
        f"{failed} failed" + (f" ({kinds})" if kinds else ""),
        f"{number['xfailed']} known failures" if number["xfailed"] else "",
        f"{number['not_applicable']} not applicable",
        f"{number['unsupported']} unsupported" if number["unsupported"] else "",
        f"{number['skipped']} skipped",
        f"{number['not_run']} not run",
    ]
    tone: Tone = "bad" if failed else "hole" if number["not_run"] or not ran else "good"
    return Text(" · ".join(part for part in parts if part), tone)


def _facts(frame: pd.DataFrame, about: Mapping[str, str]) -> Facts:
    machines = frame[["device", "device_name"]].drop_duplicates().sort_values("device") if len(frame) else frame.head(0)
    devices = [f"{device} ({name})" if name not in ("", device) else str(device) for device, name in _pairs(machines)]
    pairs = {
        "run": names(_values(frame, "run_id"), "runs"),
        "devices": Text(", ".join(devices)),
        "dtypes": Text(", ".join(map(str, frame["dtype"].drop_duplicates().sort_values()))),
        "modes": Text(", ".join(_values(frame, "mode"))),
        "torch": Text(", ".join(_values(frame, "torch_version"))),
        "commit": Text(_commit(frame)),
        "leg": Text(", ".join(_values(frame, "leg"))),
        **{name: Text(value) for name, value in about.items()},
    }
    if pairs["modes"].text == "eager":
        del pairs["modes"]
    return Facts(tuple((name, value) for name, value in pairs.items() if value.text))


def _support(frame: pd.DataFrame) -> list[Block]:
    """One table of checks and times if one place was timed, else one of each."""
    support = tables.support_table(frame)
    places = tables.sorted_places(frame)
    checked = [place for place in places if _has(frame, "check", place)]
    timed = [place for place in places if _has(frame, "timing", place)]
    phases = [phase for phase in PHASES[1:] if (frame["phase"].astype(str) == phase).any()]
    many_modes = len({mode for mode, _, _ in places}) > 1
    heads = [Column(_place_lines(place, many_modes), group="checks") for place in checked]
    rows = {case: [_checks_text(support.loc[case], place) for place in checked] for case in support.index}
    if len(timed) == 1:
        heads += [Column((PHASE_TITLES.get(phase, phase),), right=True, group="times") for phase in phases]
        for case, texts in rows.items():
            texts += [_time_text(support.loc[case], timed[0], phase) for phase in phases]
    blocks: list[Block] = []
    if heads:
        note = LEGEND if checked else ""
        if len(timed) == 1:
            note += f"\ntimes: {' '.join(_place_lines(timed[0], many_modes))}, median ± half of its 95 % interval"
        table = Table(
            (Column(("case",)), *heads), tuple((Text(case), *texts) for case, texts in rows.items()), note.strip()
        )
        blocks += [
            Heading("Checks and times" if checked and len(timed) == 1 else "Checks" if checked else "Times"),
            table,
        ]
    if len(timed) > 1:
        blocks += [Heading("Times"), _times_table(support, timed, phases, many_modes)]
    return blocks


def _times_table(support: pd.DataFrame, timed: list[Any], phases: list[str], many_modes: bool) -> Table:
    columns = [Column((PHASE_TITLES.get(phase, phase),), right=True, group="times") for phase in phases]
    rows = []
    for case in support.index:
        for place in timed:
            texts = [_time_text(support.loc[case], place, phase) for phase in phases]
            on = Text(" ".join(_place_lines(place, many_modes)))
            if any(text.text for text in texts):
                rows.append((Text(case), on, *texts))
    heads = (Column(("case",)), Column(("on",)), *columns)
    return Table(heads, tuple(rows), "median ± half of its 95 % interval", blank_repeats=True)


def _checks_text(row: pd.Series[Any], place: tuple[str, str, str]) -> Text:
    """`✓ 7`, `✗ 1 of 8`, `✓ 7 ~ 1 known`, `– n/a`: the gravest that there is."""
    number = {outcome: _count(row, place, outcome) for outcome in SIGNS}
    ran = sum(number[outcome] for outcome in tables.RAN)
    bad = sum(number[outcome] for outcome in ("failed", "error", "timeout", "xpassed"))
    if number["crashed"]:
        return Text(f"! {number['crashed']} crashed", "bad")
    if bad:
        return Text(f"✗ {bad} of {ran}", "bad")
    if number["not_run"]:
        return Text(f"? {number['not_run']} not run", "hole")
    if number["xfailed"]:
        passed = f"✓ {number['passed']} " if number["passed"] else ""
        return Text(f"{passed}~ {number['xfailed']} known", "known")
    if number["passed"]:
        return Text(f"✓ {number['passed']}", "good")
    word = next((word for word in ("unsupported", "skipped", "not_applicable") if number[word]), "")
    if not word:
        return Text("")
    return Text(f"{SIGNS[word][0]} {SHORT.get(word, SIGNS[word][1])}", "none")


def _time_text(row: pd.Series[Any], place: tuple[str, str, str], phase: str) -> Text:
    outcome = row.get((*place, f"{phase}_outcome"))
    if not isinstance(outcome, str):
        return Text("")
    if outcome != "passed":
        sign, word, tone = SIGNS[outcome]
        return Text(f"{sign} {SHORT.get(outcome, word)}", tone)
    value, low, high = (float(row.get((*place, f"{phase}_{end}"), math.nan)) for end in ("s", "low_s", "high_s"))
    if math.isnan(value):
        return Text("✓ no time", "hole")
    # A fixed width for the spread keeps the times of a column under each other.
    return Text(f"{units.duration(value)} {units.spread(value, low, high):>5}".rstrip())


def _not_applicable(frame: pd.DataFrame) -> list[Block]:
    found = tables.not_applicable(frame)
    if found.empty:
        return []
    cases, dtypes = frame["case"].nunique(), frame["dtype"].nunique()
    # Subjects that do not apply for the same reason in the same places share a row.
    subjects: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for _, group in found.sort_values(["subject", "cells"], ascending=[True, False], kind="stable").iterrows():
        subjects.setdefault((group["reason"], group["cases"], group["dtypes"]), []).append(group["subject"])
    rows = []
    for (reason, where_cases, where_dtypes), what in subjects.items():
        where = names(where_cases, "cases", shown=2, all_of=cases)
        if len(where_dtypes) < dtypes:
            scope = f"  ({', '.join(where_dtypes)})"
            where = Text(where.text + scope, full=where.full + scope if where.full else "")
        rows.append((Text(", ".join(what)), Text(reason or "no reason was given"), where))
    heads = (Column(("what",), wraps=True), Column(("why",), wraps=True), Column(("where",), wraps=True))
    return [Heading("What does not apply, and why"), Table(heads, tuple(rows), blank_repeats=True)]


def _declared(frame: pd.DataFrame) -> list[Block]:
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


def _problems(frame: pd.DataFrame, details: bool) -> list[Block]:
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
    entries = []
    for (outcome, case, subject, device, reason), group in failed.groupby(
        ["outcome", "case", "subject", "device", "reason"], sort=False, observed=True
    ):
        sign, word, tone = SIGNS[str(outcome)]
        dtypes = ", ".join(dict.fromkeys(map(str, group["dtype"])))
        mode = ", ".join(dict.fromkeys(map(str, group["mode"])))
        where = f"{device} {dtypes}" + (f" {mode}" if mode != "eager" else "")
        title = Text(f"{sign} {word}: {case} · {subject} · {where}", tone)
        entries.append(Entry(title, str(reason) or "no reason was given"))
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


def _has(frame: pd.DataFrame, kind: str, place: tuple[str, str, str]) -> bool:
    at = (frame["kind"].astype(str) == kind).to_numpy(copy=True)
    for name, value in zip(tables.PLACE, place, strict=True):
        at &= (frame[name].astype(str) == value).to_numpy()
    return bool(at.any())


def _count(row: pd.Series[Any], place: tuple[str, str, str], outcome: str) -> int:
    value = row.get((*place, outcome), 0)
    return 0 if value is None or math.isnan(value) else int(value)


def _place_lines(place: tuple[str, str, str], many_modes: bool) -> tuple[str, ...]:
    mode, device, dtype = place
    return (device, dtype, mode) if many_modes else (device, dtype)


def _values(frame: pd.DataFrame, column: str) -> list[str]:
    if column not in frame:
        return []
    return [value for value in dict.fromkeys(frame[column].astype(str)) if value and value != "nan"]


def _pairs(machines: pd.DataFrame) -> Sequence[tuple[str, str]]:
    return list(zip(machines["device"].astype(str), machines["device_name"].astype(str), strict=True))


def _commit(frame: pd.DataFrame) -> str:
    commits = [commit[:10] for commit in _values(frame, "commit")]
    dirty = "dirty" in frame and bool(frame["dirty"].fillna(False).any())
    return ", ".join(commits) + (" with uncommitted changes" if dirty and commits else "")
