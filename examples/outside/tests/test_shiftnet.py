import pytest
import torch
from shiftnet import ShiftMix, rms

from pytest_torchbasics import Tensor, layer, op


def position_by_position(module, x):
    """The definition, one position after the other."""
    weight, bias = module.mix.weight, module.mix.bias
    rows = []
    for t in range(x.shape[1]):
        before = x[:, t - 1] if t else torch.zeros_like(x[:, 0])
        rows.append(torch.cat([x[:, t], before], -1) @ weight.T + bias)
    y = torch.stack(rows, 1)
    return y / (1 + (-y).exp())


def is_causal(module, x):
    """Later positions do not change earlier results."""
    later = x.clone()
    later[:, -1] += 1
    return torch.equal(module(later)[:, :-1], module(x)[:, :-1])


CASES = [
    layer(
        "shift-mix",
        lambda: ShiftMix(4),
        Tensor("N", "T", 4),
        output=("N", "T", 4),
        sizes={"N": {"check": (2, 3), "timing": 16}, "T": {"check": (5, 1), "timing": 64}},
        reference=position_by_position,
        properties=[is_causal],
    ),
    op(
        "rms",
        rms,
        Tensor("N", 8),
        output=("N",),
        reference=lambda x: ((x * x).sum(-1) / 8 + 1e-6) ** 0.5,
    ),
]


@pytest.mark.cases(CASES)
def test_correct(check):
    check()


@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()


def test_it_runs_on_the_device(trained, device, generator):
    x = torch.randn(2, 3, 4, device=device, generator=generator)
    assert trained(x).device == x.device
