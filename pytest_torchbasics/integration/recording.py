"""Keeping what was measured: the plan of a run, and a row for every cell, written at once."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..results.journal import Journal
from ..results.remote import require_writable
from ..results.rows import NO_CASE, Cell, Row
from ..results.store import RunFolder, finalise, new_run_id
from . import isolated, leaks, progress, resuming
from .items import CARRIERS, STAND_IN
from .settings import settings_of
from .timeouts import Watch

if TYPE_CHECKING:
    from .summary import Conclusion

RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()
FOLDER: pytest.StashKey[RunFolder] = pytest.StashKey()
CONCLUSION: pytest.StashKey[Conclusion] = pytest.StashKey()

#: Settings that tell where a run is kept: no fact of the run, and a path of somebody's machine.
PLACES = ("results", "results_url")

#: How long a worker waits for the first one to make the folder, which looks at the machine first.
FOLDER_PATIENCE_S = 120

#: Outcomes that say already that the test failed.
FAILURES = ("failed", "error", "xpassed", "crashed", "timeout")

#: Outcomes of a call of ours after which its test cannot be green, whatever it catches.
ENDING = (*FAILURES, "not_run")

Record = Callable[[Row], None]

#: The key under which an xdist worker tells its controller of a rescued journal.
RESCUED = "torchbasics_rescued"

_perf_counter = time.perf_counter  # a private reference: a test that patches the clock must not reach its own row


class Recorder:
    """Journals the rows of one process; registered as a plugin only if there is something to record."""

    def __init__(self, config: pytest.Config, folder: RunFolder, cells: dict[str, Cell], worker: str) -> None:
        self.cells = cells
        self.config = config
        self.journal = Journal(folder.journal_path(worker), self._tell)
        self.journal.header(folder.run_id, worker)
        self.watch = Watch(config, settings_of(config).item_timeout, self._timed_out)
        self._recorded: dict[str, Row] = {}
        self._passed: set[str] = set()
        self._ending: dict[str, Row] = {}

    def _tell(self, line: str) -> None:
        """Print a line past pytest's capture, which keeps to itself what a passing test prints."""
        capture = self.config.pluginmanager.get_plugin("capturemanager")
        with contextlib.suppress(OSError), capture.global_and_fixture_disabled() if capture else nullcontext():
            os.write(2, line.encode(errors="replace"))

    @contextlib.contextmanager
    def recording(self, cell: Cell, nodeid: str) -> Iterator[Record]:
        """Take the time of a block, which gives its row to the function that it gets.

        A block that raises leaves an `error` row, an interrupt a `not_run` row.
        """
        begun, started_at = _perf_counter(), _now()

        def record(row: Row) -> None:
            duration = _perf_counter() - begun
            self.end(dataclasses.replace(row, nodeid=nodeid, started_at=started_at, duration_s=duration))

        try:
            yield record
        except BaseException as error:
            if nodeid not in self._recorded:
                outcome = "error" if isinstance(error, Exception) else "not_run"
                record(Row(cell, outcome, reason=f"{type(error).__name__}: {error}", reason_code="raised"))
            raise

    def end(self, row: Row) -> None:
        """Journal the row of a cell."""
        self._recorded[row.nodeid] = row
        if row.outcome in ENDING:
            self._ending.setdefault(row.nodeid, row)
        self.journal.end(row)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Close the journal; a worker tells where the rows went that did not fit into it."""
        self.journal.close()
        if self.journal.rescued is not None and hasattr(self.config, "workeroutput"):
            self.config.workeroutput[RESCUED] = str(self.journal.rescued)

    def has_passed(self, nodeid: str) -> bool:
        """True if the test's body ran and passed."""
        return nodeid in self._passed

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Journal that a cell is in flight, from before its fixtures until after them, and watch how long."""
        cell = self.cells.get(item.nodeid)
        if cell is None:
            return (yield)
        self.journal.start(cell, item.nodeid, until="done")
        try:
            with self.watch.over(item.nodeid):
                return (yield)
        finally:
            self.journal.done(cell, item.nodeid)

    def _timed_out(self, nodeid: str, reason: str) -> None:
        """Keep what there is, in a process that is about to end."""
        self.end(Row(self.cells[nodeid], "timeout", reason, reason_code="timeout", nodeid=nodeid, started_at=_now()))
        self.journal.close()
        if FOLDER in self.config.stash:  # not a worker
            finalise(self.config.stash[FOLDER])

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """A test of ours fails if it caught that its check failed."""
        if item.nodeid not in self.cells:
            return (yield)
        earlier = self._ending.get(item.nodeid)  # where another plugin runs a test again until it passes
        skipped: BaseException | None = None
        result: object = None
        with warnings.catch_warnings():
            # A comparison that is returned instead of asserted is lost.
            warnings.simplefilter("error", pytest.PytestReturnNotNoneWarning)
            try:
                result = yield
            except (pytest.skip.Exception, pytest.xfail.Exception) as error:
                skipped = error
            except pytest.PytestReturnNotNoneWarning as warning:
                said = str(warning).splitlines()[0]
                raise pytest.fail.Exception(f"{said} What is returned is lost: assert it", pytrace=False) from None
        if ended := self._ending.get(item.nodeid):
            how = "an earlier attempt of the test" if ended is earlier else "the test went on after its own call"
            pytest.fail(
                f"{how} ended as {ended.outcome}: {ended.reason}\n"
                "  let the failure end the test; declare what is known to fail as known_failure",
                pytrace=False,
            )
        if skipped is not None:
            raise skipped
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A row for an item that was skipped by a mark, or that failed before or after its own row.

        The last row of a cell counts: a check that passed in a test that fails afterwards is no pass.
        """
        cell = self.cells.get(report.nodeid)
        if cell is None:
            return
        if report.when == "call" and report.passed:
            self._passed.add(report.nodeid)
        recorded = self._recorded.get(report.nodeid)
        failed = report.outcome not in ("passed", "skipped")  # "rerun": another plugin runs a failed test again
        if failed and recorded is not None and recorded.outcome not in FAILURES:
            reason = f"the test failed after its {recorded.outcome} row: {_reason(report)}"
            self.end(dataclasses.replace(recorded, outcome="error", reason=reason, reason_code=f"in_{report.when}"))
        if recorded is None and (report.skipped or failed):
            outcome = "skipped" if report.skipped else "error"
            self.end(
                Row(
                    cell,
                    outcome,
                    _reason(report),
                    reason_code=f"in_{report.when}",
                    nodeid=report.nodeid,
                    started_at=_now(),
                )
            )


