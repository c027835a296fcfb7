"""Linear layers, embeddings and dropout."""

from __future__ import annotations

import torch
from torch import nn

from pytest_torchbasics import Declared, Tensor, layer, parameters

X = Tensor("N", 4)
IDS = Tensor("N", 5, dtype="int64", high=7)


def linear(m, x):
    return (x[..., None, :] * m.weight).sum(-1) + m.bias


def rows(m, ids):
    return torch.nn.functional.one_hot(ids, 7).to(m.weight.dtype) @ m.weight


def mean_of_rows(m, ids):
    return rows(m, ids).mean(1)


IN_PLACE = "it renormalises its weights in place"
SWITCHED_OFF = {"random_in_training": True, "reference": lambda m, x: 1 * x}

CASES = [
    layer("identity", nn.Identity, X, output=("N", 4), reference=lambda m, x: 1 * x),
    layer("linear", lambda: nn.Linear(4, 3), X, output=("N", 3), reference=linear, properties=[parameters(15)]),
    layer("linear/images", lambda: nn.Linear(4, 3), Tensor("N", 2, 3, 4), output=("N", 2, 3, 3), reference=linear),
    layer("linear/no-bias", lambda: nn.Linear(4, 3, bias=False), X, output=("N", 3), properties=[parameters(12)]),
    layer("lazy-linear", lambda: nn.LazyLinear(3), X, output=("N", 3), reference=linear),
    layer(
        "bilinear",
        lambda: nn.Bilinear(3, 4, 2),
        Tensor("N", 3),
        X,
        output=("N", 2),
        reference=lambda m, a, b: torch.einsum("ni,oij,nj->no", a, m.weight, b) + m.bias,
    ),
    layer("embedding", lambda: nn.Embedding(7, 4), IDS, output=("N", 5, 4), reference=rows),
    layer(
        "embedding/padding-idx",
        lambda: nn.Embedding(7, 4, padding_idx=2),
        IDS,
        output=("N", 5, 4),
        known_failure=dict.fromkeys(("gradient", "forward_gradient"), "the padding row gets no gradient, on purpose"),
    ),
    layer(
        "embedding/max-norm",
        lambda: nn.Embedding(7, 4, max_norm=0.5),
        IDS,
        output=("N", 5, 4),
        known_failure=[
            Declared(IN_PLACE, check="gradient"),
            Declared(IN_PLACE, check="mutation"),
            *(Declared(IN_PLACE, check="movement", dtype=dtype) for dtype in ("float32", "float64")),
        ],
    ),
    layer("embedding/sparse", lambda: nn.Embedding(7, 4, sparse=True), IDS, output=("N", 5, 4)),
    layer("embedding-bag", lambda: nn.EmbeddingBag(7, 4), IDS, output=("N", 4), reference=mean_of_rows),
    layer("embedding-bag/max", lambda: nn.EmbeddingBag(7, 4, mode="max"), IDS, output=("N", 4)),
    layer(
        "embedding-bag/weights",
        lambda: nn.EmbeddingBag(7, 4, mode="sum"),
        IDS,
        None,
        Tensor("N", 5),
        output=("N", 4),
        batch=(0, 2),
        reference=lambda m, ids, _, weights: (rows(m, ids) * weights[..., None]).sum(1),
    ),
    layer("dropout", lambda: nn.Dropout(0.4), Tensor("N", 20), output=("N", 20), **SWITCHED_OFF),
    layer("dropout1d", lambda: nn.Dropout1d(0.4), Tensor("N", 8, 3), output=("N", 8, 3), **SWITCHED_OFF),
    layer("dropout2d", lambda: nn.Dropout2d(0.4), Tensor("N", 8, 3, 2), output=("N", 8, 3, 2), **SWITCHED_OFF),
    layer("dropout3d", lambda: nn.Dropout3d(0.4), Tensor("N", 8, 2, 2, 2), output=("N", 8, 2, 2, 2), **SWITCHED_OFF),
    layer("alpha-dropout", lambda: nn.AlphaDropout(0.4), Tensor("N", 20), output=("N", 20), **SWITCHED_OFF),
    layer(
        "feature-alpha-dropout",
        lambda: nn.FeatureAlphaDropout(0.4),
        Tensor("N", 8, 3),
        output=("N", 8, 3),
        **SWITCHED_OFF,
    ),
]
