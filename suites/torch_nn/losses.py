"""Losses, each beside its formula; they have no batch dimension in their result."""

from __future__ import annotations

import torch
from torch import nn

from pytest_torchbasics import Declared, Tensor, layer

from . import NO_LOW_PRECISION

X, Y = Tensor("N", 4), Tensor("N", 4)
CLASSES = Tensor("N", dtype="int64", high=4)
SHARE = Tensor("N", 4, low=0.05, high=0.95, requires_grad=False)
ROW = Tensor("N")


def sign(*shape):
    """Targets of 1 and -1."""
    return Tensor(*shape, dtype="int64", low=0, high=2)


def log_softmax(x):
    return x - x.logsumexp(-1, keepdim=True)


def picked(x, y):
    """The element of each row that its class points to."""
    return (x * nn.functional.one_hot(y, x.shape[-1])).sum(-1)


def distance(a, b, eps=1e-6):
    return (a - b + eps).square().sum(-1).sqrt()


def huber(x, y, delta):
    error = (x - y).abs()
    return torch.where(error < delta, error**2 / 2, delta * (error - delta / 2))


def softplus(x):
    return torch.logaddexp(x, torch.zeros_like(x))


def cosine(a, b, eps=0.0):
    return (a * b).sum(-1) / ((a.square().sum(-1) + eps) * (b.square().sum(-1) + eps)).sqrt()


