"""A causal layer that mixes each position of a sequence with the ones before it."""

import torch
from torch import nn


class ShiftMix(nn.Module):
    """y[t] = silu(W [x[t], x[t-1]]): (N, T, features) -> (N, T, features)."""

    def __init__(self, features):
        super().__init__()
        self.mix = nn.Linear(2 * features, features)

    def forward(self, x):
        before = torch.zeros_like(x)
        before[:, 1:] = x[:, :-1]
        return nn.functional.silu(self.mix(torch.cat([x, before], -1)))


def rms(x):
    """Root mean square of the last dimension, never quite zero."""
    return (x.square().mean(-1) + 1e-6).sqrt()
