"""The names of execution modes, and what each part does to a function and its inputs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from pytest_torchbasics import Tensor, layer, op
from pytest_torchbasics.modes import PARTS, ModeError, parse_mode, parse_modes
from pytest_torchbasics.timing import DoesNotApply, Workload, run_once
from pytest_torchbasics.timing.workloads import _start_compiler, workload
from pytest_torchbasics.trials import Trial

CONV = layer("conv", lambda: nn.Conv2d(3, 4, 3), Tensor("N", 3, 8, 8), sizes={"N": {"check": 2, "timing": (2, 5)}})


def made(mode: str, dtype: str = "float32", sizes: str = "N=2") -> Workload:
    return workload(Trial(CONV, "cpu", dtype, mode), sizes)


def test_a_mode_is_its_parts_from_left_to_right() -> None:
    mode = parse_mode("channels_last+compile:aot_eager")
    assert [(part.name, choice) for part, choice in mode.parts] == [("channels_last", ""), ("compile", "aot_eager")]
    assert mode.any("compiles")
    assert not mode.all("checked")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("eagre", "unknown mode 'eagre', did you mean 'eager'"),
        ("compile:fast", "'fast' is none of default, reduce-overhead"),
        ("eager:x", "it has no choices"),
        ("compile+compile", "stands there twice"),
        ("eager+compile", "eager beside another"),
        ("cudagraph+autocast", "stands last"),
        ("", "mode '': a part of it is empty"),
        ("inference+", "mode 'inference\\+': a part of it is empty"),
        ("compile:inductr", "did you mean 'inductor'"),
    ],
)
def test_a_wrong_name_says_what_is_wrong_with_it(name: str, message: str) -> None:
    with pytest.raises(ModeError, match=message):
        parse_mode(name)


def test_no_name_at_all_is_wrong_and_a_name_given_twice_counts_once() -> None:
    with pytest.raises(ModeError, match="no mode is named"):
        parse_modes([])
    assert parse_modes(["eager", "compile", "eager"]) == ("eager", "compile")


def test_channels_last_reaches_inputs_and_weights_alone_of_their_layout() -> None:
    found = made("channels_last")
    image, weight, bias = found.leaves
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert not image.is_contiguous()
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert bias.is_contiguous()
    torch.testing.assert_close(found.call(*found.inputs), made("eager").call(*made("eager").inputs))


@pytest.mark.parametrize("mode", ["autocast", "autocast:bfloat16"])
def test_autocast_computes_in_the_narrow_dtype(mode: str) -> None:
    found = made(mode)
    assert found.call(*found.inputs).dtype == torch.bfloat16
    assert not torch.is_autocast_enabled("cpu")


def test_autocast_from_another_dtype_does_not_apply() -> None:
    with pytest.raises(DoesNotApply, match="autocast starts from float32, not from float64"):
        made("autocast", "float64")


def test_inference_is_evaluation_without_gradients() -> None:
    case = layer(
        "dropout", lambda: nn.Sequential(nn.Linear(9, 9), nn.Dropout(0.5)), Tensor("N", 9), random_in_training=True
    )
    found = workload(Trial(case, "cpu", "float32", "inference"))
    result = found.call(*found.inputs)
    assert result.is_inference()
    assert (result != 0).all()
    run_once(found, "forward")
    with pytest.raises(DoesNotApply, match="mode inference: there are no gradients"):
        run_once(found, "backward")


def test_inference_has_no_backward_even_of_what_returns_its_input() -> None:
    for module in (lambda: nn.ReLU(inplace=True), nn.Identity):
        found = workload(Trial(layer("it", module, Tensor("N", 9)), "cpu", "float32", "inference"))
        with pytest.raises(DoesNotApply, match="mode inference"):
            run_once(found, "backward")


def test_channels_last_says_nothing_where_there_are_no_channels() -> None:
    with pytest.raises(DoesNotApply, match="no input and no parameter is an image or a volume"):
        workload(Trial(layer("linear", lambda: nn.Linear(9, 9), Tensor("N", 9)), "cpu", "float32", "channels_last"))


def test_the_compiler_is_started_before_the_first_case_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []

    def compile_(function: Any, **options: object) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_)
    _start_compiler.cache_clear()
    found = [made("compile:aot_eager") for _ in range(2)]
    assert len(found) == 2
    _start_compiler.cache_clear()
    small = compiled[0]
    named = [getattr(function, "__qualname__", "") for function in compiled[1:]]
    assert not any("_start_compiler" in name for name in named)
    torch.testing.assert_close(small(torch.ones(2)), 2 * torch.ones(2))  # type: ignore[operator]


def test_compile_takes_a_backend() -> None:
    found = made("compile:aot_eager")
    torch.testing.assert_close(found.call(*found.inputs), found.plain(*found.inputs))  # type: ignore[misc]
    assert found.compiles


def test_graphs_do_not_apply_where_the_device_has_none() -> None:
    with pytest.raises(DoesNotApply, match="cpu has no graphs to capture"):
        made("cudagraph")


def test_every_combination_of_the_sizes_to_time_has_its_name() -> None:
    case = op(
        "add",
        torch.add,
        Tensor("N", "T", "C"),
        Tensor("N", "T", "C"),
        sizes={"N": {"check": 2, "timing": (1, 8)}, "T": {"timing": (16, 32)}, "C": (3, 4)},
    )
    found = case.timing_assignments()
    assert list(found) == ["N=1,T=16", "N=1,T=32", "N=8,T=16", "N=8,T=32"]
    assert found["N=8,T=16"] == {"N": 8, "T": 16, "C": 4}
    assert workload(Trial(case, "cpu", "float32"), "N=8,T=16").inputs[0].shape == (8, 16, 4)


def test_every_part_has_a_line_of_help() -> None:
    assert all(part.description and "\n" not in part.description for part in PARTS.values())
