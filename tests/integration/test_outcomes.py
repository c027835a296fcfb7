"""What a test's outcome is, what the rows say, and that green means measured."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from pytest_torchbasics import load

from .conftest import TESTS, Run

BATCH_MEAN = 'op("mean", lambda x: x - x.mean(0), Tensor("N", 6), output=("N", 6){facts})'


def write(
    pytester: pytest.Pytester, case: str, checks: str = '"batch"', extra: str = "", body: str = "check()"
) -> None:
    pytester.makepyfile(
        test_it=f"""
from cases import *
@pytest.mark.cases([{case}])
@pytest.mark.checks({checks})
{extra}
def test_correct(check):
    {body}
"""
    )


def rows(pytester: pytest.Pytester):
    return load(pytester.path / "out")


def test_a_failure_names_the_element_the_cause_and_the_command(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, BATCH_MEAN.format(facts=""))
    result = run("--results=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*mean on cpu in float32: batch: output of a batch of 1*6 of 6 elements are wrong; the worst at index*",
            "*hint: items of a batch influence each other*",
            "*reproduce: pytest 'test_it.py::test_correct?mean-batch-cpu-float32?'*",
        ]
    )
    assert list(rows(pytester)["outcome"]) == ["failed"]
    assert "elements are wrong" in rows(pytester)["reason"][0]


def test_the_command_of_a_failure_runs_just_that_item_where_defaults_would_not(
    run: Run, pytester: pytest.Pytester
) -> None:
    write(pytester, BATCH_MEAN.format(facts=""))
    first = run("--results=out", "--dtype=float16")
    first.assert_outcomes(failed=1)
    # On a CI, pytest's short summary tells the whole message once more.
    (command,) = {line.split("reproduce: ")[1] for line in first.stdout.lines if "reproduce: " in line}
    words = shlex.split(command)
    assert words[0] == "pytest"
    again = run(*words[1:], device=None)
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["FAILED *mean-batch-cpu-float16*"])


def test_a_known_failure_is_expected_to_fail(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, BATCH_MEAN.format(facts=', known_failure={"batch": "centred over the batch"}'))
    run("--results=out").assert_outcomes(xfailed=1)
    assert list(rows(pytester)["outcome"]) == ["xfailed"]


def test_a_known_failure_that_passes_fails(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", extra='@pytest.mark.known_failure("not any more", check="batch")')
    result = run("--results=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*passes, though it is declared as a known failure (not any more)*"])
    assert list(rows(pytester)["outcome"]) == ["xpassed"]


def test_a_known_failure_does_not_hide_an_error(run: Run, pytester: pytest.Pytester) -> None:
    write(
        pytester,
        'op("typo", lambda x: torch.matmull(x), Tensor("N", 6), output=("N", 6), known_failure={"batch": "known"})',
    )
    result = run("--results=out")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AttributeError*matmull*"])
    assert list(rows(pytester)["outcome"]) == ["error"]


def test_a_known_failure_of_one_dtype_covers_no_other(run: Run, pytester: pytest.Pytester) -> None:
    case = BATCH_MEAN.format(facts=', known_failure=Declared("why", check="batch", dtype="float64")')
    write(pytester, case)
    run("--dtype=float32,float64").assert_outcomes(failed=1, xfailed=1)


def test_unsupported_is_verified(run: Run, pytester: pytest.Pytester) -> None:
    refuses = (
        'op("cholesky", lambda x: torch.linalg.cholesky(x @ x.T + x.new_ones(3).diag()), Tensor(3, 3), output=(3, 3))'
    )
    write(pytester, refuses, '"shape"', '@pytest.mark.unsupported("no kernel", dtype="float16")')
    result = run("--results=out", "--dtype=float16,float32")
    result.assert_outcomes(passed=1, skipped=1)
    assert sorted(rows(pytester)["outcome"]) == ["passed", "unsupported"]

    write(pytester, "LINEAR", '"shape"', '@pytest.mark.unsupported("I thought so")')
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*runs, though it is declared as unsupported (I thought so)*"])


def test_a_shape_error_is_no_lack_of_support(run: Run, pytester: pytest.Pytester) -> None:
    write(
        pytester,
        'layer("bad", lambda: nn.Linear(5, 2), Tensor("N", 4), unsupported="not here")',
        '"shape"',
    )
    run().assert_outcomes(failed=1)


def test_a_marker_of_a_check_that_is_not_run_is_still_checked(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", '"shape"', '@pytest.mark.known_failure("why", check="batch")')
    run().assert_outcomes(passed=1)


def test_skip_is_not_run(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, 'op("boom", lambda x: 1 / 0, Tensor(3), skip="it would explode")', '"shape"')
    result = run("-rs", "--results=out")
    result.stdout.fnmatch_lines(["*skipped: it would explode*"])
    assert list(rows(pytester)["outcome"]) == ["skipped"]


def test_a_check_that_does_not_apply_says_why(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "MATMUL, LINEAR", '"batch"')
    result = run("-rs", "--results=out")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*does not apply: no argument carries a batch*"])
    assert sorted(rows(pytester)["outcome"]) == ["not_applicable", "passed"]


def test_a_tolerance_marker_replaces_the_bound(run: Run, pytester: pytest.Pytester) -> None:
    one_percent = 'op("off", lambda x: x * 1.01, Tensor(8), reference=lambda x: x * 1)'
    write(pytester, one_percent, '"reference"')
    run().assert_outcomes(failed=1)
    write(pytester, one_percent, '"reference"', "@pytest.mark.tolerance(rtol=0.02, atol=0)")
    run().assert_outcomes(passed=1)


def test_a_tolerance_wider_than_the_values_fails(run: Run, pytester: pytest.Pytester) -> None:
    write(
        pytester,
        'op("flip", lambda x: -x, Tensor(8, low=-1e-3, high=1e-3), reference=lambda x: x * 1)',
        '"reference"',
        "@pytest.mark.tolerance(rtol=0, atol=2e-2)",
    )
    result = run("--dtype=bfloat16")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the declared tolerance is wider than the values*"])


def test_a_check_that_passes_in_a_test_that_fails_afterwards_is_no_pass(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", '"shape"', body="check(); assert 1 == 2")
    run("--results=out").assert_outcomes(failed=1)
    frame = rows(pytester)
    assert list(frame["outcome"]) == ["error"]
    assert "failed after its passed row" in frame["reason"][0]


def test_a_marked_test_that_takes_no_fixture_is_an_error(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it="from cases import *\n@pytest.mark.cases(CASES)\ndef test_it():\n    pass\n")
    result = run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*marked with cases, but takes none of the fixtures check, measure and case*"])


def test_a_check_that_is_never_called_fails(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", '"shape"', body="pass")
    result = run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the test never called check(), so nothing was tested*"])


def test_a_run_that_measures_nothing_is_not_green(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "MATMUL", '"batch"')
    result = run()
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*nothing was measured: every cell was skipped or did not apply*"])


def test_an_early_exit_with_code_0_is_red(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", '"shape", "batch"', body="check(); pytest.exit('enough', returncode=0)")
    result = run("--results=out")
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*not every planned cell ended*"])
    assert sorted(rows(pytester)["outcome"]) == ["not_run", "passed"]


def test_a_killed_run_keeps_its_rows_and_names_the_cell_in_flight(run: Run, pytester: pytest.Pytester) -> None:
    write(
        pytester,
        "LINEAR, op('dies', lambda x: os.kill(os.getpid(), 9), Tensor('N', 2)), MATMUL",
        '"shape"',
    )
    pytester.path.joinpath("test_it.py").write_text("import os\n" + pytester.path.joinpath("test_it.py").read_text())
    result = run("--results=out", apart=True)
    assert result.ret == -9
    frame = rows(pytester).set_index("case")
    assert dict(frame["outcome"]) == {"linear": "passed", "dies": "crashed", "matmul": "not_run"}


def test_an_error_in_a_fixture_is_a_row(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.fixture
        def broken():
            raise OSError("no such luck")

        @pytest.mark.cases([LINEAR])
        @pytest.mark.checks("shape")
        def test_correct(broken, check):
            check()
        """
    )
    run("--results=out").assert_outcomes(errors=1)
    frame = rows(pytester)
    assert list(frame["outcome"]) == ["error"]
    assert "no such luck" in frame["reason"][0]


