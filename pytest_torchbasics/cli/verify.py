"""`torchbasics verify RUN`: whether a run is what it planned to be, as a step of its own that no test can reach."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from ..results.rows import NO_CASE
from . import _output as output

if TYPE_CHECKING:
    import pandas as pd

#: Outcomes of cells that did not end, that ended badly, and that measured nothing.
ABSENT = ("not_run", "crashed")
BAD = ("failed", "error", "timeout", "xpassed")
EMPTY = ("skipped", "not_applicable", "unsupported")
NAMED = 5


@click.command("verify", short_help="Whether runs are complete and nothing in them failed.")
@click.argument("runs", nargs=-1, metavar="[RUN]...")
@output.results_option
def command(runs: tuple[str, ...], results: Path) -> None:
    """Hold runs against their plans and their files: exit 0 only if every planned cell ended, and none badly.

    A test can end pytest with exit code 0 (os._exit, atexit); this reads what is on the disk. RUN is as for `show`
    (`latest` by default); of a results folder, every run in it.

    Exit codes: 1 a cell failed, 2 there is no run, it is damaged or measured nothing, 4 a run did not end as planned.
    """
    from ..results.load import sources
    from ._sources import find_runs

    try:
        paths = sources([path for run in runs or ("latest",) for path in find_runs(run, results)])
        found = [_rows(path) for path in paths]
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    incomplete = [why for path, rows in zip(paths, found, strict=True) if (why := _incomplete(path, rows))]
    code, reason = conclusion(found, incomplete)
    if code:
        output.fail(code, reason)
    click.echo(reason)


def conclusion(found: Sequence[pd.DataFrame], incomplete: Sequence[str]) -> tuple[int, str]:
    """The exit code that runs ask for, and why.

    Args:
        found: the rows of each.
        incomplete: why some of them are no whole ones.
    """
    if incomplete:
        return output.INCOMPLETE, "; ".join(incomplete)
    bad = [name for rows in found for name in _named(rows, BAD)]
    cells = sum(map(len, found))
    if bad:
        return output.GATED, f"{len(bad)} of {cells} cells ended badly: {_few(bad)}"
    cases = [rows[rows["case"] != NO_CASE] for rows in found]
    if any(map(len, cases)) and all(rows["outcome"].isin(EMPTY).all() for rows in cases):
        return output.UNUSABLE, f"nothing was measured: all {cells} cells were skipped or did not apply"
    return 0, f"complete: {len(found)} runs, {cells} cells, as planned"


def _rows(path: Path) -> pd.DataFrame:
    """The rows of one run.

    Raises:
        ResultError: it cannot be read, or is no run with a plan, or its files were altered.
    """
    from ..results.load import load
    from ..results.store import RunFolder, status_of

    if status_of(RunFolder.open(path)) == "damaged":
        raise ResultError("its files are not those that the run wrote", path)
    return load(path)


def _incomplete(path: Path, rows: pd.DataFrame) -> str:
    """Why a run is no whole one; empty if it is."""
    from ..results.collect import planned_cells
    from ..results.store import RunFolder, status_of

    folder = RunFolder.open(path)
    absent = _named(rows, ABSENT)
    planned = planned_cells(folder.read(), path)
    ended = len(rows) - len(absent)
    if absent:
        return f"{path.name}: {len(absent)} of {len(rows)} cells did not run to their end: {_few(absent)}"
    if planned is not None and ended < len(planned):
        return f"{path.name}: {len(planned)} cells were planned and {ended} ended"
    status = status_of(folder)
    return "" if status == "complete" else f"{path.name} is {status}"


def _named(rows: pd.DataFrame, outcomes: tuple[str, ...]) -> list[str]:
    chosen = rows[rows["outcome"].isin(outcomes)]
    words = chosen[["case", "check", "phase", "device", "dtype"]].astype(str).to_numpy().tolist()
    return [
        f"{' '.join(word for word in cell if word)} ({outcome})"
        for cell, outcome in zip(words, chosen["outcome"].astype(str), strict=True)
    ]


def _few(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", and {len(names) - NAMED} more" if len(names) > NAMED else "")
