"""Watching what is global: over a block, and over a test with its fixtures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

from ..backends import backends
from ..backends.registry import torch_backend
from . import generators, left_over, of_process, of_torch
from .probe import Change, Probe, State, changed, differ, merged, read, undo

#: The whole table, in the order in which changes are put back: generators last, when nothing draws any more.
PROBES: tuple[Probe, ...] = (
    *of_torch.PROBES,
    *of_torch.COMPILE_PROBES,
    *of_process.PROBES,
    *left_over.PROBES,
    *generators.PROBES,
)

#: What a layer has no business with, torch's random generator among it.
OF_A_LAYER = (*of_torch.PROBES, of_process.DIRECTORY, dataclasses.replace(generators.TORCH, silent=False))


@contextmanager
def put_back() -> Iterator[list[str]]:
    """A context that puts back what a layer changes in its block, and tells it.

    Yields:
        A list that holds, after the block, a phrase for every change: "the default dtype (torch.float64, before
        torch.float32)".
    """
    changes: list[str] = []
    before = read(OF_A_LAYER)
    try:
        yield changes
    finally:
        changes += [change.what for change in undo(before, read(OF_A_LAYER))]


class Watch:
    """What is global, from the start of a test to its end."""

    def __init__(self) -> None:
        self._backends = [*backends().values(), *filter(None, [torch_backend()])]
        self._lasting: State = {}
        #: What the test, and the fixtures that are being set up in it, began with.
        self.begun: list[State] = []

    def start(self) -> None:
        """A test begins."""
        known = self._lasting
        self.begun = [{probe: known[probe] if probe in known else probe.value() for probe in self._probes()}]

    def end(self) -> list[Change]:
        """The test is over: what it has changed, which is put back where it can be."""
        (before,) = self.begun
        after = read(self._probes(), before)
        self.begun = []
        changes = undo(before, after)
        self._lasting = {p: before[p] if p.silent and p in before else v for p, v in after.items() if p.lasting}
        if changes:
            self.forget()
        return changes

    def forget(self) -> None:
        """Somebody else was at work: the next test reads everything anew."""
        self._lasting = {}

    def read(self) -> State:
        """The values of the whole table now."""
        return read(self._probes())

    def allow(self, before: State, after: State) -> None:
        """Blame nobody for this change."""
        for probe in changed(before, after):
            for begun in self.begun:
                if probe in begun:
                    begun[probe] = merged(begun[probe], before[probe], after[probe])

    def _probes(self) -> list[Probe]:
        devices = ((backend, device) for backend in self._backends for device in backend.in_use())
        return [*PROBES, *(probe for where in devices for probe in left_over.device_probes(*where))]


class WideFixture:
    """A fixture of a wider scope than a test: what it changes is meant for several tests, until it ends."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._before: State = watch.read()
        self._after: State = {}
        self._ending: State = {}
        watch.begun.append(self._before)  # what a fixture changes that this one asks for is not its doing

    def is_set_up(self) -> None:
        """It is ready for the tests."""
        self._watch.begun = [state for state in self._watch.begun if state is not self._before]
        self._after = self._watch.read()
        self._watch.allow(self._before, self._after)

    def ends(self) -> None:
        """It is about to be torn down."""
        self._ending = self._watch.read()

    def has_ended(self) -> None:
        """It was torn down."""
        self._watch.allow(self._ending, self._watch.read())

    def left(self) -> list[Change]:
        """What it changed and did not touch when it was torn down, which is put back where it can be."""
        now = self._watch.read()
        left = [
            probe
            for probe in changed(self._before, self._after)
            if not probe.silent and probe in now and not differ(self._ending.get(probe), now[probe])
        ]
        changes = undo({probe: merged(now[probe], self._after[probe], self._before[probe]) for probe in left}, now)
        self._watch.allow(now, self._watch.read())
        return changes
