"""What was measured as two runs in a results folder, one of each side: `compare`, `report` and `history` read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..results.journal import write_rows
from ..results.rows import Cell, MetricValue, Row, cell_from_json
from ..results.store import RunFolder, finalise
from .session import SIDES, Contest, Session


def keep(session: Session, contests: Sequence[Contest], root: Path) -> list[RunFolder]:
    """Write a run of each side under a results folder.

    Raises:
        ResultError: it cannot be written.
    """
    folders = [
        RunFolder.create(root, record=session.facts[side]["environment"], argv=["torchbasics", "ab"]) for side in SIDES
    ]
    for side, folder, other in zip(SIDES, folders, folders[::-1], strict=True):
        label = getattr(session, side).label
        rows = [row for contest in contests if (row := _row(contest, side)) is not None]
        folder.write({**folder.read(), "ab": {"side": side, "is": label, "against": other.run_id}})
        folder.write_plan([row.cell for row in rows], [row.nodeid for row in rows])
        write_rows(folder.journal_path(), folder.run_id, rows)
        finalise(folder, "interrupted" if session.interrupted else None)
    return folders


def _row(contest: Contest, side: str) -> Row | None:
    """The row of a side; None if it lacks the cell."""
    if side not in contest.cells:
        return None
    cell: Cell = cell_from_json(contest.cells[side])
    outcome = contest.outcomes[side]
    seconds = contest.seconds[side]
    facts: dict[str, Any] = {"case_hash": contest.hashes[side], "nodeid": contest.nodeids[side], "timer": "hybrid"}
    if outcome != "passed":
        return Row(cell, outcome, reason=contest.reasons.get(side, ""), **facts)
    if not seconds.get("median"):
        return Row(cell, "not_run", reason="the time was up before it was measured", reason_code="not_reached", **facts)
    metrics = [_metric(name, values) for name, values in seconds.items()]
    metrics += [
        MetricValue(name.removesuffix("_bytes"), "bytes" if name.endswith("_bytes") else "", "lower", value)
        for name, value in contest.costs.get(side, {}).items()
    ]
    samples = tuple(round(value * 1e9) for value in seconds["median"])
    return Row(cell, "passed", metrics=tuple(metrics), samples_ns=samples, **facts)


def _metric(name: str, values: Sequence[float]) -> MetricValue:
    ordered = sorted(values)
    low, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.25, 0.75))
    return MetricValue(name, "s", "lower", ordered[len(ordered) // 2], low, high, len(ordered))
