"""The end of a run: final files, the verdict of the plan, and the table in the terminal."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..results.journal import HeldJournal
from ..results.rows import NO_CASE
from .recording import FAILURES, FOLDER, RECORDER, RESCUED
from .settings import settings_of

if TYPE_CHECKING:
    import pandas as pd

#: Outcomes that measured something.
MEASURED = ("passed", "failed", "error", "xfailed", "xpassed", "timeout", "crashed")
#: pytest's exit status when the results could not be written as they should.
RESULTS_LOST = 3


def _end_at_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def exit_status(told: int, status: str, *, rescued: str, bad: int, resume: bool, measured: bool) -> tuple[int, str]:
    """The exit status that a run comes to, and why it is another one than pytest's.

    Args:
        told: pytest's own.
        status: of the run.
        rescued: where rows are that the journal did not take.
        bad: how many cells ended badly.
        resume: the run was gone on with.
        measured: a cell measured something, or none had to.
    """
    if rescued:
        return RESULTS_LOST, f"the folder of the run lacks rows, which are kept in {rescued}"
    if told not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return told, ""
    if status != "complete":
        return pytest.ExitCode.TESTS_FAILED, f"the run is {status}: not every planned cell ended"
    if bad:
        why = (
            "had failed before the run was gone on with"
            if resume
            else "ended badly, which pytest does not report as a failure (an xfail mark, or a plugin that changes "
            "reports): declare what is known to fail as known_failure"
        )
        return pytest.ExitCode.TESTS_FAILED, f"{bad} {'cell' if bad == 1 else 'cells'} {why}"
    if resume:
        return pytest.ExitCode.OK, ""  # also if nothing was left to run
    if not measured:
        return pytest.ExitCode.NO_TESTS_COLLECTED, "nothing was measured: every cell was skipped or did not apply"
    return told, ""


class Conclusion:
    """Writes the final files and the summary; registered as a plugin in the main process of a run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.frame: pd.DataFrame | None = None
        self.lines: list[str] = []
        self._pid = os.getpid()
        # A CI that cancels a job sends SIGTERM and waits: the run ends as on Ctrl-C.
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _interrupt)
            config.add_cleanup(_end_at_sigterm)
        self._rescued: list[Path] = []
        self._held: dict[str, HeldJournal] = {}

    def hold(self, worker: str) -> None:
        """Hold the journal of another process, which may end before the folder is deleted; once is enough."""
        if worker in self._held:
            return
        with contextlib.suppress(OSError):  # nothing of its is ours, or too many files are open: the run goes on
            self._held[worker] = HeldJournal(self.config.stash[FOLDER].journal_path(worker))

    def learn(self, worker: str, rescued: str) -> None:
        """Learn where the rows went that a process could not write to its journal."""
        if Path(rescued) not in self._rescued:
            self._rescued.append(Path(rescued))
        if worker in self._held:
            self._held.pop(worker).close()  # it has brought along what was deleted

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any) -> None:
        """Hold the journal of an xdist worker."""
        self.hold(node.gateway.id)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Learn from an xdist worker that ends."""
        if rescued := getattr(node, "workeroutput", {}).get(RESCUED):
            self.learn(node.gateway.id, rescued)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Finish the run's files, and turn the run red if it is not what was planned."""
        from ..results.errors import ResultError
        from ..results.load import load
        from ..results.remote import publish
        from ..results.store import finalise

        if os.getpid() != self._pid:
            return  # a child that a test forked has come to the end as well
        folder = self.config.stash[FOLDER]
        recorder = self.config.stash.get(RECORDER, None)
        if recorder is not None:
            recorder.journal.close()
            self._rescued += [recorder.journal.rescued] if recorder.journal.rescued else []
        self._rescue(session)
        if not folder.is_at(folder.path):
            self._folder_is_gone(session, folder.path)
            return
        if not folder.has_rows():
            folder.discard()
            return
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        try:
            status = finalise(folder, "interrupted" if interrupted else None, self._rescued)
            self.frame = load(folder.path)
            self._write_reports()
            if url := settings_of(self.config).results_url:
                publish(folder, url)
        except (OSError, ResultError) as error:
            self.lines.append(f"the results could not be finished: {error}")
            session.exitstatus = RESULTS_LOST
            return
        session.exitstatus, why = exit_status(
            session.exitstatus,
            status,
            rescued=self._where_else(),
            bad=self._ended_badly(),
            resume=bool(settings_of(self.config).resume),
            measured=self._measured_something(),
        )
        self.lines += [why] if why else []

    def _rescue(self, session: pytest.Session) -> None:
        """Keep what is held of journals that were deleted."""
        for held in self._held.values():
            try:
                self._rescued += filter(None, [held.rescue()])
            except OSError as error:
                self.lines.append(f"{held.path} was deleted, and its rows are lost: {error}")
                session.exitstatus = RESULTS_LOST

    def _folder_is_gone(self, session: pytest.Session, path: Path) -> None:
        """Say so; under xdist a run that keeps no results and in which nothing was ours has made no folder."""
        if not self._kept() and not self._rescued:
            return
        kept = f"the rows are kept in {self._where_else()}" if self._rescued else "its rows are where it was moved to"
        if self.lines and not self._rescued:  # it was deleted, and nothing could be kept: that is told
            return
        self.lines.append(f"the folder of the results is gone: {path}; {kept}")
        session.exitstatus = RESULTS_LOST

    def _where_else(self) -> str:
        return ", ".join(map(str, self._rescued))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        if self.frame is None and not self.lines:
            return
        terminalreporter.section("torchbasics", sep="=")
        if self.frame is not None:
            from ..report import terminal
            from ..report.summary import run_summary

            width, color = terminalreporter._tw.fullwidth, terminalreporter._tw.hasmarkup
            terminalreporter.write(terminal.render(run_summary(self.frame), width, color))
            for line in self._where():
                terminalreporter.write_line(line)
        for line in self.lines:
            terminalreporter.write_line(f"torchbasics: {line}", red=True)

    def _ended_badly(self) -> int:
        """How many cells ended badly."""
        return 0 if self.frame is None else int(self.frame["outcome"].isin(FAILURES).sum())

    def _measured_something(self) -> bool:
        if self.frame is not None and settings_of(self.config).shard and (self.frame["case"] == NO_CASE).all():
            return True  # the other shards have the cases
        if self.frame is None or self.config.getoption("benchmark_disable", False):
            return True  # with --benchmark-disable the code only has to run
        return bool(self.frame["outcome"].isin(MEASURED).any())

    def _kept(self) -> bool:
        return settings_of(self.config).results is not None

    def _write_reports(self) -> None:
        if not self._kept() or self.frame is None:
            return
        from ..report import html, markdown
        from ..report.summary import run_summary

        folder = self.config.stash[FOLDER].path
        page = html.render(run_summary(self.frame, details=True))
        (folder / "report.html").write_text(page, encoding="utf-8")
        (folder / "report.md").write_text(markdown.render(run_summary(self.frame)), encoding="utf-8")

    def _where(self) -> list[str]:
        folder = self.config.stash[FOLDER].path
        if not self._kept():
            return ["no files were kept: give --results=DIR"]
        return [
            f"results: {folder}",
            f"report:  {folder / 'report.html'}",
            f"again:   torchbasics show {shlex.quote(str(folder))}",
        ]
