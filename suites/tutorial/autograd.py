"""Autograd: the gradient of y = 3x^2 at x = 5 is 30."""

from __future__ import annotations

from pytest_torchbasics import Tensor, op


def gradient_is_thirty(square, x):
    x.requires_grad_()
    square(x).backward()
    assert x.grad == 30


CASES = [
    op(
        "autograd/square",
        lambda x: 3 * x**2,
        Tensor(fill=5.0),
        output=(),
        reference=lambda x: (x + x + x) * x,
        properties=(gradient_is_thirty,),
    ),
]
