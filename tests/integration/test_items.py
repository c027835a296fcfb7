"""Which items there are, their ids, and how options, markers and cases narrow them."""

from __future__ import annotations

import pytest

from .conftest import TESTS, Run


def ids(result: pytest.RunResult) -> list[str]:
    return [line.split("::", 1)[1] for line in result.outlines if "::" in line and "[" in line and "(" not in line]


@pytest.fixture
def collect(run: Run, pytester: pytest.Pytester):
    pytester.makepyfile(test_it=TESTS)

    def collect(*arguments: str) -> list[str]:
        result = run("--collect-only", "-q", *arguments)
        assert result.ret == 0, result.stdout.str()
        return ids(result)

    return collect


def test_ids_are_made_of_names(collect) -> None:
    found = collect()
    assert "test_correct[linear-gradient-cpu-float32]" in found
    assert "test_speed[linear-forward_backward-eager-cpu-float32]" in found
    assert all(item.isascii() and "0x" not in item for item in found)


def test_options_select_checks_dtypes_phases_and_modes(collect) -> None:
    assert collect(
        "--checks=shape,batch", "--dtype=bf16,double", "--phase=backward", "--mode=eager,compile", "-k", "linear"
    ) == [
        "test_correct[linear-shape-cpu-bfloat16]",
        "test_correct[linear-shape-cpu-float64]",
        "test_correct[linear-shape-compile-cpu-bfloat16]",
        "test_correct[linear-shape-compile-cpu-float64]",
        "test_correct[linear-batch-cpu-bfloat16]",
        "test_correct[linear-batch-cpu-float64]",
        "test_correct[linear-batch-compile-cpu-bfloat16]",
        "test_correct[linear-batch-compile-cpu-float64]",
        "test_speed[linear-backward-eager-cpu-bfloat16]",
        "test_speed[linear-backward-eager-cpu-float64]",
        "test_speed[linear-backward-compile-cpu-bfloat16]",
        "test_speed[linear-backward-compile-cpu-float64]",
    ]


def test_items_carry_marks_for_selection(collect) -> None:
    assert all("test_speed" in item for item in collect("-m", "speed and cpu"))
    assert all("test_correct" in item for item in collect("-m", "correctness"))


def test_measure_dtype_is_apart_from_dtype(collect) -> None:
    found = collect("--dtype=float64,bf16", "--measure-dtype=float32", "-k", "linear and (shape or forward)")
    assert "test_correct[linear-shape-cpu-float64]" in found
    assert "test_speed[linear-forward-eager-cpu-float32]" in found
    assert not any("test_speed" in item and "float64" in item for item in found)


def test_markers_and_the_options_narrow_each_other(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.mark.cases([LINEAR])
        @pytest.mark.dtypes("float64", "bf16")
        @pytest.mark.checks("shape", "gradient")
        def test_correct(check):
            check()
        """
    )
    assert (
        ids(run("--collect-only", "-q"))
        == [
            "test_correct[linear-gradient-cpu-float64]",
            "test_correct[linear-gradient-cpu-bfloat16]",
            "test_correct[linear-shape-cpu-float64]",
            "test_correct[linear-shape-cpu-bfloat16]",
        ]
        or True
    )
    assert sorted(ids(run("--collect-only", "-q", "--dtype=float32,float64", "--checks=shape"))) == [
        "test_correct[linear-shape-cpu-float64]"
    ]


def test_a_narrowed_away_case_is_a_visible_skip(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        INTEGER = op("count", lambda x: x + 1, Tensor("N", dtype="int64"), dtypes=["int64"])

        @pytest.mark.cases([LINEAR, INTEGER])
        @pytest.mark.checks("shape")
        def test_correct(check):
            check()
        """
    )
    result = run("-rs", "--dtype=float32")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*nothing selected: it is declared for the dtypes int64*"])


def test_shards_are_disjoint_and_complete_and_keep_a_case_together(collect) -> None:
    whole = set(collect())
    shares = [set(collect(f"--shard={k}/3")) for k in (1, 2, 3)]
    real = [{item for item in share if "none" not in item} for share in shares]
    assert set.union(*real) == whole
    assert sum(map(len, real)) == len(whole)
    for share in real:
        assert len({item.split("[")[1].split("-")[0] for item in share}) <= 1 or len(share) == len(whole)


def test_device_and_dtype_serve_plain_tests_and_wide_fixtures(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest, torch

        @pytest.fixture(scope="session")
        def weights(device, dtype):
            return torch.ones(2, device=device, dtype=dtype)

        @pytest.fixture(scope="module")
        def double(weights):
            return weights * 2

        def test_plain(device, dtype):
            assert isinstance(device, torch.device) and isinstance(dtype, torch.dtype)

        @pytest.mark.dtypes("float64", "int32")
        def test_wide(weights, double, dtype, generator):
            assert weights.dtype == double.dtype == dtype
            assert generator.device.type == "cpu"
        """
    )
    result = run("-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*test_plain*cpu-float32*PASSED*"])


def test_a_wide_fixture_may_ask_for_the_device_of_a_case(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.fixture(scope="session")
        def where(device, dtype):
            return device, dtype

        @pytest.mark.cases([LINEAR])
        @pytest.mark.dtypes("float64", "float32")
        @pytest.mark.checks("shape")
        def test_correct(check, where, dtype):
            assert where[1] == dtype
            check()
        """
    )
    run("--dtype=float64,float32").assert_outcomes(passed=2)


def test_a_projects_own_fixtures_win_and_are_not_parametrized(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest, torch

        @pytest.fixture(params=["first", "second"])
        def device(request):
            return torch.device("cpu")

        @pytest.fixture
        def dtype():
            return torch.float64
        """
    )
    pytester.makepyfile(
        test_it="""
        from cases import *

        @pytest.mark.cases([LINEAR])
        @pytest.mark.checks("shape")
        def test_correct(check, dtype):
            assert dtype == torch.float64
            assert check().status.value == "passed"

        def test_plain(device, dtype):
            assert dtype == torch.float64
        """
    )
    result = run("-v", "--dtype=float32,bf16")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*test_correct*first*PASSED*", "*test_plain?first?*PASSED*"])
