"""What the summary of a run holds: what ran, how it went, how long it took, and why the rest did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..analysis import summary as tables
from ..analysis.naming import told_apart
from ..results.schema import KEYS, PHASES
from . import reasons
from .document import Block, Column, Document, Facts, Heading, Line, Table, Text, Tone, names
from .signs import LEGEND, PHASE_TITLES, SIGNS, checks_text, place_lines, time_text

if TYPE_CHECKING:
    import pandas as pd

#: Where each case and check can be seen.
EACH = Line(Text("each case and check: torchbasics matrix RUN --by check", "quiet"))


def run_summary(frame: pd.DataFrame, about: Mapping[str, str] | None = None, details: bool = False) -> Document:
    """The summary of the runs in a wide frame.

    Args:
        frame: of `load`.
        about: more facts for the header: status, files.
        details: leave nothing out.
    """
    tables.require_columns(frame, (*KEYS, "outcome", "reason", *tables.TIMES))
    frame = told_apart(frame)
    blocks: list[Block] = [facts(frame, about or {})]
    if frame.empty:
        return Document("torchbasics", tuple(blocks), Text("nothing was planned and nothing ran", "hole"))
    blocks += _support(frame)
    if found := reasons.not_applicable(frame) if details else reasons.not_applicable_in_short(frame):
        blocks += [*found, EACH]
    blocks += reasons.declared(frame)
    blocks += reasons.problems(frame, details)
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


def facts(frame: pd.DataFrame, about: Mapping[str, str]) -> Facts:
    """What ran where: the header of a report."""
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


def times(frame: pd.DataFrame) -> list[Block]:
    """The times of every phase, a row per case and place; nothing if nothing was timed.

    Args:
        frame: of `load`, its cases told apart.
    """
    timed = [place for place in tables.sorted_places(frame) if _has(frame, "timing", place)]
    if not timed:
        return []
    phases = [phase for phase in PHASES[1:] if (frame["phase"].astype(str) == phase).any()]
    many_modes = len({mode for mode, _, _ in timed}) > 1
    return [Heading("Times"), _times_table(tables.support_table(frame), timed, phases, many_modes)]


def _support(frame: pd.DataFrame) -> list[Block]:
    """One table of checks and times if one place was timed, else one of each."""
    support = tables.support_table(frame)
    places = tables.sorted_places(frame)
    checked = [place for place in places if _has(frame, "check", place)]
    timed = [place for place in places if _has(frame, "timing", place)]
    phases = [phase for phase in PHASES[1:] if (frame["phase"].astype(str) == phase).any()]
    many_modes = len({mode for mode, _, _ in places}) > 1
    heads = [Column(place_lines(place, many_modes), group="checks") for place in checked]
    cells = support.to_dict("index")
    rows = {case: [checks_text(cells[case], place) for place in checked] for case in cells}
    if len(timed) == 1:
        heads += [Column((PHASE_TITLES.get(phase, phase),), right=True, group="times") for phase in phases]
        for case, texts in rows.items():
            texts += [time_text(cells[case], timed[0], phase) for phase in phases]
    blocks: list[Block] = []
    if heads:
        note = LEGEND if checked else ""
        if len(timed) == 1:
            note += f"\ntimes: {' '.join(place_lines(timed[0], many_modes))}, median ± half of its 95 % interval"
        table = Table(
            (Column(("case",)), *heads), tuple((Text(str(case)), *texts) for case, texts in rows.items()), note.strip()
        )
        blocks += [
            Heading("Checks and times" if checked and len(timed) == 1 else "Checks" if checked else "Times"),
            table,
        ]
    return [*blocks, *(times(frame) if len(timed) > 1 else [])]


def _times_table(support: pd.DataFrame, timed: list[Any], phases: list[str], many_modes: bool) -> Table:
    columns = [Column((PHASE_TITLES.get(phase, phase),), right=True, group="times") for phase in phases]
    rows = []
    for case, cells in support.to_dict("index").items():
        for place in timed:
            texts = [time_text(cells, place, phase) for phase in phases]
            on = Text(" ".join(place_lines(place, many_modes)))
            if any(text.text for text in texts):
                rows.append((Text(str(case)), on, *texts))
    heads = (Column(("case",)), Column(("on",)), *columns)
    return Table(heads, tuple(rows), "median ± half of its 95 % interval", blank_repeats=True)


def _has(frame: pd.DataFrame, kind: str, place: tuple[str, str, str]) -> bool:
    at = (frame["kind"].astype(str) == kind).to_numpy(copy=True)
    for name, value in zip(tables.PLACE, place, strict=True):
        at &= (frame[name].astype(str) == value).to_numpy()
    return bool(at.any())


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
