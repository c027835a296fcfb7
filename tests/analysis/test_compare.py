"""compare(): the baseline is the first argument, one run proves nothing, and no cell is lost."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pytest_torchbasics
from pytest_torchbasics.analysis.compare import compare, geomean, verdict_counts
from pytest_torchbasics.analysis.filters import matching
from pytest_torchbasics.analysis.rules import parse_rules
from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.rows import MetricValue, Row
from tests.results.making import OTHER_MACHINE, check_cell, checked, realistic_rows, timed, timing_cell, write_run


def run(tmp_path: Path, *rows: Row, **more: Any) -> Path:
    return write_run(tmp_path, rows, **more)


def only(base: Path, head: Path, **more: Any) -> dict[Any, Any]:
    (row,) = compare(base, head, **more).to_dict("records")
    return row


def test_the_first_argument_is_the_baseline_whatever_the_names(tmp_path: Path) -> None:
    slow = run(tmp_path, timed(timing_cell("a"), 2.0), run_id="a-slow")
    fast = run(tmp_path, timed(timing_cell("a"), 1.0), run_id="z-fast")
    row = only(slow, fast)
    assert (row["base"], row["head"], row["ratio"], row["change"], row["verdict"]) == (
        2,
        1,
        0.5,
        -0.5,
        "suspect faster",
    )
    assert only(fast, slow)["verdict"] == "suspect slower"
    assert pytest_torchbasics.compare(fast, slow)["ratio"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        (1.24, "within noise"),
        (1.26, "suspect slower"),
        (0.81, "within noise"),
        (0.79, "suspect faster"),
        (1.0, "within noise"),
    ],
)
def test_one_run_a_side_is_suspect_beyond_the_screen_and_never_more(
    tmp_path: Path, seconds: float, verdict: str
) -> None:
    base, head = run(tmp_path, timed(timing_cell("a"), 1.0)), run(tmp_path, timed(timing_cell("a"), seconds))
    assert only(base, head)["verdict"] == verdict


def sides(tmp_path: Path, base: list[float], head: list[float], **more: Any) -> list[list[Path]]:
    """Runs of one cell, a run for each time."""
    return [[run(tmp_path, timed(timing_cell("a"), seconds), **more) for seconds in side] for side in (base, head)]


FIVE = [1.0, 1.01, 0.99, 1.02, 0.98]


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.10, "slower"), (0.90, "faster"), (1.005, "unchanged"), (1.0, "unchanged"), (1.045, "inconclusive")],
)
def test_five_runs_a_side_are_decided(tmp_path: Path, factor: float, verdict: str) -> None:
    base, head = sides(tmp_path, FIVE, [seconds * factor for seconds in FIVE])
    (row,) = compare(base, head).to_dict("records")
    assert row["verdict"] == verdict
    assert row["low"] <= row["ratio"] <= row["high"]


def test_a_large_change_of_noisy_runs_is_inconclusive_and_never_green(tmp_path: Path) -> None:
    base, head = sides(tmp_path, [1.0, 1.5, 0.8, 1.2, 0.9], [1.05, 0.9, 1.6, 1.1, 1.4])
    assert compare(base, head)["verdict"].tolist() == ["inconclusive"]
    base, head = sides(tmp_path, [1.0, 1.5, 0.8, 1.2, 0.9], [1.3, 0.9, 1.6, 1.1, 1.4])
    assert compare(base, head)["verdict"].tolist() == ["suspect slower"]


def test_four_runs_a_side_claim_nothing_unless_asked_to(tmp_path: Path) -> None:
    base, head = sides(tmp_path, FIVE[:4], [1.2 * seconds for seconds in FIVE[:4]])
    assert compare(base, head)["verdict"].tolist() == ["within noise"]
    assert compare(base, head, rules=parse_rules({"min_runs": 4}))["verdict"].tolist() == ["slower"]


def test_a_change_of_fewer_seconds_than_the_floor_is_none(tmp_path: Path) -> None:
    base, head = sides(tmp_path, [s * 1e-6 for s in FIVE], [s * 1.2e-6 for s in FIVE])
    assert compare(base, head)["verdict"].tolist() == ["inconclusive"]
    assert compare(base, head, rules=parse_rules({"floor": "0s"}))["verdict"].tolist() == ["slower"]


def test_what_is_significant_depends_on_how_many_cells_were_looked_at(tmp_path: Path) -> None:
    def runs(factor: float) -> list[Path]:
        others = [timed(timing_cell(f"other{i}"), 1.0) for i in range(40)]
        return [run(tmp_path, timed(timing_cell("a"), seconds * factor), *others) for seconds in FIVE]

    table = compare(runs(1.0), runs(1.06)).set_index("case")
    assert table.loc["a", "p"] == pytest.approx(2 / 252)
    assert table.loc["a", "q"] == pytest.approx(41 * 2 / 252)
    assert table.loc["a", "verdict"] == "inconclusive"
    # No correction leaves anything of five runs among so many; a change that is beyond the threshold by all of its
    # interval is found all the same.
    assert compare(runs(1.0), runs(1.2)).set_index("case").loc["a", "verdict"] == "slower"


def test_a_change_of_one_cell_among_many_is_found_and_noise_is_not() -> None:
    rng = np.random.default_rng(5)
    shape = (2000, 5)
    for noise, most in ((0.02, 0.0005), (0.05, 0.002)):
        base, head = (pd.DataFrame(frame_of(rng.lognormal(0, noise, shape))) for _ in range(2))
        verdicts = compare(base, head)["verdict"]
        assert verdicts.isin(["slower", "faster"]).mean() <= most
        slower = compare(
            base, head.assign(median_s=head["median_s"].where(head["case"] != "case7", head["median_s"] * 1.4))
        )
        assert slower.set_index("case").loc["case7", "verdict"] == "slower"


def frame_of(values: Any) -> dict[str, Any]:
    """Runs of as many cells as there are rows."""
    cells, runs = values.shape
    count = cells * runs
    texts = {"kind": "timing", "check": "", "phase": "forward", "mode": "eager", "device": "cpu", "dtype": "float32"}
    facts = {"sizes": "", "outcome": "passed", "reason": "", "case_hash": "x", "timer": "hybrid", "machine_key": "m"}
    return {
        **texts,
        **facts,
        "case": [f"case{number}" for number in range(cells)] * runs,
        "run_id": np.repeat([f"run{number}" for number in range(runs)], cells),
        "threads": [1] * count,
        "process": [0] * count,
        "median_s": values.T.reshape(-1),
    }


def test_a_baseline_that_failed_once_hides_no_slowdown(tmp_path: Path) -> None:
    base, head = sides(tmp_path, FIVE, [3 * seconds for seconds in FIVE])
    for outcome in ("failed", "skipped", "not_run"):
        flaky = run(tmp_path, dataclasses.replace(timed(timing_cell("a"), 1.0), outcome=outcome))
        assert compare([*base, flaky], head)["verdict"].tolist() == ["slower"]
    failed_once = run(tmp_path, dataclasses.replace(timed(timing_cell("a"), 1.0), outcome="failed"))
    assert compare(base, [*head, failed_once])["verdict"].tolist() == ["new failure"]


def test_from_nothing_to_something_is_worse(tmp_path: Path) -> None:
    rows = [
        dataclasses.replace(timed(timing_cell("a"), 1.0), metrics=(MetricValue("peak", "bytes", "lower", peak),))
        for peak in (0, 1000)
    ]
    none, some = (run(tmp_path, row) for row in rows)
    assert only(none, some, metric="peak_bytes")["verdict"] == "worse"
    assert only(none, none, metric="peak_bytes")["verdict"] == "unchanged"
    assert only(some, none, metric="peak_bytes")["verdict"] == "better"


def test_cases_of_one_name_in_two_suites_are_apart(tmp_path: Path) -> None:
    rows = [
        dataclasses.replace(timed(timing_cell("lin"), seconds, name), nodeid=f"suites/test_{name}.py::test_speed[lin]")
        for name, seconds in (("one", 1.0), ("two", 9.0))
    ]
    table = compare(run(tmp_path, *rows), run(tmp_path, *rows))
    assert dict(zip(table["case"], table["base"], strict=True)) == {"lin (one)": 1.0, "lin (two)": 9.0}
    moved = [dataclasses.replace(rows[0], nodeid="elsewhere/test_it.py::test_speed[lin]")]
    assert compare(run(tmp_path, rows[0]), run(tmp_path, *moved))["case"].tolist() == ["lin"]


def test_a_table_without_directions_judges_times_alone(tmp_path: Path) -> None:
    row = Row(timing_cell("a"), "passed", case_hash="x", metrics=(MetricValue("rate", "hz", "higher", 1.0),))
    frames = [load(run(tmp_path, row)).assign(rate_hz=value, median_s=value) for value in (1.0, 2.0)]
    for frame in frames:
        frame.attrs["better"] = {"rate_hz": "", "median_s": ""}
    assert compare(*frames, metric="rate_hz")["verdict"].tolist() == ["within noise"]
    assert compare(*frames)["verdict"].tolist() == ["suspect slower"]


def test_speed_memory_and_exactness_are_compared_together(tmp_path: Path) -> None:
    """A mend that makes a layer faster, larger and less exact shows all three."""

    def side(seconds: float, peak: int, error: float) -> Path:
        time, check = timed(timing_cell("a"), seconds), checked(check_cell("a"))
        time = dataclasses.replace(time, metrics=(*time.metrics, MetricValue("peak", "bytes", "lower", peak)))
        check = dataclasses.replace(check, metrics=(MetricValue("error", "", "lower", error),))
        return run(tmp_path, time, check)

    table = compare(side(1.0, 1000, 1e-7), side(0.5, 2000, 1e-3), metric=["median_s", "peak_bytes", "error"])
    assert [(row["kind"], row["metric"], row["verdict"]) for row in table.to_dict("records")] == [
        ("timing", "median_s", "suspect faster"),
        ("check", "median_s", "same"),
        ("timing", "peak_bytes", "worse"),
        ("check", "error", "worse"),
    ]
    assert geomean(table).ratio == 0.5


def test_what_is_counted_needs_one_run(tmp_path: Path) -> None:
    rows = [
        dataclasses.replace(timed(timing_cell("a"), 1.0), metrics=(MetricValue("peak", "bytes", "lower", peak),))
        for peak in (1000, 1040, 1100)
    ]
    base, near, far = (run(tmp_path, row) for row in rows)
    assert only(base, near, metric="peak_bytes")["verdict"] == "unchanged"
    assert only(base, far, metric="peak_bytes")["verdict"] == "worse"
    assert only(far, base, metric="peak_bytes")["verdict"] == "better"


def test_a_key_can_be_ignored(tmp_path: Path) -> None:
    base = run(tmp_path, timed(timing_cell("a", dtype="float32"), 1.0))
    head = run(tmp_path, timed(timing_cell("a", dtype="bfloat16"), 0.5))
    assert only(base, head, ignore=["dtype"])["ratio"] == 0.5
    with pytest.raises(ResultError, match="'process' cannot be ignored"):
        compare(base, head, ignore=["process"])


def test_several_runs_are_compared_by_the_median_and_counted(tmp_path: Path) -> None:
    base = [run(tmp_path, timed(timing_cell("a"), seconds)) for seconds in (1.0, 1.1, 9.0)]
    head = [run(tmp_path, timed(timing_cell("a"), seconds)) for seconds in (1.2, 1.3)]
    (row,) = compare(base, head).to_dict("records")
    assert (row["base"], row["head"], row["base_n"], row["head_n"]) == (1.1, 1.25, 3, 2)


BAD, GOOD = ("failed", "error", "timeout", "crashed", "xpassed"), "passed"


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        *((GOOD, bad, "new failure") for bad in BAD),
        *((bad, GOOD, "fixed") for bad in BAD),
        ("failed", "error", "still failing"),
        ("xfailed", "failed", "new failure"),
        ("not_applicable", "failed", "new failure"),
        (None, "failed", "new failure"),
        (None, GOOD, "added"),
        (GOOD, None, "missing"),
        (GOOD, "not_run", "missing"),
        ("not_run", "not_run", "same"),
        ("not_applicable", None, "same"),
        ("not_run", GOOD, "added"),
        (GOOD, "skipped", "missing"),
        (GOOD, "not_applicable", "missing"),
        (GOOD, "unsupported", "missing"),
        (GOOD, "xfailed", "missing"),
        ("failed", "skipped", "missing"),
        ("xfailed", GOOD, "fixed"),
        ("unsupported", GOOD, "fixed"),
        ("skipped", GOOD, "added"),
        (GOOD, GOOD, "same"),
        ("skipped", "skipped", "same"),
        ("skipped", "unsupported", "same"),
    ],
)
def test_outcomes_outrank_values(tmp_path: Path, before: str | None, after: str | None, verdict: str) -> None:
    anchor = checked(check_cell("anchor"))
    sides = [
        run(tmp_path, anchor, *([checked(check_cell("a"), outcome, "why")] if outcome else []))
        for outcome in (before, after)
    ]
    table = compare(*sides).set_index("case")
    assert table.loc["a", "verdict"] == verdict
    if before != after:
        assert str(table.loc["a", "reason"]).startswith(f"{before or 'absent'} -> {after or 'absent'}")
    assert table.loc["anchor", "verdict"] == "same"


def test_a_changed_case_is_not_comparable(tmp_path: Path) -> None:
    base = run(tmp_path, timed(timing_cell("a"), 1.0, "81ac"), checked(check_cell("a"), case_hash="81ac"))
    head = run(tmp_path, timed(timing_cell("a"), 9.0, "77f0"), checked(check_cell("a"), "failed", case_hash="77f0"))
    table = compare(base, head)
    assert table["verdict"].tolist() == ["not comparable", "new failure"]
    assert table["obstacle"].tolist() == ["case", ""]
    assert math.isnan(geomean(table).ratio)


def test_another_machine_shows_the_ratio_and_no_verdict(tmp_path: Path) -> None:
    base = run(tmp_path, timed(timing_cell("a"), 1.0), checked(check_cell("a")))
    head = run(tmp_path, timed(timing_cell("a"), 3.0), checked(check_cell("a")), record=OTHER_MACHINE)
    table = compare(base, head)
    assert table["ratio"].tolist()[0] == 3.0
    assert table["verdict"].tolist() == ["not comparable", "same"]
    assert table["reason"].tolist()[0] == "measured on different machines"


def test_another_number_of_threads_shows_the_ratio_and_no_verdict(tmp_path: Path) -> None:
    base = run(tmp_path, timed(timing_cell("a", threads=1), 1.0))
    head = run(tmp_path, timed(timing_cell("a", threads=2), 0.5))
    row = only(base, head)
    assert (row["ratio"], row["verdict"], row["obstacle"]) == (0.5, "not comparable", "threads")


def test_another_timer_shows_the_ratio_and_no_verdict(tmp_path: Path) -> None:
    base = run(tmp_path, timed(timing_cell("a"), 1.0, timer="wall"))
    head = run(tmp_path, timed(timing_cell("a"), 0.5, timer="hybrid"))
    row = only(base, head)
    assert (row["ratio"], row["verdict"], row["reason"]) == (0.5, "not comparable", "measured with different timers")
    assert row["obstacle"] == "timer"


def test_what_is_counted_is_comparable_whatever_it_was_timed_with(tmp_path: Path) -> None:
    def counted(peak: float, threads: int, timer: str) -> Row:
        metrics = (MetricValue("peak", "bytes", "lower", peak),)
        return dataclasses.replace(timed(timing_cell("a", threads=threads), 1.0, timer=timer), metrics=metrics)

    base = run(tmp_path, counted(1000, 1, "wall"))
    head = run(tmp_path, counted(2000, 2, "hybrid"), record=OTHER_MACHINE)
    row = only(base, head, metric="peak_bytes")
    assert (row["ratio"], row["verdict"], row["obstacle"]) == (2.0, "worse", "")


def test_a_time_that_one_side_lacks_has_no_obstacle(tmp_path: Path) -> None:
    """There is nothing to compare, whatever the machine; that it passed on both is what is told."""
    base = run(tmp_path, timed(timing_cell("a"), 1.0), timed(timing_cell("b"), 1.0))
    lost = dataclasses.replace(timed(timing_cell("a"), 1.0), metrics=())
    head = run(tmp_path, lost, timed(timing_cell("b"), 1.0), record=OTHER_MACHINE)
    for pair in ((base, head), (head, base)):
        table = compare(*pair).set_index("case")
        assert table.loc["a", "obstacle"] == ""
        assert table.loc["b", "obstacle"] == "machine"


def test_several_numbers_of_threads_are_cells_of_their_own(tmp_path: Path) -> None:
    rows = [timed(timing_cell("a", threads=threads), 1.0 / threads) for threads in (1, 2)]
    table = compare(run(tmp_path, *rows), run(tmp_path, *rows))
    assert table["threads"].tolist() == [1, 2]
    assert table["verdict"].tolist() == ["within noise"] * 2


def test_a_cell_that_stands_twice_in_a_run_is_not_comparable(tmp_path: Path) -> None:
    row = timed(timing_cell("a"), 1.0)
    base = run(tmp_path, row, dataclasses.replace(row, nodeid="suites/tutorial/test_tutorial.py::test_again[a]"))
    assert only(base, run(tmp_path, row))["obstacle"] == "several"


def test_a_metric_of_which_more_is_better(tmp_path: Path) -> None:
    sides = [
        run(
            tmp_path,
            Row(timing_cell("a"), "passed", metrics=(MetricValue("rate", "hz", "higher", value),), case_hash="x"),
        )
        for value in (1.0, 2.0)
    ]
    assert only(*sides, metric="rate_hz")["verdict"] == "suspect better"
    assert only(*sides[::-1], metric="rate_hz")["verdict"] == "suspect worse"
    assert only(*sides, metric="rate_hz", better="none")["verdict"] == "within noise"


def test_an_unknown_metric_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    base = run(tmp_path, timed(timing_cell("a"), 1.0))
    with pytest.raises(ResultError, match=r"no side has the metric 'nope'; there are .*median_s"):
        compare(base, base, metric="nope")
    assert compare(base, base, metric=["median_s", "nope"])["metric"].unique().tolist() == ["median_s"]


def test_the_geometric_mean_is_of_cells_that_passed_on_both_sides(tmp_path: Path) -> None:
    def side(factor: float, outcome: str) -> list[Row]:
        failing = dataclasses.replace(timed(timing_cell("failing"), 100.0 * factor), outcome=outcome)
        return [
            timed(timing_cell("a"), factor),
            timed(timing_cell("b"), 1 / factor),
            timed(timing_cell("c"), 8**factor),
            failing,
        ]

    base = run(
        tmp_path, *side(1, "passed"), timed(timing_cell("gone"), 1.0), Row(timing_cell("n/a"), "not_applicable", "x")
    )
    head = run(
        tmp_path, *side(2, "failed"), timed(timing_cell("new"), 1.0), Row(timing_cell("n/a"), "not_applicable", "x")
    )
    mean = geomean(compare(base, head))
    assert mean.ratio == pytest.approx(2.0)
    assert mean.cells == 3
    assert mean.excluded == {"not passed on both sides": 3}


def test_disjoint_sides_lose_no_cell(tmp_path: Path) -> None:
    table = compare(run(tmp_path, timed(timing_cell("a"), 1.0)), run(tmp_path, timed(timing_cell("b"), 1.0)))
    assert dict(zip(table["case"], table["verdict"], strict=True)) == {"a": "missing", "b": "added"}
    assert verdict_counts(table) == {"missing": 1, "added": 1}


def test_frames_and_paths_compare_alike(tmp_path: Path) -> None:
    base, head = run(tmp_path, *realistic_rows()), run(tmp_path, *realistic_rows(1.5, 2))
    table = compare(base, head)
    assert table.equals(compare(load(base), load(head)))
    assert len(table) == len(realistic_rows())
    assert verdict_counts(table)["suspect slower"] == 101


@pytest.mark.parametrize(
    ("expression", "cases"),
    [
        ("linear", {"linear", "linear_no_bias"}),
        ("linear and not no_bias", {"linear"}),
        ("LSTM or gelu", {"lstm", "gelu"}),
        ("(lstm or gelu) and not (gelu)", {"lstm"}),
        ("case:linear", {"linear"}),
        ("dtype:bfloat16 and case:GELU", {"gelu"}),
        ("nothing_at_all", set()),
    ],
)
def test_expressions_choose_cells(tmp_path: Path, expression: str, cases: set[str]) -> None:
    frame = load(run(tmp_path, *realistic_rows()))
    assert set(matching(frame, expression)["case"].astype(str)) == cases


@pytest.mark.parametrize("expression", ["", "a and", "(a", "a)", "not", "and b", "a b", "(" * 300, "not " * 300 + "a"])
def test_a_wrong_expression_is_refused(tmp_path: Path, expression: str) -> None:
    frame = load(run(tmp_path, timed(timing_cell("a"), 1.0)))
    with pytest.raises(ResultError, match="write words with and, or, not and brackets"):
        matching(frame, expression)
