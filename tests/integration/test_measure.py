"""`measure` on pytest-benchmark's fixture: its options, table and JSON."""

from __future__ import annotations

import json

import pytest

from pytest_torchbasics import load

from .conftest import TESTS, Run


@pytest.fixture
def speed(run: Run, pytester: pytest.Pytester):
    pytester.makepyfile(test_it=TESTS)

    def speed(*arguments: str) -> pytest.RunResult:
        return run("-k", "speed and linear", "--timer-quality=quick", *arguments)

    return speed


def test_each_phase_is_timed_and_kept(speed, pytester: pytest.Pytester) -> None:
    speed("--results=out").assert_outcomes(passed=3)
    frame = load(pytester.path / "out")
    assert list(frame["phase"].astype(str)) == ["forward", "backward", "forward_backward"]
    assert (frame["median_s"] > 0).all()
    assert (frame["low_s"] <= frame["median_s"]).all()
    assert (frame["median_s"] <= frame["high_s"]).all()
    assert set(frame["threads"]) == {1}


def test_our_times_reach_the_json_of_pytest_benchmark(speed, pytester: pytest.Pytester) -> None:
    speed("--results=out", "--benchmark-json=b.json", "--phase=forward").assert_outcomes(passed=1)
    (found,) = json.loads((pytester.path / "b.json").read_text())["benchmarks"]
    (median,) = load(pytester.path / "out")["median_s"]
    assert found["stats"]["median"] == pytest.approx(median, rel=0.05)
    assert found["extra_info"]["case"] == "linear"
    assert found["params"] == {
        "case": "linear",
        "phase": "forward",
        "mode": "eager",
        "device": "cpu",
        "dtype": "float32",
    }


def test_saved_runs_compare(speed) -> None:
    speed("--benchmark-autosave", "--phase=forward").assert_outcomes(passed=1)
    speed("--benchmark-compare", "--phase=forward").assert_outcomes(passed=1)


