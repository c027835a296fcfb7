"""The `measure` fixture's callable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ..backends import backend_for
from ..cases import Case, Declared
from ..modes import parse_mode
from ..results.rows import Cell, MetricValue, Row
from . import isolation, markers
from .benchmark import ReplayClock, mark_failed, replay
from .items import HASHES
from .recording import Called, Record, recorder_of
from .settings import settings_of

if TYPE_CHECKING:
    from ..timing import Measurement, Workload
    from ..trials import Trial


class Measurer(Called):
    """Times one phase, records its row, and hands the times to pytest-benchmark."""

    fixture = "measure"

    def __init__(
        self,
        request: pytest.FixtureRequest,
        case: Case,
        device: str,
        dtype: str,
        mode: str,
        phase: str,
        sizes: str,
        threads: int,
        benchmark: Any,
        clock: ReplayClock | None,
    ) -> None:
        super().__init__(request)
        from ..numerics.dtypes import dtype_name

        self.case = case
        self.cell = Cell("timing", case.name, "", phase, mode, device, dtype_name(dtype), threads, sizes=sizes)
        self.benchmark = benchmark
        self.clock = clock

    def __call__(self) -> Measurement | None:
        """Time the phase.

        Returns:
            The measurement; None where timing is switched off (--benchmark-disable) and the phase only ran once.
        """
        __tracebackhide__ = True
        from ..trials import Trial

        trial = Trial(self.case, self.cell.device, self.cell.dtype, self.cell.mode)
        with recorder_of(self.config).recording(self.cell, self.node.nodeid) as record:
            self.called = True
            try:
                self._refuse_to_disturb()
                if declared := self._declared():
                    record(self._row(declared[0], declared[1].reason))
                    pytest.skip(f"{declared[0]}: {declared[1].reason}")
                return self._measure(trial, record)
            except BaseException as error:
                mark_failed(self.benchmark, error)
                raise

    def _measure(self, trial: Trial, record: Record) -> Measurement | None:
        __tracebackhide__ = True
        if reason := backend_for(trial.device).supports(trial.torch_dtype):
            record(self._row("unsupported", reason))
            pytest.skip(f"unsupported: {reason}")
        from ..timing import DoesNotApply

        try:
            measurement = self._measured(trial)
        except DoesNotApply as reason:
            if isolation.is_child():
                isolation.answer(None, str(reason))
            record(self._row("not_applicable", str(reason)))
            pytest.skip(f"does not apply: {reason}")
        if isolation.is_child():
            isolation.answer(measurement)
        if measurement is None:
            record(self._row("skipped", "timing is switched off; the phase ran once"))
            return None
        record(self._row("passed", "", measurement))
        if self.clock is not None:
            info = {key: str(value) for key, value in vars(self.cell).items()}
            replay(self.benchmark, self.clock, [ns * 1e-9 for ns in measurement.samples_ns], info)
        return measurement

    def _measured(self, trial: Trial) -> Measurement | None:
        """Time the phase, here or in a process of its own; None where timing is switched off and it ran once."""
        from ..timing import measure, run_once
        from ..timing.peaks import peaks_for
        from ..timing.workloads import workload

        enabled = getattr(self.benchmark, "enabled", True)
        mode = parse_mode(self.cell.mode)
        if mode.any("isolated") and not isolation.is_child() and not mode.why_not(trial.device, trial.dtype):
            found = isolation.measure_apart(self.node, self.cell, enabled)
            if not enabled:
                self.benchmark(lambda: None)  # it warns of a fixture that nobody used
            return found
        work: Workload = workload(trial, self.cell.sizes)
        if not enabled or self.clock is None:
            self.benchmark(lambda: run_once(work, self.cell.phase, self.cell.device, seed=trial.seed))
        if not enabled:
            return None
        return measure(
            work,
            self.cell.phase,
            self.cell.device,
            threads=self.cell.threads,
            quality=settings_of(self.config).quality,
            seed=trial.seed,
            peaks=peaks_for(trial, self.cell.threads),
            cold=settings_of(self.config).cold_cache,
        )

    def _declared(self) -> tuple[str, Declared] | None:
        """A skip or a lack of support that is declared for this device and dtype."""
        kinds = {
            "skipped": self.case.skip,
            "unsupported": [*self.case.unsupported, *markers.read_all(self.node, "unsupported")],
        }
        return next(
            (
                (outcome, declared)
                for outcome, found in kinds.items()
                for declared in found
                if declared.covers(None, self.cell.device, self.cell.dtype)
            ),
            None,
        )

    def _refuse_to_disturb(self) -> None:
        """Fail where times would mean nothing, unless timing was switched off on purpose."""
        __tracebackhide__ = True
        if self.config.getoption("benchmark_disable", False):
            return
        if hasattr(self.config, "workerinput") or not getattr(self.benchmark, "enabled", True):
            pytest.fail(
                "timing beside other xdist workers measures their load: time with -n 0, and run the checks in "
                "parallel with --benchmark-skip",
                pytrace=False,
            )

    def _row(self, outcome: str, reason: str, measurement: Measurement | None = None) -> Row:
        hashes = self.config.stash.get(HASHES, {})
        return Row(
            self.cell,
            outcome,
            reason=reason,
            nodeid=self.node.nodeid,
            case_hash=hashes.get((self.case.name, id(self.case)), ""),
            timer=measurement.timer if measurement else "",
            flags=measurement.flags if measurement else (),
            metrics=tuple(MetricValue(**vars(m)) for m in measurement.metrics) if measurement else (),
            samples_ns=measurement.samples_ns if measurement else (),
        )