class Signed(nn.Module):
    """A loss whose targets are 1 and -1, made from 1 and 0."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, *inputs):
        *others, target = inputs
        return self.loss(*others, (2 * target - 1).to(others[0].dtype))


class Lengths(nn.CTCLoss):
    """CTC with inputs and targets of full length."""

    def forward(self, x, y):
        sizes = torch.full((x.shape[1],), x.shape[0]), torch.full((x.shape[1],), y.shape[1])
        return super().forward(log_softmax(x), y, *sizes)


def signs(function):
    """The reference of a loss whose targets are 1 and -1."""
    return lambda m, *inputs: function(*inputs[:-1], 2 * inputs[-1] - 1).mean()


def multi_label_margin(m, x, y):
    """Every wrong class should be 1 below the one right class (the first target; the second one ends the list)."""
    right = picked(x, y[:, 0])
    others = 1 - nn.functional.one_hot(y[:, 0], x.shape[-1])
    return ((1 - right[:, None] + x).clamp_min(0) * others).sum(-1).mean() / x.shape[-1]


class FirstLabel(nn.MultiLabelMarginLoss):
    """Multi-label margin loss with one label a row; -1 ends the list of labels."""

    def forward(self, x, y):
        return super().forward(x, nn.functional.pad(y, (0, x.shape[1] - 1), value=-1))


#: A class by name, how it is made, its inputs and the formula of its result.
FORMULAS = {
    "l1-loss": (nn.L1Loss, (X, Y), lambda m, x, y: (x - y).abs().mean()),
    "mse-loss": (nn.MSELoss, (X, Y), lambda m, x, y: (x - y).square().mean()),
    "mse-loss/sum": (lambda: nn.MSELoss(reduction="sum"), (X, Y), lambda m, x, y: (x - y).square().sum()),
    "smooth-l1-loss": (lambda: nn.SmoothL1Loss(beta=0.7), (X, Y), lambda m, x, y: huber(x, y, 0.7).mean() / 0.7),
    "huber-loss": (lambda: nn.HuberLoss(delta=0.7), (X, Y), lambda m, x, y: huber(x, y, 0.7).mean()),
    "nll-loss": (nn.NLLLoss, (X, CLASSES), lambda m, x, y: -picked(x, y).mean()),
    "cross-entropy-loss": (nn.CrossEntropyLoss, (X, CLASSES), lambda m, x, y: -picked(log_softmax(x), y).mean()),
    "cross-entropy-loss/smoothing": (
        lambda: nn.CrossEntropyLoss(label_smoothing=0.1),
        (X, CLASSES),
        lambda m, x, y: -(0.9 * picked(log_softmax(x), y) + 0.1 * log_softmax(x).mean(-1)).mean(),
    ),
    "cross-entropy-loss/weights": (
        lambda: nn.CrossEntropyLoss(torch.tensor([0.2, 1.0, 3.0, 0.5])),
        (X, CLASSES),
        lambda m, x, y: -(m.weight[y] * picked(log_softmax(x), y)).sum() / m.weight[y].sum(),
    ),
    "cross-entropy-loss/ignore-index": (
        lambda: nn.CrossEntropyLoss(ignore_index=2),
        (Tensor(9, 4), Tensor(9, dtype="int64", high=4)),
        lambda m, x, y: -picked(log_softmax(x), y)[y != 2].mean(),
    ),
    "bce-loss": (
        nn.BCELoss,
        (Tensor("N", 4, low=0.05, high=0.95), SHARE),
        lambda m, x, y: -(y * x.log() + (1 - y) * (1 - x).log()).mean(),
    ),
    "bce-with-logits-loss": (
        lambda: nn.BCEWithLogitsLoss(pos_weight=torch.tensor([0.5, 1.0, 2.0, 3.0])),
        (X, SHARE),
        lambda m, x, y: (m.pos_weight * y * softplus(-x) + (1 - y) * softplus(x)).mean(),
    ),
    "kl-div-loss": (
        lambda: nn.KLDivLoss(reduction="batchmean"),
        (X, SHARE),
        lambda m, x, y: (y * (y.log() - x)).sum() / len(x),
    ),
    "poisson-nll-loss": (
        nn.PoissonNLLLoss,
        (X, Tensor("N", 4, low=0.0, high=3.0, requires_grad=False)),
        lambda m, x, y: (x.exp() - y * x).mean(),
    ),
    "soft-margin-loss": (
        lambda: Signed(nn.SoftMarginLoss()),
        (X, sign("N", 4)),
        signs(lambda x, y: softplus(-y * x)),
    ),
    "margin-ranking-loss": (
        lambda: Signed(nn.MarginRankingLoss(0.3)),
        (ROW, ROW, sign("N")),
        signs(lambda a, b, y: (0.3 - y * (a - b)).clamp_min(0)),
    ),
    "hinge-embedding-loss": (
        lambda: Signed(nn.HingeEmbeddingLoss()),
        (X, sign("N", 4)),
        signs(lambda x, y: torch.where(y > 0, x, (1 - x).clamp_min(0))),
    ),
    "cosine-embedding-loss": (
        lambda: Signed(nn.CosineEmbeddingLoss()),
        (X, Y, sign("N")),
        signs(lambda a, b, y: torch.where(y > 0, 1 - cosine(a, b, 1e-12), cosine(a, b, 1e-12).clamp_min(0))),
    ),
    "multi-label-margin-loss": (FirstLabel, (X, Tensor("N", 1, dtype="int64", high=4)), multi_label_margin),
    "multi-label-soft-margin-loss": (
        nn.MultiLabelSoftMarginLoss,
        (X, SHARE),
        lambda m, x, y: (y * softplus(-x) + (1 - y) * softplus(x)).mean(),
    ),
    "triplet-margin-loss": (
        nn.TripletMarginLoss,
        (X, Y, Y),
        lambda m, a, p, n: (distance(a, p) - distance(a, n) + 1).clamp_min(0).mean(),
    ),
    "triplet-margin-with-distance-loss": (
        lambda: nn.TripletMarginWithDistanceLoss(distance_function=distance, margin=0.5),
        (X, Y, Y),
        lambda m, a, p, n: (distance(a, p) - distance(a, n) + 0.5).clamp_min(0).mean(),
    ),
}

#: What does not hold, by case.
FAILURES = {
    "soft-margin-loss": [
        Declared("torch computes log(1 + exp(-yx)) as it is written, which overflows", check="edge_values", dtype=dtype)
        for dtype in ("float32", "bfloat16", "float16")
    ],
}

CASES = [
    *(
        layer(
            name,
            make,
            *inputs,
            output=(),
            batch=(),
            reference=formula,
            known_failure=FAILURES.get(name, ()),
            unsupported=NO_LOW_PRECISION if name == "multi-label-margin-loss" else (),
        )
        for name, (make, inputs, formula) in FORMULAS.items()
    ),
    layer(
        "mse-loss/none",
        lambda: nn.MSELoss(reduction="none"),
        X,
        Y,
        output=("N", 4),
        reference=lambda m, x, y: x * x - 2 * x * y + y * y,
    ),
    layer(
        "multi-margin-loss",
        nn.MultiMarginLoss,
        X,
        CLASSES,
        output=(),
        batch=(),
        reference=lambda m, x, y: (
            ((1 - picked(x, y)[:, None] + x).clamp_min(0) * (1 - nn.functional.one_hot(y, 4))).sum(-1).mean() / 4
        ),
        unsupported=NO_LOW_PRECISION,
    ),
    layer(
        "gaussian-nll-loss",
        nn.GaussianNLLLoss,
        X,
        Y,
        Tensor("N", 4, low=0.5, high=2.0),
        output=(),
        batch=(),
        reference=lambda m, x, y, v: (v.log() + (x - y) ** 2 / v).mean() / 2,
        known_failure={"synchronization": "it looks for negative variances, and so reads a value on the host"},
    ),
    layer(
        "ctc-loss",
        Lengths,
        Tensor(6, "N", 5),
        Tensor("N", 2, dtype="int64", low=1, high=5),
        output=(),
        batch=(),
        unsupported=NO_LOW_PRECISION,
    ),
    layer("pairwise-distance", nn.PairwiseDistance, X, Y, output=("N",), reference=lambda m, a, b: distance(a, b)),
    layer(
        "cosine-similarity",
        lambda: nn.CosineSimilarity(-1),
        X,
        Y,
        output=("N",),
        reference=lambda m, a, b: cosine(a, b),
    ),
    layer(
        "adaptive-log-softmax-with-loss",
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 10, [4, 7], div_value=2.0),
        Tensor("N", 8),
        Tensor("N", dtype="int64", high=10),
        output=[("N",), ()],
        sizes={"N": (9, 12)},
        batch=(),
        known_failure={"synchronization": "it sorts the targets by cluster, on the host"},
    ),
]
if hasattr(nn, "LinearCrossEntropyLoss"):
    CASES.append(
        layer(
            "linear-cross-entropy-loss",
            lambda: nn.LinearCrossEntropyLoss(6, 4),
            Tensor("N", 6),
            CLASSES,
            output=(),
            batch=(),
        )
    )
