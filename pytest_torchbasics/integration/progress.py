"""Which cell is running, how far the run is, and how long it still takes: on a terminal, behind pytest's own line."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping

import pytest

from ..report.units import clock_time
from ..results.rows import Cell

#: ANSI: keep the place of the cursor, go back to it, erase from it to the end of the line.
_SAVE, _RESTORE, _ERASE = "\x1b7", "\x1b8", "\x1b[K"
#: pytest writes its percentage there.
_MARGIN = 10
#: Less room than this shows nothing.
_LEAST = 20


class Progress:
    """Writes the line of the running cell and erases it again; registered where somebody can see it."""

    def __init__(self, reporter: pytest.TerminalReporter, cells: Mapping[str, Cell]) -> None:
        self.writer = reporter._tw
        self.cells = cells
        #: By group, so that what is left is summed over a few dozen groups and not over all cells at each.
        self.left: dict[str, set[str]] = defaultdict(set)
        for nodeid, cell in cells.items():
            self.left[_group(cell)].add(nodeid)
        self.took: dict[str, float] = defaultdict(float)
        self.ended: dict[str, int] = defaultdict(int)
        self.shown = False

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Show the cell that begins."""
        cell = self.cells.get(nodeid)
        room = self.writer.fullwidth - self.writer.width_of_current_line - _MARGIN
        if cell is None or room < _LEAST:
            return
        line = self.writer.markup(self._line(cell)[: room - 2], light=True)
        self._write(f"{_SAVE} {line}{_ERASE}{_RESTORE}")
        self.shown = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Erase it before pytest writes on, and remember how long the cell took."""
        if self.shown:
            self._write(_ERASE)
            self.shown = False
        group = _group(self.cells[report.nodeid]) if report.nodeid in self.cells else None
        if group is not None:
            self.took[group] += report.duration
            if report.when == "teardown":
                self.ended[group] += 1
                self.left[group].discard(report.nodeid)

    def remaining_s(self) -> float | None:
        """Seconds for the cells that are left, if they take as long as those like them; None before one ended."""
        if not self.ended:
            return None
        mean = sum(self.took.values()) / sum(self.ended.values())
        typical = {group: self.took[group] / self.ended[group] if self.ended[group] else mean for group in self.left}
        return sum(typical[group] * len(nodeids) for group, nodeids in self.left.items())

    def _line(self, cell: Cell) -> str:
        number = len(self.cells) - sum(map(len, self.left.values())) + 1
        remaining = self.remaining_s()
        still = f", {clock_time(remaining)} left" if remaining is not None else ""
        threads = f"{cell.threads} threads" if cell.threads > 1 else ""
        mode = cell.mode if cell.mode != "eager" else ""
        words = (cell.case, cell.sizes, cell.check or cell.phase, mode, cell.device, cell.dtype, threads)
        what = " ".join(filter(None, words))
        return f"{number}/{len(self.cells)}{still}: {what}"

    def _write(self, text: str) -> None:
        # Not through the writer, which would count what is erased again as part of its line.
        self.writer._file.write(text)
        self.writer.flush()


def show(config: pytest.Config, cells: Mapping[str, Cell]) -> None:
    """Show the progress of these cells, if pytest writes to a terminal."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    moves_cursor = (
        reporter is not None and reporter.isatty and os.environ.get("TERM", "" if os.name == "nt" else "dumb") != "dumb"
    )
    if moves_cursor and config.option.verbose > -2:
        config.pluginmanager.register(Progress(reporter, cells), "torchbasics-progress")


def _group(cell: Cell) -> str:
    """Cells that take about as long as each other: a check, or the timing of a phase in a mode."""
    return " ".join((cell.kind, cell.check, cell.phase, cell.mode))
