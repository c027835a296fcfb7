"""How an outcome, a number of checks and a time are shown in a cell; the same in every report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..analysis.summary import RAN, SEVERITY
from . import units
from .document import Text, Tone

if TYPE_CHECKING:
    pass

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
#: What fits into the cells of a table.
SHORT = {"not_applicable": "n/a", "unsupported": "unsupp.", "xpassed": "xpassed", "xfailed": "known"}
#: A cell that no run planned.
ABSENT = Text("· absent", "quiet")
LEGEND = "✓ passed, ✗ failed of those that ran, ! crashed, ~ known failure, – not applicable or unsupported, "
LEGEND += "○ skipped, ? not run"
#: From the one that matters least to the one that a cell of several must have.
TONES: tuple[Tone, ...] = ("plain", "quiet", "none", "good", "known", "hole", "bad")


def outcome_text(outcome: str, number: str = "") -> Text:
    """`✓ passed`, `? 3 not run`: symbol, number and word, as short as a cell needs it."""
    sign, word, tone = SIGNS[outcome]
    return Text(" ".join(filter(None, (sign, number, SHORT.get(outcome, word)))), tone)


def checks_text(row: Mapping[Any, Any], place: tuple[str, ...]) -> Text:
    """`✓ 7`, `✗ 1 of 8`, `✓ 7 ~ 1 known`, `– n/a`: the gravest that there is."""
    number = counts(row, place)
    ran = sum(number[outcome] for outcome in RAN)
    bad = sum(number[outcome] for outcome in ("failed", "error", "timeout", "xpassed"))
    if number["crashed"]:
        return outcome_text("crashed", str(number["crashed"]))
    if bad:
        return Text(f"✗ {bad} of {ran}", "bad")
    if number["not_run"]:
        return outcome_text("not_run", str(number["not_run"]))
    if number["xfailed"]:
        passed = f"✓ {number['passed']} " if number["passed"] else ""
        return Text(f"{passed}~ {number['xfailed']} known", "known")
    if number["passed"]:
        return Text(f"✓ {number['passed']}", "good")
    word = next((word for word in ("unsupported", "skipped", "not_applicable") if number[word]), "")
    return outcome_text(word) if word else Text("")


def every_outcome_text(row: Mapping[Any, Any], place: tuple[str, ...]) -> Text:
    """`✗ 1 failed ✓ 7 passed ○ 1 skipped`: how many checks ended in each outcome, the gravest first."""
    number = counts(row, place)
    found = [outcome_text(word, str(number[word])) for word in SEVERITY[:0:-1] if number[word]]
    if not found:
        return outcome_text(SEVERITY[0]) if number[SEVERITY[0]] else Text("")
    return Text(" ".join(text.text for text in found), max((text.tone for text in found), key=TONES.index))


def time_text(row: Mapping[Any, Any], place: tuple[str, ...], phase: str) -> Text:
    """`6.10 µs ±2 %`, or why there is no time."""
    outcome = row.get((*place, f"{phase}_outcome"))
    if not isinstance(outcome, str):
        return Text("")
    if outcome != "passed":
        return outcome_text(outcome)
    value, low, high = (float(row.get((*place, f"{phase}_{end}"), math.nan)) for end in ("s", "low_s", "high_s"))
    if math.isnan(value):
        return Text("✓ no time", "hole")
    # A fixed width for the spread keeps the times of a column under each other.
    return Text(f"{units.duration(value)} {units.spread(value, low, high):>5}".rstrip())


def place_lines(place: tuple[str, ...], many_modes: bool) -> tuple[str, ...]:
    """The head of a place's column: (run, if there is one,) device, dtype, and the mode where there are several."""
    *run, mode, device, dtype = place
    return (*filter(None, run), device, dtype, *((mode,) if many_modes else ()))


def counts(row: Mapping[Any, Any], place: tuple[str, ...]) -> dict[str, int]:
    """How many checks of a row of `support_table` ended in each outcome at a place."""
    found = {outcome: row.get((*place, outcome), 0) for outcome in SIGNS}
    return {outcome: 0 if value is None or math.isnan(value) else int(value) for outcome, value in found.items()}
