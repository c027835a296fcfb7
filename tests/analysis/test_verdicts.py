"""Which verdict a cell has, on columns as a comparison has them, without a run on the disk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pytest_torchbasics.analysis.rules import Rule, Rules
from pytest_torchbasics.analysis.sides import SEVERAL, Cells, Side
from pytest_torchbasics.analysis.verdicts import BAD, EXACT, OBSTACLES, VERDICTS, obstacles, reasons, verdicts

NAN = float("nan")
#: Five runs a side, all of one side's below all of the other's, and an interval around the ratio.
FIVE: dict[str, Any] = {"base_n": 5, "head_n": 5}
SURE = {**FIVE, "q": 0.01}
#: No other test than the interval tells: q is what a correction for many cells leaves.
APART = {**FIVE, "q": 0.5, "apart": True}


def verdict(
    metric: str = "median_s", better: str = "lower", rule: Rule | None = None, rules: Rules | None = None, **cell: Any
) -> str:
    """The verdict of one cell: passed on both sides, 1 s on both, one run a side and no test, unless told otherwise."""
    row = {"base_outcome": "passed", "head_outcome": "passed", "base": 1.0, "head": 1.0, "obstacle": ""}
    row |= {"low": NAN, "high": NAN, "apart": False, "q": NAN, "base_n": 1, "head_n": 1}
    row |= cell
    if "ratio" not in row:
        row["ratio"] = row["head"] / row["base"] if row["base"] else NAN
    (found,) = verdicts(pd.DataFrame([row]), [rule or Rule()], rules or Rules(), metric, better)
    assert found in VERDICTS
    return str(found)


@pytest.mark.parametrize("absent", ["", "not_run"])
@pytest.mark.parametrize("idle", ["", "not_run", "not_applicable", "skipped", "unsupported"])
def test_what_never_measured_anything_and_is_absent_now_is_the_same(idle: str, absent: str) -> None:
    assert verdict(base_outcome=idle, head_outcome=absent) == "same"


@pytest.mark.parametrize("absent", ["", "not_run"])
@pytest.mark.parametrize("before", ["passed", "xfailed", *BAD])
def test_what_is_absent_now_is_missing(before: str, absent: str) -> None:
    assert verdict(base_outcome=before, head_outcome=absent) == "missing"


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize(
    ("before", "said"),
    [
        *((other, "still failing") for other in BAD),
        *((other, "new failure") for other in ("passed", "", "not_run", "skipped", "unsupported", "xfailed")),
    ],
)
def test_what_ends_badly_now_is_a_failure_new_or_old(before: str, bad: str, said: str) -> None:
    assert verdict(base_outcome=before, head_outcome=bad) == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        *((before, "passed", "fixed") for before in (*BAD, "xfailed", "unsupported")),
        *((before, "passed", "added") for before in ("", "not_run", "skipped", "not_applicable")),
        *((before, after, "added") for before in ("", "not_run") for after in ("skipped", "xfailed", "unsupported")),
        *(
            (before, after, "missing")
            for before in ("passed", *BAD)
            for after in ("skipped", "not_applicable", "unsupported", "xfailed")
        ),
        ("skipped", "skipped", "same"),
        ("unsupported", "not_applicable", "same"),
        ("xfailed", "skipped", "same"),
    ],
)
def test_other_steps_of_outcomes(before: str, after: str, said: str) -> None:
    assert verdict(base_outcome=before, head_outcome=after) == said


def test_values_of_cells_that_did_not_pass_on_both_sides_say_nothing() -> None:
    assert verdict(base_outcome="failed", head=9.0, **SURE) == "fixed"
    assert verdict(head_outcome="xfailed", head=9.0, **SURE) == "missing"
    assert verdict(base_outcome="xfailed", head_outcome="xfailed", head=9.0, **SURE) == "same"


def test_an_obstacle_outranks_values_and_no_outcome() -> None:
    assert verdict(obstacle="machine", head=9.0, **SURE) == "not comparable"
    assert verdict(obstacle="machine", head_outcome="failed") == "new failure"
    assert verdict(obstacle="machine", base_outcome="xfailed", head_outcome="xfailed") == "same"


def test_a_value_on_one_side_only_is_not_comparable_and_none_on_both_is_the_same() -> None:
    assert verdict(head=NAN) == "not comparable"
    assert verdict(base=NAN) == "not comparable"
    assert verdict(base=NAN, head=NAN) == "same"
    assert verdict(base=-1.0, head=1.0, ratio=NAN) == "not comparable"


@pytest.mark.parametrize(
    ("head", "said"),
    [(1.25, "within noise"), (1.26, "suspect slower"), (0.8, "within noise"), (0.79, "suspect faster")],
)
@pytest.mark.parametrize("runs", [(1, 1), (4, 5), (5, 4)])
def test_with_too_few_runs_on_either_side_a_change_is_suspect_beyond_the_screen(
    head: float, said: str, runs: tuple[int, int]
) -> None:
    few = {"base_n": runs[0], "head_n": runs[1]}
    assert verdict(head=head, **few) == said
    assert verdict(head=head, q=0.0, apart=True, low=head, high=head, **few) == said
    assert verdict(head=1.1 * head, rule=Rule(screen=9.0), **few) == "within noise"


@pytest.mark.parametrize(("head", "said"), [(1.06, "slower"), (1.04, "inconclusive"), (0.94, "faster")])
def test_with_enough_runs_what_is_significant_and_beyond_the_threshold_is_claimed(head: float, said: str) -> None:
    assert verdict(head=head, **SURE) == said
    assert verdict(head=head, **{**SURE, "q": 0.05}) == "inconclusive"
    assert verdict(head=head, rules=Rules(alpha=0.06), **{**SURE, "q": 0.05}) == said
    assert verdict(head=head, rules=Rules(min_runs=6), **SURE) == "within noise"
    assert verdict(head=head, rule=Rule(threshold=0.07), **SURE) == "inconclusive"


def test_a_change_of_just_the_threshold_or_the_screen_is_none() -> None:
    """By numbers that floats hold exactly."""
    for head, ratio in ((1.5, 1.5), (1.0, 1 / 1.5)):
        base = 1.0 if head > 1 else 1.5
        rule = Rule(threshold=0.5, screen=0.5)
        assert verdict(base=base, head=head, ratio=ratio, rule=rule, **SURE) == "inconclusive"
        assert verdict(base=base, head=head, ratio=ratio, rule=rule) == "within noise"
    exact = Rule(threshold=0.25)
    assert verdict("flops", base=4.0, head=5.0, rule=exact) == "unchanged"
    assert verdict("flops", base=4.0, head=3.0, rule=exact) == "unchanged"


@pytest.mark.parametrize(
    ("head", "low", "high", "said"),
    [
        (1.2, 1.06, 1.3, "slower"),
        (1.2, 1.05, 1.3, "inconclusive"),
        (0.8, 0.7, 0.95, "faster"),
        (0.8, 0.7, 1 / 1.05, "inconclusive"),
        (0.8, 0.7, 0.97, "inconclusive"),
    ],
)
def test_runs_that_lie_apart_are_claimed_if_all_of_the_interval_is_beyond_the_threshold(
    head: float, low: float, high: float, said: str
) -> None:
    assert verdict(head=head, low=low, high=high, **APART) == said
    assert verdict(head=head, low=low, high=high, **{**APART, "apart": False}) == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.96, 1.04, "unchanged"),
        (1 / 1.05, 1.04, "inconclusive"),
        (0.96, 1.05, "inconclusive"),
        (0.9, 1.04, "inconclusive"),
        (0.96, 1.1, "inconclusive"),
        (NAN, NAN, "inconclusive"),
    ],
)
def test_an_interval_within_the_threshold_is_unchanged(low: float, high: float, said: str) -> None:
    assert verdict(low=low, high=high, **FIVE) == said
    assert verdict(low=low, high=high) == "within noise"


def test_within_the_threshold_a_significant_change_is_unchanged_still() -> None:
    assert verdict(head=1.03, low=1.01, high=1.04, **SURE) == "unchanged"


@pytest.mark.parametrize("metric", ["median_s", "other_s"])
def test_of_times_a_change_of_fewer_seconds_than_the_floor_is_none(metric: str) -> None:
    floor = Rule(floor_s=0.5)
    for base, head, said in ((1.0, 1.75, "slower"), (1.75, 1.0, "faster")):
        assert verdict(metric, base=base, head=head, rule=floor, **SURE) == said
        assert verdict(metric, base=base, head=head, rule=floor) == f"suspect {said}"
    for base, head in ((1.0, 1.5), (1.5, 1.0), (1.0, 1.4)):
        assert verdict(metric, base=base, head=head, rule=floor, **SURE) == "inconclusive"
        assert verdict(metric, base=base, head=head, rule=floor) == "within noise"


def test_what_is_no_time_has_no_floor_and_is_worse_or_better() -> None:
    floor = Rule(floor_s=9.0)
    assert verdict("watts", head=1.3, rule=floor, **SURE) == "worse"
    assert verdict("watts", head=0.7, rule=floor, **SURE) == "better"
    assert verdict("watts", head=1.3, rule=floor) == "suspect worse"
    assert verdict("watts", head=0.7, rule=floor) == "suspect better"


@pytest.mark.parametrize(
    ("better", "up", "down"),
    [("lower", "slower", "faster"), ("higher", "better", "worse")],
)
def test_which_way_is_better_is_asked_for(better: str, up: str, down: str) -> None:
    assert verdict("busy_s", better, head=2.0, **SURE) == up
    assert verdict("busy_s", better, head=0.5, **SURE) == down
    assert verdict("busy_s", better, head=2.0) == f"suspect {up}"
    assert verdict("busy_s", better, head=0.5) == f"suspect {down}"


def test_of_a_metric_without_a_direction_nothing_is_claimed() -> None:
    for head in (0.5, 2.0):
        assert verdict("rate_hz", "none", head=head, **SURE) == "within noise"
        assert verdict("rate_hz", "none", head=head) == "within noise"
    assert verdict("rate_hz", "none", low=0.99, high=1.01, **FIVE) == "unchanged"


@pytest.mark.parametrize("metric", EXACT)
def test_what_is_counted_needs_one_run_and_no_test(metric: str) -> None:
    assert verdict(metric, head=1.04) == "unchanged"
    assert verdict(metric, head=0.96) == "unchanged"
    assert verdict(metric, head=1.06) == "worse"
    assert verdict(metric, head=0.94) == "better"
    assert verdict(metric, "higher", head=1.06) == "better"
    assert verdict(metric, head=1.3, rule=Rule(threshold=0.5)) == "unchanged"


def test_what_is_counted_from_nothing_is_worse_and_to_nothing_better() -> None:
    assert verdict("peak_bytes", base=0.0, head=0.5, ratio=NAN) == "worse"
    assert verdict("peak_bytes", base=0.0, head=0.0, ratio=1.0) == "unchanged"
    assert verdict("peak_bytes", base=1.0, head=0.0) == "better"
    assert verdict("median_s", base=0.0, head=1.0, ratio=NAN) == "not comparable"


def side(**more: Any) -> Side:
    """One side of one cell."""
    told = {"outcome": "passed", "reason": "", "case_hash": "x", "timer": "wall", "machine_key": "m", "twice": False}
    told |= {"value": 1.0} | more
    facts = {name: np.array([told[name]], dtype=object) for name in ("case_hash", "timer", "machine_key")}
    return Side(
        np.array([told["outcome"]], dtype=object),
        np.array([told["reason"]], dtype=object),
        facts,
        np.array([told["twice"]]),
        {name: np.array([[told["value"], NAN]]) for name in ("median_s", "peak_bytes")},
    )


def obstacle(base: Side, head: Side, metric: str = "median_s", kind: str = "timing", threads: bool = False) -> str:
    (found,) = obstacles(Cells(pd.DataFrame({"kind": [kind]}), base, head, threads), metric)
    return str(found)


@pytest.mark.parametrize(
    ("changed", "said", "of_counts", "of_checks"),
    [
        ({}, "", "", ""),
        ({"case_hash": "y"}, "case", "case", "case"),
        ({"twice": True}, "several", "several", "several"),
        ({"machine_key": "n"}, "machine", "", ""),
        ({"timer": "hybrid"}, "timer", "", ""),
        ({"case_hash": "y", "twice": True, "machine_key": "n", "timer": "hybrid"}, "case", "case", "case"),
        ({"twice": True, "machine_key": "n", "timer": "hybrid"}, "several", "several", "several"),
        ({"machine_key": "n", "timer": "hybrid"}, "machine", "", ""),
    ],
)
def test_what_forbids_to_compare_the_values(changed: Any, said: str, of_counts: str, of_checks: str) -> None:
    for base, head in ((side(), side(**changed)), (side(**changed), side())):
        assert obstacle(base, head) == said
        assert obstacle(base, head, "peak_bytes") == of_counts
        assert obstacle(base, head, kind="check") == of_checks
        for other in ("base", "head"):
            failed = side(**changed, outcome="failed") if other == "head" else side(outcome="failed")
            assert obstacle(side(), failed) == obstacle(failed, side()) == ""


def test_numbers_of_threads_differ_for_times_alone() -> None:
    assert obstacle(side(), side(), threads=True) == "threads"
    assert obstacle(side(), side(timer="hybrid"), threads=True) == "threads"
    assert obstacle(side(), side(machine_key="n"), threads=True) == "machine"
    assert obstacle(side(), side(), "peak_bytes", threads=True) == ""
    assert obstacle(side(), side(), kind="check", threads=True) == ""


@pytest.mark.parametrize("changed", [{"machine_key": "n"}, {"timer": "hybrid"}])
def test_without_a_value_on_both_sides_nothing_forbids_to_compare_it(changed: Any) -> None:
    assert obstacle(side(value=NAN), side(**changed)) == obstacle(side(), side(value=NAN, **changed)) == ""
    assert obstacle(side(value=NAN), side(), threads=True) == obstacle(side(), side(value=NAN), threads=True) == ""


def test_each_cell_has_the_obstacle_of_its_own_values() -> None:
    def two(machine: str, *values: float) -> Side:
        texts = {name: np.array([name] * 2, dtype=object) for name in ("case_hash", "timer")}
        facts = texts | {"machine_key": np.array([machine] * 2, dtype=object)}
        passed, nothing = np.array(["passed"] * 2, dtype=object), np.array([""] * 2, dtype=object)
        return Side(passed, nothing, facts, np.zeros(2, bool), {"median_s": np.array([[value] for value in values])})

    keys = pd.DataFrame({"kind": ["timing"] * 2})
    for values in ((1.0, NAN), (NAN, 1.0)):
        told = obstacles(Cells(keys, two("m", *values), two("n", 1.0, 1.0), False), "median_s")
        assert told.tolist() == ["" if np.isnan(value) else "machine" for value in values]


def test_runs_of_one_side_that_differ_in_a_fact_are_not_compared_with_the_other() -> None:
    for fact, said in (("case_hash", "case"), ("machine_key", "machine")):
        both = side(**{fact: SEVERAL})
        assert obstacle(both, both) == obstacle(both, side()) == obstacle(side(), both) == said


def reason(verdict: str, obstacle: str = "", base: Side | None = None, head: Side | None = None) -> str:
    sides = base or side(), head or side()
    values = [each.values["median_s"][0, 0] for each in sides]
    row = {"verdict": verdict, "obstacle": obstacle, "base": values[0], "head": values[1]}
    row |= {"base_outcome": sides[0].outcome[0], "head_outcome": sides[1].outcome[0]}
    (found,) = reasons(pd.DataFrame([row]), Cells(pd.DataFrame({"kind": ["timing"]}), *sides, False))
    return found


@pytest.mark.parametrize("name", OBSTACLES)
def test_the_reason_of_an_obstacle_is_told(name: str) -> None:
    assert reason("not comparable", name) == OBSTACLES[name]


def test_the_reason_tells_the_step_and_why() -> None:
    failed = side(outcome="failed", reason="wrong")
    assert reason("new failure", head=failed) == "passed -> failed: wrong"
    assert reason("fixed", base=failed) == "failed -> passed: wrong"
    assert reason("still failing", base=side(outcome="error", reason="old"), head=failed) == "error -> failed: wrong"
    assert reason("still failing", base=side(outcome="failed", reason="old"), head=failed) == "wrong"
    assert reason("missing", head=side(outcome="")) == "passed -> absent"
    assert reason("added", base=side(outcome="")) == "absent -> passed"
    assert reason("slower") == ""


def test_the_reason_tells_which_side_has_no_value() -> None:
    assert reason("not comparable", base=side(value=NAN)) == "the baseline has no value"
    assert reason("not comparable", head=side(value=NAN)) == "the head has no value"
    assert reason("not comparable") == ""
    assert reason("same", base=side(value=NAN), head=side(value=NAN)) == ""
