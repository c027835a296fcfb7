"""What changed in each leg since its last run on the same machine, as one page of Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..analysis.compare import METRICS, compare
from ..report import markdown
from ..report.comparison import Pair, comparison
from ..results.safe import escape_markdown
from .history import baselines

if TYPE_CHECKING:
    import pandas as pd

    from ..analysis.rules import Rules

NOTHING = "No run of a leg is here to compare.\n"


def changes(frame: pd.DataFrame, history: Path, rules: Rules | None = None, max_bytes: int | None = None) -> str:
    """A section for each leg that has an earlier run; those without one, or without room, are named.

    Args:
        frame: of `load`: the runs of legs.
        history: of earlier ones.
        rules: how large a change must be; those of `compare` by default.
        max_bytes: of the page; the largest sections go first.
    """
    found = baselines(frame, history)
    sections = {
        leg: _section(leg, baseline.rows, frame[frame["leg"] == leg], rules)
        for leg, baseline in found.items()
        if baseline.rows is not None
    }
    left_out: dict[str, list[str]] = {}
    for leg, baseline in found.items():
        if baseline.why_not:
            left_out.setdefault(baseline.why_not, []).append(leg)
    while True:
        page = _page(sections, left_out)
        if max_bytes is None or not sections or len(page.encode()) <= max_bytes:
            return page
        largest = max(sections, key=lambda leg: len(sections[leg]))
        del sections[largest]
        left_out.setdefault("no room", []).append(largest)


def _page(sections: Mapping[str, str], left_out: Mapping[str, Sequence[str]]) -> str:
    notes = [f"Not compared: {', '.join(legs)}: {why}" for why, legs in left_out.items()]
    return "\n".join([*sections.values(), *(f"{escape_markdown(note)}\n" for note in notes)]) or NOTHING


def _section(leg: str, base: pd.DataFrame, head: pd.DataFrame, rules: Rules | None) -> str:
    pair = Pair(_label(leg, base), _label(leg, head), compare(base, head, metric=METRICS, rules=rules))
    return markdown.render(comparison([pair]))


def _label(leg: str, frame: pd.DataFrame) -> str:
    return f"{leg}: {', '.join(sorted(set(frame['run_id'].astype(str))))}"
