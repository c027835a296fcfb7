"""`--isolate`: items of ours run in a process of their own, and its death is theirs alone.

The run itself measures nothing: for each item it asks a worker, a pytest run of the same selection that was started
with this module as a plugin, and logs the reports that come back. A fresh one takes the place of a worker that dies,
hangs, or has left a device unusable or something changed that cannot be put back. What it measured is in its own
journal; the rows of what it died of are added.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from ..results.journal import Journal, read_journal
from ..results.rows import Cell, Row
from ..results.store import RunFolder
from ..workers import Worker, WorkerDied, serve
from . import leaks
from .settings import settings_of
from .timeouts import GRACE_S

if TYPE_CHECKING:
    from .summary import Conclusion

#: Tell a worker where its journal is; taken out of the environment at once, so that no process of a test finds them.
FOLDER, NAME = "TORCHBASICS_ISOLATED_IN", "TORCHBASICS_ISOLATED_AS"
#: The name of the workers of a run, and of their journal: one that takes another's place goes on with it.
WORKER = "isolated"
#: How often a worker looks whether its run is still there.
WATCH_S = 1.0


class Isolation:
    """Runs the items of ours in workers, one after the other; a plugin of the run.

    A run that is gone on with names its workers anew: journals are read in the order in which they were begun.
    """

    def __init__(
        self, config: pytest.Config, folder: RunFolder, cells: Mapping[str, Cell], conclusion: Conclusion, name: str
    ) -> None:
        self.config, self.folder, self.cells, self.conclusion = config, folder, cells, conclusion
        self.name = name
        self._worker: Worker | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Have an item of ours run, and log what is reported."""
        if item.nodeid not in self.cells:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End the last worker, before its journal is read."""
        self._retire()

    def _reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        limit = settings_of(self.config).item_timeout
        begun = time.monotonic()
        try:
            worker = self._running()
            begun = time.monotonic()
            answer = worker.ask({"do": "run", "nodeid": item.nodeid}, limit + 2 * GRACE_S if limit else None)
        except WorkerDied as death:
            timed_out = death.timed_out or bool(limit and time.monotonic() - begun >= limit)
            self._retire()
            yield self._buried(item, "timeout" if timed_out else "crashed", death)
            return
        hook = self.config.hook
        reports = [
            cast(pytest.TestReport, hook.pytest_report_from_serializable(config=self.config, data=data))
            for data in answer["reports"]
        ]
        yield from reports
        if rescued := answer.get("rescued"):
            self.conclusion.learn(self.name, rescued)
        if unusable := answer.get("unusable"):
            self._retire()
            if not any(report.failed for report in reports):
                yield self._buried(item, "error", unusable)
        if stopped := answer.get("stopped"):
            self._retire()
            raise KeyboardInterrupt if stopped == "KeyboardInterrupt" else pytest.exit.Exception(stopped)

    def _running(self) -> Worker:
        """The worker, started if there is none.

        Raises:
            WorkerDied: it does not start.
            pytest.exit.Exception: it has no folder to start in.
        """
        if self._worker is None:
            if not RunFolder.is_at(self.folder.path):
                pytest.exit("the folder of the results is gone, so no further process can be started")
            config = self.config
            own = ("-p", __name__, f"--rootdir={config.rootpath}", "--torchbasics-results=")
            self._worker = Worker(
                (sys.executable, "-m", "pytest", *config.invocation_params.args, *own),
                f"worker {self.name}",
                config.invocation_params.dir,
                {**os.environ, FOLDER: str(self.folder.path), NAME: self.name},
                own_session=True,
            )
            self._worker.connect()
            self.conclusion.hold(self.name)
        return self._worker

    def _retire(self) -> None:
        if self._worker is not None:
            self._worker.stop()
        self._worker = None

    def _buried(self, item: pytest.Item, outcome: str, what: WorkerDied | str) -> pytest.TestReport:
        """A report of an item that took its worker along, and a row if the worker has written none that says so."""
        code = what.code if isinstance(what, WorkerDied) else None
        path, cell = self.folder.journal_path(self.name), self.cells[item.nodeid]
        told = [row for row in read_journal(path).rows if row.nodeid == item.nodeid] if path.exists() else []
        if told and told[-1].outcome == "timeout":
            outcome, reason = "timeout", told[-1].reason
        else:
            reason = ("it hung: " if outcome == "timeout" else _signal(code)) + str(what).splitlines()[0]
            if RunFolder.is_at(self.folder.path):  # else what it measured is rescued, and the run ends
                self._journal(path, Row(cell, outcome, reason, reason_code="isolated", nodeid=item.nodeid))
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", f"{outcome}: {reason}\n{what}", "call")

    def _journal(self, path: Path, row: Row) -> None:
        journal = Journal(path)
        journal.header(self.folder.run_id, self.name)  # a second one is passed over
        journal.end(row)
        journal.close()
        if journal.rescued is not None:
            self.conclusion.learn(self.name, str(journal.rescued))


def _signal(code: int | None) -> str:
    if code is None or code >= 0:
        return ""
    name = signal.Signals(-code).name
    hint = " (the system kills so when memory runs out)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}: "


# --- the worker -----------------------------------------------------------------------------------------------------

_PLACE = (os.environ.pop(FOLDER, ""), os.environ.pop(NAME, ""))


def place() -> tuple[Path, str] | None:
    """In a worker, the folder of the run and the worker's name; None elsewhere."""
    folder, name = _PLACE
    return (Path(folder), name) if folder else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """In a worker, run what is asked for; where collecting failed, pytest's own loop says so and ends."""
    if place() is None or session.testsfailed:
        return
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    serve(_Runner(session).answer)
    from .recording import RECORDER

    if RECORDER in session.config.stash:
        session.config.stash[RECORDER].journal.close()
    os._exit(0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os._exit(1)


class _Runner:
    """Runs an item by its name."""

    def __init__(self, session: pytest.Session) -> None:
        self.config = session.config
        self.items = {item.nodeid: item for item in session.items}
        self.reports: list[dict[str, Any]] = []
        self.config.pluginmanager.register(self, "torchbasics-isolated")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a report for the answer."""
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.reports.append(data)

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The reports of an item, where its row went, and what must end this process or the run."""
        from .recording import RECORDER

        self.reports = []
        item = self.items[asked["nodeid"]]
        found: dict[str, Any] = {"reports": self.reports}
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        except (KeyboardInterrupt, pytest.exit.Exception) as error:
            found["stopped"] = str(error) or type(error).__name__
        found["rescued"] = str(self.config.stash[RECORDER].journal.rescued or "")
        found["unusable"] = item.stash.get(leaks.LEFT, "") or _unusable(item)
        return found


def _unusable(item: pytest.Item) -> str:
    """Why the item's device can no longer be used by this process; empty if it can."""
    from ..backends import backend_for
    from .recording import cell_of

    cell = cell_of(item)
    if cell is None:
        return ""
    try:
        backend_for(cell.device).synchronize(cell.device)
    except RuntimeError as error:
        return f"it leaves {cell.device} unusable: {error}"
    return ""
