"""The rows of a run out of its journals and its plan: what ended, what crashed, and what never ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .errors import ResultError
from .journal import JournalContents, Started, read_journal
from .rows import Cell, Row, cell_from_json, text

RUN_JSON = "run.json"
#: The reason code of a cell that nobody saw the end of.
PROCESS_DIED = "process_died"
#: Outcomes that tell of the death of a process.
DEATHS = ("crashed", "timeout")


@dataclass(frozen=True)
class Collected:
    """What the journals and the plan of a run come to.

    Attributes:
        rows: of cells that ended, in order; then `crashed` and `not_run` rows for those that did not.
        status: of the run.
        planned: how many cells were expected; None if no plan was written.
        ended: how many cells ended.
        problems: what could not be read.
    """

    rows: tuple[Row, ...]
    status: str
    planned: int | None
    ended: int
    problems: tuple[str, ...]


def runs_in(results: Path) -> list[Path]:
    """The folders of all runs of a results folder, finished or not, the oldest first: their ids sort by time."""
    return sorted(path.parent for path in (results / "runs").glob(f"*/{RUN_JSON}"))


def collect(
    record: Mapping[str, Any],
    path: Path,
    journals: Sequence[Path],
    status: str | None = None,
    running: bool = False,
) -> Collected:
    """The rows of a run out of its journals, with a row for each cell that did not end.

    Args:
        record: the content of run.json.
        path: the run folder, for messages.
        journals: the files.
        status: `interrupted` if the run was.
        running: the run still goes on; what is not there yet is no crash.

    Raises:
        ResultError: a journal cannot be read at all, or belongs to another run.
    """
    contents = [read_journal(journal) for journal in journals]
    for journal in contents:
        if journal.run_id and journal.run_id != record["run_id"]:
            raise ResultError(f"belongs to the run {journal.run_id}, not to {record['run_id']}", journal.path)
    # A test that is run again has one row, its last.
    found: dict[tuple[Cell, str], Row] = {}
    for journal in sorted(contents, key=lambda journal: journal.begun):
        found |= {(row.cell, row.nodeid): row for row in journal.rows}
        if not running:
            # A journal that could not be written went on in another file; a run can be gone on with in another process.
            after = [other.finished for other in contents if other.begun >= journal.begun]
            found |= {(row.cell, row.nodeid): row for row in _in_flight(journal, frozenset().union(*after))}
    rows = list(found.values())
    crashed = [row for row in rows if row.reason_code == PROCESS_DIED]
    plan = planned_cells(record, path)
    not_run = _not_run(plan or [], rows, status, running)
    if running:
        final = "running"
    elif status not in (None, "complete"):
        final = str(status)
    elif crashed:
        final = "crashed"
    else:
        final = "complete" if plan is not None and not not_run else "incomplete"
    problems = tuple(problem for journal in contents for problem in journal.problems)
    return Collected((*rows, *not_run), final, None if plan is None else len(plan), len(rows) - len(crashed), problems)


def planned_cells(record: Mapping[str, Any], path: Path) -> list[tuple[Cell, str]] | None:
    """The cells of the plan in run.json with the names of their tests, as far as known; None if none was written.

    Raises:
        ResultError: the plan is not one.
    """
    plan = record.get("plan")
    if plan is None:
        return None
    where = path / RUN_JSON
    columns, cells = (plan.get("columns"), plan.get("cells")) if isinstance(plan, dict) else (None, None)
    if not isinstance(columns, list) or not isinstance(cells, list):
        raise ResultError("'plan' must have 'columns' and 'cells'", where)
    if not all(isinstance(cell, list) and len(cell) == len(columns) for cell in cells):
        raise ResultError("a cell of 'plan' does not have a value for each column", where)
    planned = [dict(zip(columns, cell, strict=True)) for cell in cells]
    return [(cell_from_json(cell, where), text(cell.get("nodeid"))) for cell in planned]


def _in_flight(journal: JournalContents, finished: frozenset[Started]) -> list[Row]:
    """A row for each cell in which the process of a journal died; one that was there says so now, if it did not."""
    who = f"worker {journal.worker}" if journal.worker else "the process"
    damage = " or its line is damaged" if journal.problems else ""
    last = {(row.cell, row.nodeid): row for row in journal.rows}
    rows = []
    for started in journal.open_cells:
        row = last.get((started.cell, started.nodeid))
        if started in finished or (row is not None and row.outcome in DEATHS):
            continue
        when = "while this ran" if row is None else f"after its {row.outcome} row"
        row = row or Row(started.cell, "crashed", nodeid=started.nodeid)
        rows.append(replace(row, outcome="crashed", reason=f"{who} died {when}{damage}", reason_code=PROCESS_DIED))
    return rows


def _not_run(plan: Sequence[tuple[Cell, str]], rows: Sequence[Row], status: str | None, running: bool) -> list[Row]:
    """A row for each planned cell that is not there; a cell may be planned by several tests."""
    reason = "the run goes on" if running else "the run was interrupted" if status == "interrupted" else "the run ended"
    here = Counter(row.cell for row in rows)
    named = {(row.cell, row.nodeid) for row in rows}
    missing = []
    for cell, nodeid in sorted(plan, key=lambda planned: planned not in named):  # those that are there by name first
        if here[cell]:
            here[cell] -= 1
        else:
            why = f"{reason} before it was reached"
            missing.append(Row(cell, "not_run", reason=why, reason_code="not_reached", nodeid=nodeid))
    return missing
