"""The `check` fixture's callable."""

from __future__ import annotations

import dataclasses
import shlex

import pytest

from ..cases import Case
from ..checks import Outcome, Status
from ..results.rows import Cell, MetricValue, Row
from . import markers
from .items import HASHES
from .options import PREFIX
from .recording import Called, recorder_of


class Checker(Called):
    """Runs one check, records its row, and turns its outcome into pytest's."""

    fixture = "check"

    def __init__(
        self, request: pytest.FixtureRequest, case: Case, device: str, dtype: str, mode: str, name: str
    ) -> None:
        super().__init__(request)
        from ..numerics.dtypes import dtype_name

        self.case = case
        self.name = name
        self.cell = Cell("check", case.name, name, "", mode, device, dtype_name(dtype), 0)

    def __call__(self) -> Outcome:
        """Run the check.

        Returns:
            The outcome, if the check passed; every other one ends the test.
        """
        __tracebackhide__ = True
        from ..checks.running import run_check
        from ..trials import Trial

        case = self.case
        if tolerance := markers.read(self.node, "tolerance"):
            case = dataclasses.replace(case, tolerance=tolerance)
        trial = Trial(case, self.cell.device, self.cell.dtype, self.cell.mode)
        with recorder_of(self.config).recording(self.cell, self.node.nodeid) as record:
            self.called = True
            outcome = run_check(
                trial,
                self.name,
                known_failure=markers.read_all(self.node, "known_failure"),
                unsupported=markers.read_all(self.node, "unsupported"),
            )
            record(self._row(outcome))
        return self._conclude(outcome)

    def _row(self, outcome: Outcome) -> Row:
        metrics = [
            MetricValue(name, unit, "lower", value)
            for name, unit, value in (("error", "", outcome.error), ("bound_share", "", outcome.share))
            if value is not None
        ]
        hashes = self.config.stash.get(HASHES, {})
        return Row(
            self.cell,
            outcome.status.value,
            reason=outcome.message,
            nodeid=self.node.nodeid,
            case_hash=hashes.get((self.case.name, id(self.case)), ""),
            metrics=tuple(metrics),
        )

    def _command(self) -> str:
        """Runs this item alone, whatever is selected by default; the long names are ours in every project."""
        cell = self.cell
        chosen = {"device": cell.device, "dtype": cell.dtype, "mode": cell.mode}
        return shlex.join(
            ["pytest", self.node.nodeid, *(f"--{PREFIX}-{name}={value}" for name, value in chosen.items())]
        )

    def _conclude(self, outcome: Outcome) -> Outcome:
        __tracebackhide__ = True
        status = outcome.status
        if status is Status.ERROR and outcome.exception is not None:
            raise outcome.exception
        if status in (Status.FAILED, Status.XPASSED):
            where = f"{self.case.name} on {self.cell.device} in {self.cell.dtype}"
            pytest.fail(f"{where}: {outcome}\n  reproduce: {self._command()}", pytrace=False)
        if status is Status.XFAILED:
            pytest.xfail(outcome.message)
        if status is Status.NOT_APPLICABLE:
            pytest.skip(f"does not apply: {outcome.message}")
        if status in (Status.SKIPPED, Status.UNSUPPORTED):
            pytest.skip(f"{status.value}: {outcome.message}")
        return outcome