def test_benchmark_skip_skips_and_only_leaves_the_timing(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    skipped = run(
        "-k", "linear and (forward-eager or forward_backward or shape)", "--benchmark-skip", "--results=out"
    ).parseoutcomes()
    assert skipped["skipped"] == 2
    assert skipped["passed"] == 1
    only = run("-k", "linear-forward- or linear-shape", "--benchmark-only", "--timer-quality=quick").parseoutcomes()
    assert (only["passed"], only["skipped"]) == (1, 1)
    frame = load(pytester.path / "out")
    assert list(frame[frame["kind"] == "timing"]["outcome"]) == ["skipped", "skipped"]


def test_benchmark_disable_runs_the_code_once_and_claims_no_time(speed, pytester: pytest.Pytester) -> None:
    speed("--benchmark-disable", "--results=out", "--phase=backward").assert_outcomes(passed=1)
    frame = load(pytester.path / "out")
    assert list(frame["outcome"]) == ["skipped"]
    assert "median_s" not in frame or frame["median_s"].isna().all()


def test_benchmark_disable_still_finds_broken_code(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.mark.cases([layer("bad", lambda: nn.Linear(5, 2), Tensor("N", 4))])
        def test_speed(measure):
            measure()
        """
    )
    run("--benchmark-disable", "--phase=forward").assert_outcomes(failed=1)


def test_a_phase_that_does_not_apply_says_why(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.mark.cases([op("argmax", lambda x: x.argmax(-1), Tensor("N", 4), differentiable=False)])
        def test_speed(measure):
            measure()
        """
    )
    result = run("-rs", "--timer-quality=quick", "--results=out")
    result.assert_outcomes(passed=1, skipped=2)
    result.stdout.fnmatch_lines(["*does not apply: *"])
    assert sorted(load(pytester.path / "out")["outcome"]) == ["not_applicable", "not_applicable", "passed"]


def test_a_measure_that_is_never_called_fails(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.mark.cases([LINEAR])
        def test_speed(measure):
            pass
        """
    )
    result = run("--phase=forward", "-W", "ignore")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the test never called measure()*"])


def test_an_in_place_layer_can_be_timed(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.mark.cases([layer("relu", lambda: nn.ReLU(inplace=True), Tensor("N", 4))])
        def test_speed(measure):
            assert measure().metrics
        """
    )
    run("--timer-quality=quick").assert_outcomes(passed=3)


AXES = """
import torch
from pytest_torchbasics import Tensor, op

CASES = [
    op("relu", torch.relu, Tensor("N", 4), sizes={"N": {"check": 2, "timing": (1, 64)}}),
    op("abs", torch.abs, Tensor("N", 4)),
]
"""


def test_sizes_and_threads_are_axes_of_timing_alone(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS.replace("from cases import *", "import pytest\nfrom axes import *"), axes=AXES)
    options = ("--phase=forward", "--checks=shape", "--threads=1,2", "--timer-quality=quick", "--results=out")
    result = run(*options, "-v")
    result.assert_outcomes(passed=8)
    result.stdout.fnmatch_lines(
        [
            "*test_correct?relu-shape-cpu-float32? PASSED*",
            "*test_speed?relu-forward-eager-N=1-cpu-float32? PASSED*",
            "*test_speed?relu-forward-eager-N=1-threads=2-cpu-float32? PASSED*",
            "*test_speed?abs-forward-eager-threads=2-cpu-float32? PASSED*",
        ]
    )
    frame = load(pytester.path / "out")
    timed = frame[frame["kind"] == "timing"]
    found = timed[["case", "sizes", "threads"]].astype(str).values.tolist()
    assert found == [[c, s, t] for c, s in (("relu", "N=1"), ("relu", "N=64"), ("abs", "")) for t in "12"]
    assert timed["timer"].astype(str).tolist() == ["hybrid", "wall"] * 3
    result.stdout.fnmatch_lines(["*relu N=1 1 thread *", "*relu N=64 2 threads*", "*abs 2 threads*"])


def test_other_modes_are_timed_and_not_checked(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = run("-k", "linear", "--mode=eager,autocast+inference", "--phase=forward", "--checks=shape", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*test_speed?linear-forward-autocast+inference-cpu-float32? PASSED*"])


def test_a_mode_without_checks_alone_is_a_visible_skip(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = run("-k", "test_correct", "--mode=inference", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*--mode selects inference, in which no check runs*"])


def test_what_a_mode_cannot_do_is_not_applicable_with_the_reason(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = run("-k", "test_speed and linear", "--mode=inference", "--phase=backward", "--results=out", "-rs")
    result.assert_outcomes(skipped=1)
    (row,) = load(pytester.path / "out").to_dict("records")
    assert row["outcome"] == "not_applicable"
    assert row["reason"] == "mode inference: there are no gradients, forward alone"


@pytest.mark.parametrize("value", ["0", "two", "", "1,-2"])
def test_a_wrong_number_of_threads_is_one_line_and_exit_4(run: Run, pytester: pytest.Pytester, value: str) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = run(f"--threads={value}")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--threads=*write numbers of threads from 1 to 9999*"])


APART = """
import os
from types import MappingProxyType
from pytest_torchbasics import modes

def execute(function, situation):
    assert "TORCHBASICS_MEASURE_INTO" in os.environ, "not in a process of its own"
    print("made in a process of its own")
    {body}
    return function

modes.PARTS = MappingProxyType({{**modes.PARTS, "apart": modes.Part("apart", "for this test", execute, isolated=True)}})
"""


def apart(pytester: pytest.Pytester, body: str = "pass") -> None:
    pytester.makeconftest(APART.format(body=body))
    pytester.makepyfile(test_it=TESTS)


def test_an_isolated_mode_is_measured_in_a_process_of_its_own(run: Run, pytester: pytest.Pytester) -> None:
    apart(pytester)
    options = ("-k", "test_speed and linear", "--mode=apart", "--phase=backward", "--timer-quality=quick")
    result = run(*options, "--results=out", "--benchmark-json=b.json", apart=True)
    result.assert_outcomes(passed=1)
    (row,) = load(pytester.path / "out").to_dict("records")
    assert (row["outcome"], row["mode"], row["timer"]) == ("passed", "apart", "hybrid")
    assert row["parameters"] == 10
    assert json.loads((pytester.path / "b.json").read_text())["benchmarks"][0]["stats"]["rounds"] == row["n"]


def test_an_isolated_mode_runs_once_where_timing_is_switched_off(run: Run, pytester: pytest.Pytester) -> None:
    apart(pytester)
    options = ("-k", "test_speed and linear", "--mode=apart", "--phase=forward", "--benchmark-disable", "-W", "error")
    run(*options, apart=True).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("os._exit(77)", "*ended with 77 and measured nothing*"),
        ("raise RuntimeError('capture failed')", "*RuntimeError: capture failed*"),
    ],
)
def test_a_process_of_its_own_that_dies_is_an_error_of_its_item_alone(
    run: Run, pytester: pytest.Pytester, body: str, says: str
) -> None:
    apart(pytester, body)
    options = ("-k", "test_speed and linear", "--mode=apart,eager", "--phase=forward", "--timer-quality=quick")
    result = run(*options, "--results=out", apart=True)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([says])
    assert load(pytester.path / "out").set_index("mode")["outcome"].astype(str).to_dict() == {
        "apart": "error",
        "eager": "passed",
    }


@pytest.mark.parametrize(("word", "code"), [("true", 0), ("off", 0), ("maybe", 4)])
def test_a_switch_in_the_configuration_file_is_true_or_false(
    run: Run, pytester: pytest.Pytester, word: str, code: int
) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = run("-o", f"torchbasics_cold_cache={word}", "-k", "linear-shape")
    assert result.ret == code
    if code:
        result.stderr.fnmatch_lines(["*torchbasics_cold_cache = maybe*: write true or false*"])
