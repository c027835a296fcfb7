"""The network: as the tutorial writes it, which loses the batch, and corrected."""

from __future__ import annotations

import torch
from torch import nn

from pytest_torchbasics import Tensor, layer, op

from .layers import IMAGE, ONE_AND_THREE, conv_relu_pool


def features():
    return nn.Sequential(*conv_relu_pool(5, 6), *conv_relu_pool(6, 4))


class AsWritten(nn.Module):
    """Flattens every dimension, so it takes batches of 3 only and forgets that they are batches."""

    def __init__(self):
        super().__init__()
        self.features = features()
        self.classifier = nn.Sequential(nn.Linear(96, 10))

    def forward(self, x):
        return self.classifier(self.features(x).flatten())


class Corrected(nn.Module):
    """Flattens from dimension 1 on, for a batch of any size."""

    def __init__(self):
        super().__init__()
        self.features = features()
        self.classifier = nn.Sequential(nn.Linear(32, 10))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def structure():
    """Layers of the two parts of the network as written, and parameters of its three layers that have some."""
    with torch.device("meta"):  # its weights do not matter, so none are drawn
        network = AsWritten()
    sizes = [sum(p.numel() for p in module.parameters(recurse=False)) for module in network.modules()]
    return [len(network.features), len(network.classifier), *(size for size in sizes if size)]


def has_96_features(network, x):
    assert network.features(x).numel() == 96


CASES = [
    layer("cnn/features", features, IMAGE, output=("N", 4, 4, 2), sizes=ONE_AND_THREE),
    op(
        "cnn/flatten",
        lambda x: x.flatten(1),
        Tensor("N", 4, 4, 2),
        output=("N", 32),
        sizes=ONE_AND_THREE,
        reference=lambda x: torch.stack([item.reshape(32) for item in x]) if len(x) else x.new_zeros(0, 32),
    ),
    layer(
        "cnn/head",
        lambda: nn.Linear(32, 10),
        Tensor("N", 32),
        output=("N", 10),
        sizes=ONE_AND_THREE,
        reference=lambda linear, x: (x[:, None] * linear.weight).sum(-1) + linear.bias,
    ),
    layer(
        "cnn/as-written",
        AsWritten,
        Tensor(3, 5, 4, 2),
        output=(10,),
        batch=(0,),
        properties=(has_96_features,),
        known_failure={"batch": "flatten() without start_dim=1 takes the batch for features"},
    ),
    layer(
        "cnn/corrected",
        Corrected,
        IMAGE,
        output=("N", 10),
        sizes={"N": {"check": (1, 3, 32), "timing": 32}},
    ),
    op(
        "cnn/structure",
        lambda device: torch.tensor(structure(), device=device),
        samples=lambda device, dtype, generator: [(device,)],
        output=(5,),
        output_dtype="int64",
        reference=lambda device: torch.tensor([6, 1, 126, 100, 970]),
        differentiable=False,
    ),
]
