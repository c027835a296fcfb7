"""`--resume`: going on with a run that died or was interrupted, in its own folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ..results.collect import DEATHS, collect, planned_cells, runs_in
from ..results.environment import env_id, environment
from ..results.errors import ResultError
from ..results.process import identity
from ..results.rows import Cell
from ..results.store import RunFolder, status_of
from .settings import settings_of

#: Outcomes of cells that are run again; all others are kept.
AGAIN = ("not_run", *DEATHS)


def resumed(config: pytest.Config, cells: Mapping[str, Cell]) -> RunFolder:
    """The run that is gone on with; it says `running` from now on.

    Args:
        config: of this run.
        cells: what is selected, by the name of its test.

    Raises:
        pytest.UsageError: there is no such run, it still runs, was made in another environment, or did not plan this.
    """
    word = settings_of(config).resume
    root = settings_of(config).results
    source = f"--resume={word}"
    if root is None:
        raise pytest.UsageError(f"{source}: give --results=DIR, the folder that the run is in")
    try:
        folder = RunFolder.open(_path(word, root))
        record = folder.read()
        if status_of(folder) == "running":
            raise pytest.UsageError(f"{source}: the run {folder.run_id} still goes on")
        planned = planned_cells(record, folder.path)
    except ResultError as error:
        raise pytest.UsageError(f"{source}: {error}") from None
    if record.get("env_id") != env_id(environment()):
        raise pytest.UsageError(
            f"{source}: the run {folder.run_id} was made on another machine or with other versions; one run has one "
            "environment: run all of it again"
        )
    known = {(cell, nodeid) for cell, nodeid in planned or []}
    if unplanned := [nodeid for nodeid, cell in cells.items() if (cell, nodeid) not in known]:
        raise pytest.UsageError(
            f"{source}: {len(unplanned)} of {len(cells)} selected tests are not in the plan of {folder.run_id}, such "
            f"as {unplanned[0]}: select what was selected then"
        )
    folder.write({**{key: value for key, value in record.items() if key != "files"}, "status": "running", **identity()})
    return folder


def deselect(session: pytest.Session, folder: RunFolder, cells: Mapping[str, Cell]) -> None:
    """Leave out the tests whose cells ended."""
    rows = collect(folder.read(), folder.path, folder.journals()).rows
    ended = {(row.cell, row.nodeid) for row in rows if row.outcome not in AGAIN}
    done: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in session.items:
        cell = cells.get(item.nodeid)
        (done if cell is not None and (cell, item.nodeid) in ended else left).append(item)
    session.items[:] = left
    session.config.hook.pytest_deselected(items=done)


def journal_name(journals: Sequence[Path]) -> str:
    """Of the process that goes on, as a worker's name."""
    return f"resumed{sum(path.stem.startswith('rows-resumed') for path in journals) + 1}"


def _path(word: str, root: Path) -> Path:
    if word == "latest":  # as for the commands: the newest, whether it finished or not
        runs = runs_in(root)
        word = runs[-1].name if runs else word
    return Path(word) if Path(word).is_dir() else root / "runs" / word
