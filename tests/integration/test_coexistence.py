"""Living beside other plugins and beside projects that have options and fixtures of our names."""

from __future__ import annotations

import pytest

from .conftest import TESTS, Run

KORNIA = """
import pytest, torch

def pytest_addoption(parser):
    parser.addoption("--device", action="store", default="cpu")
    parser.addoption("--dtype", action="store", default="float32")

@pytest.fixture
def kornia_device(request):
    return request.config.getoption("--device")
"""


@pytest.fixture
def plain(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_plain="def test_plain():\n    pass\n")


def test_a_conftest_that_defines_device_and_dtype_starts(run: Run, pytester: pytest.Pytester, plain: None) -> None:
    pytester.makeconftest(KORNIA)
    run("--device=all", "--dtype", "float16", device=None, apart=True).assert_outcomes(passed=1)


def test_its_values_are_followed(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(KORNIA)
    pytester.makepyfile(test_it=TESTS)
    result = run("--device=cpu", "--dtype=bfloat16", "--checks=shape", "-k", "linear-shape", "-v", device=None)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*--dtype=bfloat16 is an option of this project's conftest, and is followed*"])
    result.stdout.fnmatch_lines(["*test_correct?linear-shape-cpu-bfloat16? PASSED*"])


def test_a_missing_device_named_by_its_option_is_red(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(KORNIA)
    pytester.makepyfile(test_it=TESTS)
    result = run("--device=cuda:99", device=None)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.assert_outcomes(passed=0, errors=1)
    result.stderr.fnmatch_lines(["ERROR: --device=cuda:99*usable here: cpu*"])


@pytest.mark.parametrize("name", ["gpu", "gpu0", "GPU:1", "cuda0", "nvidia"])
def test_another_word_for_a_device_is_refused_and_never_passed_over(
    run: Run, pytester: pytest.Pytester, name: str
) -> None:
    pytester.makeconftest(KORNIA)
    pytester.makepyfile(test_it=TESTS)
    result = run(f"--device={name}", "-k", "linear-shape", device=None)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.assert_outcomes(passed=0, errors=1)
    result.stderr.fnmatch_lines([f"ERROR: --device={name}: unknown device*did you mean*"])


def test_a_value_that_names_no_device_is_not_followed(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(KORNIA)
    pytester.makepyfile(test_it=TESTS)
    result = run("--device=my-phone", "--torchbasics-device=cpu", "-k", "linear-shape", device=None)
    result.assert_outcomes(passed=1)


def test_our_own_long_names_win(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(KORNIA)
    pytester.makepyfile(test_it=TESTS)
    result = run("--dtype=float16", "--torchbasics-dtype=float64", "-k", "linear-shape", "-v")
    result.stdout.fnmatch_lines(["*test_correct?linear-shape-cpu-float64? PASSED*"])


@pytest.mark.parametrize("spelling", [("--device=cpu",), ("--device", "cpu"), ("--device=cpu", "--device=cpu")])
def test_bare_names_work_in_every_spelling(run: Run, pytester: pytest.Pytester, spelling: tuple[str, ...]) -> None:
    pytester.makepyfile(test_it=TESTS)
    run(*spelling, "-k", "linear-shape", device=None).assert_outcomes(passed=1)


def test_bare_names_work_in_addopts_and_help(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    pytester.makeini("[pytest]\naddopts = --device=cpu --dtype=float64\n")
    run("-k", "linear-shape", device=None, apart=True).assert_outcomes(passed=1)
    result = run("--help", device=None, apart=True)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*--torchbasics-device=*", "*--device=*"])


def test_listing_the_plugin_in_a_conftest_as_well_does_no_harm(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["pytest_torchbasics.plugin"]')
    pytester.makepyfile(test_it=TESTS)
    run("-k", "linear-shape", apart=True).assert_outcomes(passed=1)


def test_names_that_a_test_parametrizes_or_defines_itself_are_its_own(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_theirs="""
        import pytest

        @pytest.fixture
        def check():
            return "mine"

        @pytest.fixture(params=["a", "b"])
        def mode(request):
            return request.param

        @pytest.mark.parametrize("case", [1, 2])
        @pytest.mark.parametrize(("device", "dtype"), [("x", "y")])
        def test_theirs(case, device, dtype, check, mode):
            assert check == "mine"
            assert device == "x"
        """
    )
    run().assert_outcomes(passed=4)


def test_a_device_of_ours_is_tried_though_another_option_is_foreign(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest('def pytest_addoption(parser):\n    parser.addoption("--dtype", default="float32")\n')
    pytester.makepyfile(test_it=TESTS)
    assert run("--device=cuda:99", device=None).ret == pytest.ExitCode.USAGE_ERROR


def test_another_plugins_check_is_theirs_in_their_tests(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        other_plugin="""
        import pytest

        @pytest.fixture
        def check():
            return "theirs"
        """,
        test_theirs="def test_theirs(check):\n    assert check == 'theirs'\n",
    )
    pytester.syspathinsert()
    run("-p", "other_plugin", "-k", "theirs").assert_outcomes(passed=1)


def test_beside_pytest_torch(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS, test_theirs="def test_theirs(torch_device):\n    assert torch_device\n")
    result = run("--torch-device=cpu", "-k", "theirs or linear-shape", others=("pytest_torch",), apart=True)
    result.assert_outcomes(passed=2)


def test_beside_pytest_playwright(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS, test_theirs="def test_theirs(device):\n    assert device == 'iPhone 13'\n")
    result = run(
        "--device=iPhone 13", "-k", "theirs or linear-shape-cpu", device=None, others=("playwright",), apart=True
    )
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*--device is an option of another plugin; 'iPhone 13' is not followed*"])


def test_beside_pytest_codspeed(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=TESTS,
        test_theirs="def test_theirs(benchmark):\n    assert benchmark(lambda: 3) == 3\n",
    )
    chosen = ("-k", "theirs or linear-forward-", "--timer-quality=quick")
    run(*chosen, apart=True, others=("codspeed", "CodSpeedPlugin")).assert_outcomes(passed=2)
    result = run(
        *chosen,
        "--codspeed",
        "--codspeed-max-time=0.2",
        "--codspeed-warmup-time=0.1",
        others=("codspeed", "CodSpeedPlugin"),
    )
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=2)


def test_beside_all_of_them_and_xdist(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=TESTS)
    everybody = ("codspeed", "CodSpeedPlugin", "playwright", "pytest_torch")
    run("-n2", "-k", "linear-shape or matmul-shape", others=everybody, apart=True).assert_outcomes(passed=2)


def test_a_project_that_uses_none_of_it_imports_nothing_heavy(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_plain="""
        import sys

        def test_plain():
            heavy = {"torch", "pandas", "numpy", "scipy", "pyarrow", "rich", "pytest_torchbasics.trials"}
            assert heavy & set(sys.modules) == set()
        """
    )
    run("-p", "no:benchmark", device=None, apart=True).assert_outcomes(passed=1)
    run("-p", "no:benchmark", "-n1", device=None, apart=True).assert_outcomes(passed=1)
