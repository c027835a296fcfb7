"""Whether two implementations computed the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_torchbasics.ab.equality import difference

VALUES = np.linspace(-1, 1, 9)


def compared(tmp_path: Path, head: dict[str, Any], dtype: str = "float32", base: dict[str, Any] | None = None) -> str:
    for name, arrays in (("base", {"output": VALUES} if base is None else base), ("head", head)):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    return difference(tmp_path / "base.npz", tmp_path / "head.npz", dtype)


@pytest.mark.parametrize(
    ("head", "dtype", "said"),
    [
        (VALUES, "float32", ""),
        (VALUES + 1e-6, "float32", ""),
        (VALUES + 5e-7, "float64", ""),
        (VALUES + 1e-4, "float32", "output: 9 of 9 values differ, by up to 0.0001 of the largest"),
        (VALUES + 1e-2, "bfloat16", ""),
        (VALUES[:3], "float32", r"output has the shape (3,), the baseline's has (9,)"),
        (np.where(VALUES > 0.9, np.nan, VALUES), "float32", "NaN or infinity is in other places"),
    ],
)
def test_rounding_is_no_difference_and_more_is(tmp_path: Path, head: Any, dtype: str, said: str) -> None:
    found = compared(tmp_path, {"output": head}, dtype)
    assert said in found
    assert bool(said) == bool(found)


def test_the_limit_and_the_distance_are_shares_of_the_largest_value(tmp_path: Path) -> None:
    """1.3e-5 in float32, so of 1000 it is 0.013."""
    large = {"output": 1000 * VALUES}
    assert compared(tmp_path, {"output": 1000 * VALUES + 0.012}, base=large) == ""
    said = compared(tmp_path, {"output": 1000 * VALUES + 0.02}, base=large)
    assert said == "output: 9 of 9 values differ, by up to 2e-05 of the largest (1e-05 allowed)"


def test_of_small_values_the_limit_is_as_small(tmp_path: Path) -> None:
    small = {"output": 1e-3 * VALUES}
    assert compared(tmp_path, {"output": 1e-3 * VALUES + 1.2e-8}, base=small) == ""
    said = compared(tmp_path, {"output": 1e-3 * VALUES + 2e-8}, base=small)
    assert said == "output: 9 of 9 values differ, by up to 2e-05 of the largest (1e-05 allowed)"


def test_of_an_unknown_dtype_everything_that_differs_is_told(tmp_path: Path) -> None:
    assert compared(tmp_path, {"output": VALUES}, "float3") == ""
    said = compared(tmp_path, {"output": VALUES + 1e-9}, "float3")
    assert said == "output: 9 of 9 values differ, by up to 1e-09 of the largest (0 allowed)"


def test_nothing_finite_and_all_zeros_can_be_compared(tmp_path: Path) -> None:
    for values in (np.full(3, np.nan), np.zeros(3), np.zeros(0)):
        assert compared(tmp_path, {"output": values}, base={"output": values}) == ""
    said = compared(tmp_path, {"output": np.full(3, 0.5)}, base={"output": np.zeros(3)})
    assert said == "output: 3 of 3 values differ, by up to 0.5 of the largest (1e-05 allowed)"


@pytest.mark.parametrize("head", [-np.inf, np.nan, 1.0])
@pytest.mark.parametrize("kind", [float, complex])
def test_infinity_is_equal_to_itself_only(tmp_path: Path, head: float, kind: type) -> None:
    infinite = {"output": np.array([1.0, np.inf, np.nan], dtype=kind)}
    assert compared(tmp_path, infinite, base=infinite) == ""
    other = {"output": np.array([1.0, head, np.nan], dtype=kind)}
    assert "NaN or infinity is in other places, or of another kind" in compared(tmp_path, other, base=infinite)


def test_whole_numbers_must_be_equal_and_names_the_same(tmp_path: Path) -> None:
    whole = {"output": np.arange(5)}
    other = {"output": np.array([0, 1, 3, 3, 4])}
    assert compared(tmp_path, whole, "int64", whole) == ""
    assert compared(tmp_path, other, "int64", whole) == "output: 1 of 5 values differ"
    more = {"output": VALUES, "gradient of input[0]": VALUES}
    assert compared(tmp_path, more) == "gradient of input[0] is on one side only"


def test_another_dtype_of_an_output_is_a_difference(tmp_path: Path) -> None:
    base, head = ({"dtypes": np.array(["torch.float32", dtype])} for dtype in ("torch.int64", "torch.int32"))
    assert compared(tmp_path, base, base=base) == ""
    said = "dtypes: torch.float32, torch.int32, the baseline's: torch.float32, torch.int64"
    assert compared(tmp_path, head, base=base) == said


@pytest.mark.parametrize("sides", [("good", "evil"), ("evil", "good")])
def test_nothing_is_unpickled(tmp_path: Path, sides: tuple[str, str]) -> None:
    np.savez(tmp_path / "evil.npz", output=np.array([{"a": 1}], dtype=object))
    np.savez(tmp_path / "good.npz", output=VALUES)
    base, head = (tmp_path / f"{name}.npz" for name in sides)
    with pytest.raises(ValueError, match="allow_pickle"):
        difference(base, head, "float32")
