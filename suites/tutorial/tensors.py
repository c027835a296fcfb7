"""Tensors: making them, changing their shape, and multiplying them."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from pytest_torchbasics import Tensor, op

ROWS = [[1, 2, 3], [1, 2, 3]]


def on_device(device, dtype, generator):
    """The only argument of an op that makes a tensor out of nothing."""
    return [(device,)]


def on_device_in_dtype(device, dtype, generator):
    return [(device, dtype)]


def arrays(device, dtype, generator):
    """NumPy arrays of several dtypes."""
    values = np.arange(6).reshape(2, 3)
    return [(values.astype(kind), device) for kind in ("int64", "uint8", "float32", "float64", "bool")]


def keeps_values_and_dtype(make, array, device):
    made = make(array, device)
    assert made.tolist() == array.tolist()
    assert str(made.dtype).removeprefix("torch.") == str(array.dtype)


def copies_the_array(make, array, device):
    made = make(array, device)
    before = made.clone()
    array[...] = array[::-1, ::-1] + 1 if array.dtype != bool else ~array
    assert torch.equal(made, before), "the tensor shares the array's memory"


def shares_the_array(make, array, device):
    made = make(array, device)
    array[0, 0] = 1
    assert made[0, 0] == 1, "the tensor does not share the array's memory"


def is_independent(copy, x):
    made = copy(x)
    before = x.clone()
    made.add_(1)
    assert torch.equal(x, before), "changing the copy changed the original"


def is_all_ones(add_one, x):
    assert bool((add_one(x) == 1).all())


def transpose_by_attribute(x):
    """`.T` as the tutorial spells it: on more than two dimensions it is deprecated, and will raise one day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return x.T


def transposed(x):
    """Every element at its reversed index, one by one."""
    result = x.new_zeros(tuple(reversed(x.shape)))
    for index in np.ndindex(*x.shape):
        result[tuple(reversed(index))] = x[index]
    return result


def rows_in_order(x):
    """A (2, 3, 4) tensor's elements in row-major order as (3, 2, 4)."""
    rows = [x[i, j] for i in range(2) for j in range(3)]
    return torch.stack([torch.stack(rows[k : k + 2]) for k in (0, 2, 4)])


def documented_product(a, b):
    return torch.tensor([[16.0, 16.0], [16.0, 12.0]], dtype=torch.float64)


CASES = [
    op(
        "tensor/from-list",
        lambda device: torch.tensor([0, 1], device=device),
        samples=on_device,
        output=(2,),
        output_dtype="int64",
        reference=lambda device: torch.arange(2),
        differentiable=False,
    ),
    op(
        "tensor/from-list-float",
        lambda device: torch.tensor([0, 1], dtype=torch.float, device=device),
        samples=on_device,
        output=(2,),
        output_dtype="float32",
        reference=lambda device: torch.arange(2.0),
        differentiable=False,
    ),
    op(
        "tensor/from-list-bool",
        lambda device: torch.tensor([0, 1], dtype=torch.bool, device=device),
        samples=on_device,
        output=(2,),
        output_dtype="bool",
        reference=lambda device: torch.arange(2) > 0,
        differentiable=False,
    ),
    op(
        "tensor/from-numpy",
        lambda array, device: torch.tensor(array, device=device),
        samples=arrays,
        output=(2, 3),
        reference=lambda array, device: torch.tensor(array.tolist()),
        properties=(keeps_values_and_dtype, copies_the_array),
        differentiable=False,
        skip={"shape": "the dtype is the array's, so it differs from sample to sample: see properties"},
    ),
    op(
        "tensor/from-numpy-shared",
        lambda array, device: torch.from_numpy(array),
        samples=arrays,
        output=(2, 3),
        devices=("cpu",),
        reference=lambda array, device: torch.tensor(array.tolist()),
        properties=(keeps_values_and_dtype, shares_the_array),
        differentiable=False,
        skip={"shape": "the dtype is the array's, so it differs from sample to sample: see properties"},
    ),
    op(
        "tensor/from-tensor",
        lambda x: x.detach().clone(),
        Tensor(2, 3),
        output=(2, 3),
        reference=lambda x: torch.stack([row * 1 for row in x.detach()]),
        properties=(is_independent,),
        differentiable=False,
    ),
    op(
        "tensor/zeros",
        lambda device, dtype: torch.zeros(2, 3, 4, device=device, dtype=dtype),
        samples=on_device_in_dtype,
        output=(2, 3, 4),
        reference=lambda device, dtype: torch.full((2, 3, 4), 0.0, dtype=torch.float64),
        differentiable=False,
    ),
    op("tensor/reshape", lambda x: x.reshape(3, 2, 4), Tensor(2, 3, 4), output=(3, 2, 4), reference=rows_in_order),
    op("tensor/reshape-zeros", lambda x: x.reshape(3, 2, 4), Tensor(2, 3, 4, fill=0), output=(3, 2, 4)),
    op("tensor/add-scalar", lambda x: x + 1, Tensor(2, 3, 4), output=(2, 3, 4), reference=lambda x: 1 + x),
    op(
        "tensor/add-scalar-zeros",
        lambda x: x + 1,
        Tensor(2, 3, 4, fill=0),
        output=(2, 3, 4),
        properties=(is_all_ones,),
    ),
    op("tensor/transpose", transpose_by_attribute, Tensor(2, 3, 4), output=(4, 3, 2), reference=transposed),
    op("tensor/transpose-zeros", transpose_by_attribute, Tensor(2, 3, 4, fill=0), output=(4, 3, 2)),
    op("tensor/permute", lambda x: x.permute(2, 1, 0), Tensor(2, 3, 4), output=(4, 3, 2), reference=transposed),
    op(
        "tensor/matmul",
        torch.matmul,
        Tensor(2, 3, fill=[[1, 2, 3], [3, 2, 1]]),
        Tensor(3, 2, fill=[[3, 2], [2, 1], [3, 4]]),
        output=(2, 2),
        reference=documented_product,
    ),
    op(
        "tensor/cat-0",
        lambda *parts: torch.cat(parts, 0),
        *[Tensor(2, 3, fill=ROWS)] * 3,
        output=(6, 3),
        reference=lambda *parts: torch.tensor(ROWS * 3, dtype=torch.float64),
    ),
    op(
        "tensor/cat-1",
        lambda *parts: torch.cat(parts, 1),
        *[Tensor(2, 3, fill=ROWS)] * 3,
        output=(2, 9),
        reference=lambda *parts: torch.tensor([row * 3 for row in ROWS], dtype=torch.float64),
    ),
]
