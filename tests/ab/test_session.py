"""Sessions with simulated workers: what is matched, decided, named, and kept when something goes wrong."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_torchbasics.ab.deciding import FIXED, RANDOM
from pytest_torchbasics.ab.keeping import keep
from pytest_torchbasics.ab.session import Contest, Session
from pytest_torchbasics.ab.table import table
from pytest_torchbasics.ab.worker import Side
from pytest_torchbasics.results.load import load
from pytest_torchbasics.workers import WorkerDied
from tests.results.making import RECORD, timing_cell

SIDE = {name: Side(name, f"the {name}", "python", Path("."), ()) for name in ("base", "head")}


class Fake:
    """A worker whose cells take what they are told to, with noise."""

    def __init__(self, side: Side, world: World) -> None:
        self.side, self.world, self.connected, self.stopped, self.impatient = side, world, False, False, False
        cells = [vars(timing_cell(case)) for case in world.cases[side.name]]
        self.items = [
            {
                "cell": cell,
                "case_hash": world.hashes.get((side.name, cell["case"]), "h"),
                "nodeid": f"t[{cell['case']}]",
            }
            for cell in cells
        ]
        self.facts = {"environment": RECORD, "torch": "2.14", "items": self.items, "fixed": world.fixed}

    def connect(self) -> None:
        self.connected = True

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.connected
        if question["do"] == "pin":
            return {}
        case = self.items[question["item"]]["cell"]["case"]
        self.world.seeds.add(question.get("seed_of"))
        self.world.asked.append((self.side.name, case, question["do"]))
        if answer := self.world.answers.get((self.side.name, case, question["do"])):
            return answer()
        if question["do"] == "block":
            self.world.now += 0.003
            slower = self.world.slower.get(case, 1.0) if self.side.name == "head" else 1.0
            return {"seconds": {"median": 1e-3 * slower * self.world.chance.gauss(1, 0.01)}}
        if question["do"] == "results":
            np.savez(question["into"], output=np.full(3, self.world.results.get((self.side.name, case), 1.0)))
            return {"error": None}
        return {"peak_bytes": 100} if question["do"] == "costs" else {}

    def stop(self) -> None:
        self.stopped = True
        if self.impatient:
            raise KeyboardInterrupt


class World:
    """What both sides have, and how fast it is."""

    def __init__(self, *cases: str) -> None:
        self.cases: dict[str, list[str]] = {"base": list(cases), "head": list(cases)}
        self.hashes: dict[tuple[str, str], str] = {}
        self.slower: dict[str, float] = {}
        self.results: dict[tuple[str, str], float] = {}
        self.answers: dict[tuple[str, str, str], Callable[[], dict[str, Any]]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.seeds: set[str | None] = set()
        self.workers: list[Fake] = []
        self.chance = random.Random(1)
        self.now = 0.0
        self.fixed = True

    def start(self, side: Side) -> Fake:
        self.workers.append(Fake(side, self))
        return self.workers[-1]

    def session(self, **more: Any) -> Session:
        return Session(SIDE["base"], SIDE["head"], start=self.start, clock=lambda: self.now, cpus=[], **more)


def verdicts(contests: list[Contest]) -> dict[str, str]:
    found = table(contests)
    return {str(row["case"]): str(row["verdict"]) for row in found.to_dict("records") if row["metric"] == "median_s"}


def test_what_is_slower_is_found_and_the_rest_is_the_same() -> None:
    world = World(*"abcdef")
    world.slower = {"c": 1.1, "e": 0.8}
    assert verdicts(world.session().run()) == dict.fromkeys("abdf", "unchanged") | {"c": "slower", "e": "faster"}
    assert all(worker.stopped for worker in world.workers)


@pytest.mark.parametrize(("fixed", "pairs"), [(True, FIXED.pairs), (False, RANDOM.pairs)])
def test_only_what_is_not_clear_is_measured_again(fixed: bool, pairs: int) -> None:
    world = World(*"abcdef")
    world.fixed = fixed
    world.slower = {"c": 1.3}
    world.session().run()
    blocks = [case for side, case, what in world.asked if what == "block"]
    assert blocks.count("c") == 2 * (8 + pairs * 8)
    least = min(blocks.count(case) for case in "abdef")
    assert least in (2 * 8, 2 * 16) if fixed else least >= 2 * (8 + pairs * 8)


def test_both_sides_of_a_pair_have_one_layout_and_each_pair_another() -> None:
    world = World("a")
    world.slower = {"a": 1.3}
    world.session().run()
    assert [worker.side.layout for worker in world.workers] == [
        number for number in range(FIXED.pairs + 1) for _ in ("base", "head")
    ]


def test_two_builds_get_no_fixed_layout_which_could_be_bad_for_one_of_them_for_good() -> None:
    world = World("a")
    session = world.session()
    session.head = dataclasses.replace(session.head, python="another")
    session.run()
    assert {worker.side.layout for worker in world.workers} == {None}


def test_blocks_take_turns_in_a_new_order_each_round() -> None:
    world = World("a", "b", "c")
    world.session().run()
    blocks = [(side, case) for side, case, what in world.asked if what == "block"][: 8 * 6]
    pairs = [tuple(blocks[place : place + 2]) for place in range(0, len(blocks), 2)]
    assert all(
        {side for side, _ in pair} == {"base", "head"} and len({case for _, case in pair}) == 1 for pair in pairs
    )
    rounds = [tuple(pairs[place : place + 3]) for place in range(0, len(pairs), 3)]
    assert len(set(rounds)) > 4


def test_cells_of_one_side_are_named_and_never_dropped() -> None:
    world = World("a")
    world.cases["base"].append("gone")
    world.cases["head"].append("new")
    assert verdicts(world.session().run()) == {"a": "unchanged", "gone": "missing", "new": "added"}


def test_different_results_are_as_loud_as_a_slowdown() -> None:
    world = World("a", "b")
    world.results[("head", "b")] = 1.5
    found = table(world.session().run())
    (row,) = found[found["verdict"] == "different results"].to_dict("records")
    assert row["case"] == "b"
    assert "output: 3 of 3 values differ, by up to 0.5 of the largest" in row["reason"]


def test_a_case_that_changed_is_compared_and_named() -> None:
    world = World("a")
    world.hashes[("head", "a")] = "other"
    (row,) = (row for row in table(world.session().run()).to_dict("records") if row["metric"] == "median_s")
    assert row["verdict"] == "unchanged"
    assert row["reason"] == "the case was changed (its hash differs)"


def test_a_worker_that_dies_is_started_again_and_its_case_is_crashed() -> None:
    world = World("a", "b", "c")

    def die() -> dict[str, Any]:
        raise WorkerDied("the head: the process ended with -11\n  Segmentation fault", -11)

    world.answers[("head", "b", "block")] = die
    told: list[str] = []
    contests = world.session(tell=told.append).run()
    assert verdicts(contests) == {"a": "unchanged", "b": "new failure", "c": "unchanged"}
    assert contests[1].reasons == {"head": "the head: the process ended with -11"}
    assert "  Segmentation fault" in told
    assert contests[1].outcomes["head"] == "crashed"
    assert [what for side, case, what in world.asked if (side, case) == ("head", "b")].count("block") == 1
    heads = [worker for worker in world.workers if worker.side.name == "head"]
    assert [worker.stopped for worker in heads] == [True] * len(heads)
    assert len(heads) >= 2


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [({"error": "RuntimeError: no"}, "new failure"), ({"not_applicable": "no gradient"}, "missing")],
)
def test_what_does_not_run_on_one_side_is_told(answer: dict[str, Any], verdict: str) -> None:
    world = World("a", "b")
    world.answers[("head", "b", "ready")] = lambda: answer
    assert verdicts(world.session().run()) == {"a": "unchanged", "b": verdict}


def test_a_budget_ends_it_and_says_what_is_open() -> None:
    world = World(*"abcdefgh")
    session = world.session(budget_s=0.1)
    found = verdicts(session.run())
    assert session.out_of_time
    assert set(found) == set("abcdefgh")
    assert world.now < 0.3


def test_a_budget_that_comparing_results_uses_up_leaves_the_rest_undecided() -> None:
    world = World(*"abc")

    def slow() -> dict[str, Any]:
        world.now += 2.0
        return {}

    world.answers[("head", "a", "costs")] = slow
    session = world.session(budget_s=1.0)
    contests = session.run()
    assert session.out_of_time
    assert {contest.cells["base"]["case"]: set(contest.costs) for contest in contests} == {
        "a": {"base", "head"},
        "b": set(),
        "c": set(),
    }
    assert set(table(contests).query("metric == 'median_s'")["verdict"]) == {"inconclusive"}


def test_a_budget_that_starting_has_nearly_used_up_leaves_some_for_measuring() -> None:
    world = World(*"ab")

    def slow() -> dict[str, Any]:
        world.now += 0.7
        return {}

    world.answers[("base", "a", "ready")] = slow
    session = world.session(budget_s=1.0)
    assert verdicts(session.run()) == {"a": "unchanged", "b": "unchanged"}


def test_a_cell_that_stands_there_twice_is_told() -> None:
    world = World("a", "b", "a")
    told: list[str] = []
    assert verdicts(world.session(tell=told.append).run()) == {"a": "unchanged", "b": "unchanged"}
    assert told[0] == "base: 1 cells stand there more than once, and only the last of each is compared"


def test_ctrl_c_keeps_what_is_known() -> None:
    world = World("a", "b")
    count = 0

    def stop() -> dict[str, Any]:
        nonlocal count
        count += 1
        if count > 5:
            raise KeyboardInterrupt
        return {"seconds": {"median": 1e-3}}

    world.answers[("base", "a", "block")] = stop
    session = world.session()
    contests = session.run()
    assert session.interrupted
    assert len(contests) == 2
    assert all(worker.stopped for worker in world.workers)


def test_a_second_ctrl_c_while_a_worker_ends_leaves_none() -> None:
    world = World("a")

    def interrupt() -> dict[str, Any]:
        for worker in world.workers:
            worker.impatient = True
        raise KeyboardInterrupt

    world.answers[("base", "a", "block")] = interrupt
    with pytest.raises(KeyboardInterrupt):  # of the pair that was starting
        world.session().run()
    assert len(world.workers) == 4
    assert all(worker.stopped for worker in world.workers)


@pytest.mark.parametrize("number", [0, 1])
def test_a_side_that_cannot_be_started_leaves_no_worker_of_the_other(number: int) -> None:
    world = World("a")

    def start(side: Side) -> Fake:
        if side.name == "head" and side.layout == number:
            raise WorkerDied("the head: it cannot be started")
        return world.start(side)

    session = world.session()
    session.start = start
    with pytest.raises(WorkerDied, match="cannot be started"):
        session.run()
    assert len(world.workers) == 1 + 2 * number
    assert all(worker.stopped for worker in world.workers)


def test_one_case_can_be_compared_with_another() -> None:
    world = World("naive", "flash", "other")
    world.slower = {"flash": 0.5}
    contests = world.session(ignore=("case",), cases={"base": "naive", "head": "flash"}).run()
    assert verdicts(contests) == {"flash": "faster"}
    assert world.seeds == {"naive", None}


def test_both_sides_are_kept_as_runs(tmp_path: Path) -> None:
    world = World("a", "b")
    world.slower = {"b": 1.5}
    world.cases["head"].append("new")
    session = world.session()
    folders = keep(session, session.run(), tmp_path)
    frame = load(tmp_path).set_index(["run_id", "case"])
    base, head = (folder.run_id for folder in folders)
    assert frame.loc[(head, "b"), "median_s"] / frame.loc[(base, "b"), "median_s"] == pytest.approx(1.5, rel=0.05)
    assert frame.loc[(head, "new"), "outcome"] == "not_run"
    assert folders[0].read()["ab"]["against"] == head


def test_the_next_pair_starts_while_one_is_measured_and_ends_unused_if_nothing_is_left() -> None:
    world = World("a")
    world.slower = {"a": 1.3}
    running: list[int] = []
    world.answers = dict.fromkeys([("base", "a", "block")], lambda: note(world, running))
    world.session().run()
    assert set(running[:8]) == {4}, "the next pair was not started"
    assert set(running[-8:]) == {2}, "a pair was started that no claim needs"
    quiet = World("a")
    quiet.session().run()
    assert all(worker.stopped for worker in quiet.workers)
    assert [worker.connected for worker in quiet.workers][-2:] == [False, False]


def note(world: World, running: list[int]) -> dict[str, Any]:
    running.append(sum(not worker.stopped for worker in world.workers))
    return {"seconds": {"median": 1e-3 * world.chance.gauss(1, 0.01)}}


def test_on_one_processor_no_pair_starts_while_another_is_measured() -> None:
    world = World("a")
    world.slower = {"a": 1.3}
    running: list[int] = []
    world.answers = dict.fromkeys([("base", "a", "block")], lambda: note(world, running))
    session = world.session()
    session.cpus = [0]
    session.run()
    assert set(running) == {2}
