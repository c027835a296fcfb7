"""Containers, each inside a module that uses it."""

from __future__ import annotations

import torch
from torch import nn

from pytest_torchbasics import Tensor, layer

X = Tensor("N", 4)


class Listed(nn.Module):
    """Layers and scales in lists."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
        self.scales = nn.ParameterList(torch.rand(4) for _ in range(2))

    def forward(self, x):
        for linear, scale in zip(self.layers, self.scales, strict=True):
            x = x + scale * linear(x).tanh()
        return x


class Named(nn.Module):
    """Layers and scales by name."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"up": nn.Linear(4, 6), "down": nn.Linear(6, 4)})
        self.scales = nn.ParameterDict({"up": torch.rand(6), "down": torch.rand(4)})

    def forward(self, x):
        return self.layers["down"](self.layers["up"](x).sigmoid() * self.scales["up"]) * self.scales["down"]


CASES = [
    layer("sequential", lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)), X, output=("N", 2)),
    layer("module-and-parameter-list", Listed, X, output=("N", 4)),
    layer("module-and-parameter-dict", Named, X, output=("N", 4)),
]
