"""From two sides to what is known of every cell: match, compare results, screen, confirm; within a budget."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..results.rows import CELL_KEYS
from ..workers import WorkerDied
from .deciding import (
    CONFIRM_BATCHES,
    CONFIRM_ROUNDS,
    FIXED,
    MORE_PAIRS,
    RANDOM,
    SCREEN_BATCHES,
    SCREEN_ROUNDS,
    Decision,
    Layouts,
    Pairs,
    decide,
    unclear,
    undecided,
)
from .equality import difference
from .worker import Side, Worker

Key = tuple[Any, ...]
SIDES = ("base", "head")
#: So much of what a budget leaves for measuring is for the first pair; the rest decides what that leaves open.
SCREEN_SHARE = 0.6


@dataclass
class Contest:
    """What is known of one cell.

    Attributes:
        key: what both sides' cells have in common.
        cells: the cell of each side that has it.
        hashes: the case hash of each.
        nodeids: the test of each.
        outcomes: of each side: `passed`, `not_applicable`, `failed`, `crashed`; absent for a side that lacks the cell.
        reasons: of what did not pass.
        different: how the results differ; empty if they do not.
        costs: of each side, by name: `peak_bytes`, `error`.
        seconds: of each side, by metric, block by block.
        logs: log ratios by metric and number of the pair of processes.
        decisions: by metric.
    """

    key: Key
    cells: dict[str, dict[str, Any]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    nodeids: dict[str, str] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    different: str = ""
    costs: dict[str, dict[str, float]] = field(default_factory=dict)
    seconds: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {side: {} for side in SIDES})
    logs: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """True if it can be timed on both sides."""
        return [self.outcomes.get(side) for side in SIDES] == ["passed", "passed"]

    def any(self, question: Callable[[Pairs, Layouts], bool], layouts: Layouts) -> bool:
        """True if a question about the pairs is answered yes for any metric, or if there is none yet."""
        return not self.logs or any(question(list(pairs.values()), layouts) for pairs in self.logs.values())

    def add(self, pair: int, taken: Mapping[str, Mapping[str, Any]]) -> None:
        """Take a block of each side, of a pair of processes."""
        for metric in taken["base"]["seconds"]:
            values = {side: float(taken[side]["seconds"].get(metric, math.nan)) for side in SIDES}
            if min(values.values()) > 0:
                for side, value in values.items():
                    self.seconds[side].setdefault(metric, []).append(value)
                logs = self.logs.setdefault(metric, {}).setdefault(pair, [])
                logs.append(math.log(values["head"] / values["base"]))


@dataclass
class Session:
    """Both sides, and how much time there is.

    Attributes:
        base, head: what is compared.
        ignore: parts of a cell that may differ between the sides: `mode`, `case`.
        budget_s: how long it may take; unlimited if None.
        cases: of a side, the one case that counts there; all if it has none.
        seed: of all orders.
        clock: seconds; another one in tests.
        start: makes a worker of a side; another one in tests.
        tell: is told what goes on, in a few words.
        cpus: processors for the workers to stay on; none where the system cannot.
    """

    base: Side
    head: Side
    ignore: tuple[str, ...] = ()
    budget_s: float | None = None
    cases: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    clock: Callable[[], float] = time.monotonic
    start: Callable[[Side], Any] = Worker
    tell: Callable[[str], None] = lambda text: None
    cpus: Sequence[int] = field(default_factory=lambda: _usable())
    contests: dict[Key, Contest] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    interrupted: bool = False
    out_of_time: bool = False

    def run(self) -> list[Contest]:
        """Compare. Ctrl-C keeps what is known by then, and sets `interrupted`.

        Raises:
            WorkerDied: a side cannot be started.
            ResultError: the sides do not understand each other.
        """
        self._chance = random.Random(self.seed)
        self._begun = self.clock()
        left: list[Contest] = []
        coming: _Pair | None = None
        try:
            for number in itertools.count():
                pair, coming = coming or _Pair(self, number), None
                with pair:
                    if self._starts_ahead(number + 1):
                        coming = _Pair(self, number + 1)
                    if number == 0:
                        self._match(pair)
                        self._compare_results(pair)
                        left = self._running()
                    self._measure(pair, left)
                left = [contest for contest in self._running() if contest.any(undecided, self.layouts)]
                if not left or number == self.layouts.pairs + MORE_PAIRS or self._spent(self._until()):
                    break
                self.tell(f"fresh pair {number + 1} for {len(left)} cells")
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            if coming is not None:
                coming.stop()
        for contest in self._running():
            for metric, pairs in contest.logs.items():
                contest.decisions[metric] = decide(list(pairs.values()), self.layouts)
        return list(self.contests.values())

    def _starts_ahead(self, number: int) -> bool:
        """True if a pair starts while the one before it works: a claim needs it, and another processor can do it."""
        return number <= self.layouts.pairs and len(self.cpus) != 1 and self.clock() < self._until()

    @property
    def layouts(self) -> Layouts:
        """How the processes of both sides lie in memory; random until they have told."""
        return FIXED if all(self.facts.get(side, {}).get("fixed") for side in SIDES) else RANDOM

    def side(self, name: str, pair: int) -> Side:
        """What to start a worker of a pair with."""
        found: Side = getattr(self, name)
        # Of two builds, fixed addresses are two layouts, and one could be the bad one for good: they are drawn anew.
        return replace(found, layout=pair) if self.base.python == self.head.python else found

    def _running(self) -> list[Contest]:
        return [contest for contest in self.contests.values() if contest.runs]

    def _until(self, share: float = 1.0) -> float:
        """When this share of what is left of the budget will be used up."""
        if self.budget_s is None:
            return math.inf
        now, end = self.clock(), self._begun + self.budget_s
        return now + share * max(0.0, end - now)

    def _spent(self, end: float) -> bool:
        """True if a time that the budget sets has come."""
        if self.clock() < end:
            return False
        self.out_of_time = True
        return True

    def _match(self, pair: _Pair) -> None:
        for side in SIDES:
            self.facts[side] = pair.workers[side].facts
            for place in pair.places[side].values():
                item = pair.workers[side].items[place]
                key = self.key(item["cell"])
                contest = self.contests.setdefault(key, Contest(key))
                contest.cells[side], contest.hashes[side] = item["cell"], str(item["case_hash"])
                contest.nodeids[side] = str(item["nodeid"])
                contest.outcomes[side] = "passed"
            twice = len(pair.chosen(side)) - len(pair.places[side])
            if twice:
                self.tell(f"{side}: {twice} cells stand there more than once, and only the last of each is compared")
        self.tell(f"{len(self._running())} cells on both sides of {len(self.contests)}")
        for contest in self._running():
            for side in SIDES:
                pair.ask(contest, side, "ready")

    def key(self, cell: dict[str, Any]) -> Key:
        """What a cell is matched by."""
        return tuple(cell[name] for name in CELL_KEYS if name not in (*self.ignore, "process"))

    def _compare_results(self, pair: _Pair) -> None:
        with tempfile.TemporaryDirectory(prefix="torchbasics-ab-") as folder:
            for number, contest in enumerate(self._running()):
                if self._spent(self._until()):
                    return
                files = {side: Path(folder) / f"{number}-{side}.npz" for side in SIDES}
                answers = {side: pair.ask(contest, side, "results", into=str(files[side])) for side in SIDES}
                if contest.runs:
                    contest.different = difference(files["base"], files["head"], str(contest.cells["base"]["dtype"]))
                for side in SIDES:
                    told = pair.ask(contest, side, "costs") if contest.runs else {}
                    told = {**told, "error": answers[side].get("error")}
                    contest.costs[side] = {
                        name: float(told[name]) for name in ("peak_bytes", "error") if told.get(name) is not None
                    }
                for path in files.values():
                    path.unlink(missing_ok=True)

    def _measure(self, pair: _Pair, contests: Sequence[Contest]) -> None:
        """Batches of rounds, until no more of them would tell more of this pair.

        In each round a block of each side in turn, of all cells, in a new order.
        """
        if pair.number == 0:
            rounds, batches, share = SCREEN_ROUNDS, SCREEN_BATCHES, SCREEN_SHARE
        else:
            rounds, batches = CONFIRM_ROUNDS, CONFIRM_BATCHES
            share = 1 / max(1, self.layouts.pairs + 1 - pair.number)
        end = self._until(share)
        for batch in range(batches):
            left = [c for c in contests if c.runs and (batch == 0 or c.any(unclear, self.layouts))]
            for number in range(rounds if left else 0):
                if self._spent(end):
                    return
                self.tell(f"round {batch * rounds + number + 1} of at most {batches * rounds}")
                for contest in self._chance.sample(left, len(left)):
                    taken = {side: pair.ask(contest, side, "block") for side in self._chance.sample(SIDES, 2)}
                    if contest.runs:
                        contest.add(pair.number, taken)


def _usable() -> list[int]:
    return sorted(os.sched_getaffinity(0), reverse=True) if hasattr(os, "sched_getaffinity") else []


class _Pair:
    """A worker of each side, which start side by side: it imports torch and collects for seconds.

    One that dies is started again, and the cell that it died of is left out.
    """

    def __init__(self, session: Session, number: int) -> None:
        self.session, self.number = session, number
        # Both sides on one processor, each pair on another one.
        self.cpu = session.cpus[number % len(session.cpus)] if session.cpus else None
        self.workers: dict[str, Any] = {}
        self.places: dict[str, dict[Key, int]] = {}
        self.ready: dict[str, set[Key]] = {}
        try:
            for side in SIDES:
                self.workers[side] = session.start(session.side(side, number))
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> _Pair:
        try:
            for side, worker in self.workers.items():
                self._take_on(side, worker)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End both, also if they are still starting; a second Ctrl-C ends them too."""
        with contextlib.ExitStack() as stack:
            for worker in self.workers.values():
                stack.callback(worker.stop)

    def ask(self, contest: Contest, side: str, what: str, **more: Any) -> dict[str, Any]:
        """Ask a side about a cell; what keeps it from answering is noted, and the answer is empty."""
        if contest.outcomes.get(side) != "passed":
            return {}
        try:
            if contest.key not in self.ready[side] and what != "ready":
                self.ask(contest, side, "ready")
                if contest.outcomes[side] != "passed":
                    return {}
            question = {"do": what, "item": self.places[side][contest.key], **more}
            if what in ("ready", "results"):  # inputs and weights of both sides are those of the baseline's case
                question["seed_of"] = contest.cells["base"]["case"]
            found: dict[str, Any] = self.workers[side].ask(question)
        except KeyError:
            contest.outcomes[side], contest.reasons[side] = "failed", "a fresh process did not collect it"
            return {}
        except WorkerDied as error:
            what, *printed = str(error).splitlines()
            contest.outcomes[side], contest.reasons[side] = "crashed", what
            for line in (what, *printed):
                self.session.tell(line)
            self.workers[side].stop()
            self._take_on(side, self.session.start(self.session.side(side, self.number)))
            return {}
        if "not_applicable" in found:
            contest.outcomes[side], contest.reasons[side] = "not_applicable", found["not_applicable"]
        elif ("error" in found and what != "results") or (what == "results" and isinstance(found.get("error"), str)):
            contest.outcomes[side], contest.reasons[side] = "failed", found["error"]
        elif what == "ready":
            self.ready[side].add(contest.key)
        return found

    def _take_on(self, side: str, worker: Any) -> None:
        self.workers[side] = worker
        worker.connect()
        if self.cpu is not None:
            worker.ask({"do": "pin", "cpu": self.cpu})
        self.places[side] = {self.session.key(worker.items[place]["cell"]): place for place in self.chosen(side)}
        self.ready[side] = set()

    def chosen(self, side: str) -> list[int]:
        """The places of the items that count of a side."""
        case = self.session.cases.get(side)
        items = enumerate(self.workers[side].items)
        return [place for place, item in items if case is None or item["cell"]["case"] == case]
