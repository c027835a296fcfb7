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