def test_xdist_gives_the_rows_of_a_serial_run(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    run("--results=serial", "--benchmark-skip", "--dtype=float32,bf16")
    result = run("--results=parallel", "--benchmark-skip", "--dtype=float32,bf16", "-n2")
    assert result.ret == 0
    keys = ["kind", "case", "check", "phase", "mode", "device", "dtype", "outcome", "reason", "case_hash"]
    serial, parallel = (
        load(pytester.path / name)[keys].astype(str).sort_values(keys).reset_index(drop=True)
        for name in ("serial", "parallel")
    )
    assert len(serial) > 20
    assert serial.equals(parallel)
    result.stdout.fnmatch_lines(["*torchbasics*", "*linear*", "*matmul*"])


def test_timing_under_xdist_says_what_to_do(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = run("-n2", "-k", "speed and linear-forward")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*time with -n 0*--benchmark-skip*"])


def test_the_run_folder_holds_plan_rows_and_reports(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", '"shape"')
    result = run("--results=out", "--leg=laptop")
    (folder,) = (pytester.path / "out" / "runs").iterdir()
    assert {"run.json", "rows.jsonl", "rows.parquet", "report.html", "report.md"} <= {p.name for p in folder.iterdir()}
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "complete"
    assert len(record["plan"]["cells"]) == 1
    result.stdout.fnmatch_lines([f"*{Path('out') / 'runs' / folder.name}*", "*report.html*"])
    assert list(load(folder)["leg"]) == ["laptop"]


def test_without_results_nothing_is_kept(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", '"shape"')
    before = set(pytester.path.iterdir())
    run("-p", "no:cacheprovider").stdout.fnmatch_lines(["*no files were kept: give --results=DIR*"])
    assert {p.name for p in set(pytester.path.iterdir()) - before} <= {"__pycache__", ".benchmarks"}


def test_a_results_folder_that_cannot_be_made_ends_the_run_first(run: Run, pytester: pytest.Pytester) -> None:
    write(pytester, "LINEAR", '"shape"')
    pytester.path.joinpath("file").write_text("")
    result = run("--results=file/inside")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stderr.str()
    result.stderr.fnmatch_lines(["*--results=*file/inside*"])


def test_a_test_that_leaves_global_state_changed_fails_by_its_name_and_the_next_starts_clean(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.mark.cases([LINEAR])
        @pytest.mark.checks("shape")
        def test_guilty(check):
            check()
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)

        @pytest.mark.cases([LINEAR])
        @pytest.mark.checks("shape")
        def test_next(check):
            assert torch.get_default_dtype() is torch.float32 and torch.is_grad_enabled()
            check()
        """
    )
    result = run("--results=out")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["*leaves global state changed: the default dtype (torch.float64, before torch.float32), grad mode*"]
    )
    found = rows(pytester)
    assert {row["nodeid"].split("::")[1][:11]: row["outcome"] for _, row in found.iterrows()} == {
        "test_guilty": "error",
        "test_next[l": "passed",
    }


@pytest.mark.parametrize("selected", [["-k", "nothing"], ["--deselect=test_it.py"], ["-m", "timing"]])
def test_a_run_whose_checks_are_all_deselected_is_not_green(
    run: Run, pytester: pytest.Pytester, selected: list[str]
) -> None:
    write(pytester, "LINEAR", '"shape"')
    assert run(*selected).ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_empty_matrix_is_not_green(run: Run, pytester: pytest.Pytester) -> None:
    """No device, no dtype and no check that a case and the options have in common."""
    for fact, option in (("dtypes='float32'", "--dtype=float64"), ("devices='cuda'", "--device=cpu")):
        write(pytester, f"layer('one', lambda: nn.Linear(4, 2), Tensor('N', 4), {fact})", '"shape"')
        result = run(option)
        assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED, option
        result.stdout.fnmatch_lines(["*nothing was measured*"])