class Called:
    """What the callables of `check` and `measure` share: they must be called, else nothing was tested."""

    fixture = ""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.config = request.config
        self.node = request.node
        self.called = False

    def require_called(self) -> None:
        """Fail a test that passes without having called its fixture."""
        if not self.called and recorder_of(self.config).has_passed(self.node.nodeid):
            pytest.fail(f"the test never called {self.fixture}(), so nothing was tested", pytrace=False)


def recorder_of(config: pytest.Config) -> Recorder:
    """The recorder of this process."""
    return config.stash[RECORDER]


def start(session: pytest.Session) -> None:
    """Begin to record, if any of the collected items is ours.

    Raises:
        pytest.UsageError: Python leaves out assertions, or the results cannot be written.
    """
    config = session.config
    cells = {item.nodeid: cell for item in session.items if (cell := cell_of(item)) is not None}
    if not cells or config.option.collectonly:
        return
    if sys.flags.optimize:
        raise pytest.UsageError(
            "python -O (or PYTHONOPTIMIZE) leaves out every assert, so tests pass that should fail: run without it"
        )
    worker = getattr(config, "workerinput", None)
    if (place := isolated.place()) is not None:
        folder, name = RunFolder.open(place[0]), place[1]
    elif worker is None and settings_of(config).resume:
        folder = resuming.resumed(config, cells)
        _conclude_in(config, folder)
        resuming.deselect(session, folder, cells)
        name = resuming.journal_name(folder.journals())
    elif worker is None:
        folder, name = open_folder(config), ""
        folder.write_plan(list(cells.values()), list(cells))
    else:
        path, name = Path(worker["torchbasics_folder"]), worker["workerid"]
        # Every worker collects the same items; the first one makes the folder, if the controller has not.
        folder = _first_workers_folder(config, path, cells) if name == "gw0" else _wait_for(path)
    if FOLDER in config.stash:
        progress.show(config, cells)
        if settings_of(config).isolate:
            isolation = isolated.Isolation(config, folder, cells, config.stash[CONCLUSION], name or isolated.WORKER)
            config.pluginmanager.register(isolation, "torchbasics-isolation")
            return
    config.stash[RECORDER] = Recorder(config, folder, cells, name)
    config.pluginmanager.register(config.stash[RECORDER], "torchbasics-recorder")
    config.pluginmanager.register(leaks.LeakGuard(cells), "torchbasics-leaks")


def open_folder(config: pytest.Config) -> RunFolder:
    """The folder of this run, made when it is first asked for: under --results, else a temporary one.

    Raises:
        pytest.UsageError: it cannot be written to.
    """
    if FOLDER not in config.stash:
        _conclude_in(config, _create(config, _root(config), None))
    return config.stash[FOLDER]


def announce_folder(config: pytest.Config) -> RunFolder:
    """The folder of a run under xdist, for its controller, which does not know whether anything is ours.

    With --results it is made, and proved to be writable, before anything runs; else the first worker makes it.
    """
    if FOLDER not in config.stash and settings_of(config).results is None:
        run_id = new_run_id()
        _conclude_in(config, RunFolder(_root(config) / "runs" / run_id, run_id))
    return open_folder(config)


def _conclude_in(config: pytest.Config, folder: RunFolder) -> None:
    from .summary import Conclusion

    config.stash[FOLDER] = folder
    config.stash[CONCLUSION] = Conclusion(config)
    config.pluginmanager.register(config.stash[CONCLUSION], "torchbasics-conclusion")


def _root(config: pytest.Config) -> Path:
    """--results, or a folder that is removed at the end."""
    if (root := settings_of(config).results) is not None:
        return root
    temporary, pid = Path(tempfile.mkdtemp(prefix="torchbasics-")), os.getpid()
    # A child that a test forked ends as well, and earlier.
    config.add_cleanup(lambda: shutil.rmtree(temporary, ignore_errors=True) if os.getpid() == pid else None)
    return temporary


def _create(config: pytest.Config, root: Path, run_id: str | None) -> RunFolder:
    settings = settings_of(config)
    told = {key: str(value) for key, value in dataclasses.asdict(settings).items() if key not in PLACES}
    try:
        if settings.results_url:
            require_writable(settings.results_url)
        return RunFolder.create(
            root,
            run_id,
            argv=list(config.invocation_params.args),
            settings=told,
            leg=settings.leg,
            shard="/".join(map(str, settings.shard or ())),
        )
    except (OSError, ValueError) as error:
        raise pytest.UsageError(f"--results={root}: {error}") from None


def _first_workers_folder(config: pytest.Config, path: Path, cells: Mapping[str, Cell]) -> RunFolder:
    folder = RunFolder.open(path) if RunFolder.is_at(path) else _create(config, path.parent.parent, path.name)
    folder.write_plan(list(cells.values()), list(cells))
    return folder


def _wait_for(path: Path) -> RunFolder:
    deadline = time.monotonic() + FOLDER_PATIENCE_S
    while not RunFolder.is_at(path):
        if time.monotonic() > deadline:
            raise pytest.UsageError(f"the first worker has not made the folder of the results: {path}")
        time.sleep(0.02)
    return RunFolder.open(path)


def cell_of(item: pytest.Item) -> Cell | None:
    """The cell that an item measures; None if it is not ours."""
    names = set(getattr(item, "fixturenames", ()))
    kind = "check" if "check" in names else "measure" if "measure" in names else None
    callspec = getattr(item, "callspec", None)
    if kind is None or callspec is None or item.get_closest_marker("cases") is None:
        return None
    given: dict[str, Any] = dict(callspec.params)

    def value(axis: str, default: str = "") -> str:
        found = given.get(CARRIERS.get(axis) or STAND_IN.get(axis, axis), given.get(axis))
        return default if found is None else str(found).removeprefix("torch.")

    return Cell(
        kind="check" if kind == "check" else "timing",
        case=value("case", NO_CASE),
        check=value("check") if kind == "check" else "",
        phase=value("phase") if kind == "measure" else "",
        mode=value("mode", "eager"),
        device=value("device"),
        dtype=value("dtype"),
        threads=int(value("threads", "1")) if kind == "measure" else 0,
        sizes=value("sizes"),
    )


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    text = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).strip()
    lines = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    # pytest.fail(pytrace=False) and pytest.skip: what is wrong stands first, what to do after it.
    return lines[0] if lines else text.splitlines()[0].removeprefix("Skipped: ") if text else ""


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
