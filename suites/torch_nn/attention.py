"""Attention and transformers."""

from __future__ import annotations

from torch import nn

from pytest_torchbasics import Tensor, layer

X, MEMORY = Tensor("N", 4, 4), Tensor("N", 3, 4)
SMALL = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, "batch_first": True}
CLONED = {"parameters": "the layers are deep copies of one, so they start with the same values"}


def attention(m, q, k, v):
    """Head by head, from the parameters."""
    head = m.embed_dim // m.num_heads
    projected = [
        x @ w.T + b for x, w, b in zip((q, k, v), m.in_proj_weight.chunk(3), m.in_proj_bias.chunk(3), strict=True)
    ]
    q, k, v = (x.unflatten(-1, (m.num_heads, head)).transpose(1, 2) for x in projected)
    weights = (q @ k.mT / head**0.5).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2) @ m.out_proj.weight.T + m.out_proj.bias, weights.mean(1)


def encoder_layer(**options):
    return nn.TransformerEncoderLayer(**SMALL, **options)


def decoder_layer(**options):
    return nn.TransformerDecoderLayer(**SMALL, **options)


CASES = [
    layer(
        "multihead-attention",
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        X,
        MEMORY,
        MEMORY,
        output=[("N", 4, 4), ("N", 4, 3)],
        reference=attention,
    ),
    layer("transformer-encoder-layer", lambda: encoder_layer(dropout=0.0), X, output=("N", 4, 4)),
    layer(
        "transformer-encoder-layer/norm-first",
        lambda: encoder_layer(norm_first=True, activation="gelu"),
        X,
        output=("N", 4, 4),
        random_in_training=True,
    ),
    layer(
        "transformer-encoder",
        lambda: nn.TransformerEncoder(encoder_layer(dropout=0.0), 2),
        X,
        output=("N", 4, 4),
        known_failure=CLONED,
    ),
    layer("transformer-decoder-layer", lambda: decoder_layer(dropout=0.0), X, MEMORY, output=("N", 4, 4)),
    layer(
        "transformer-decoder",
        lambda: nn.TransformerDecoder(decoder_layer(dropout=0.0), 2),
        X,
        MEMORY,
        output=("N", 4, 4),
        known_failure=CLONED,
    ),
    layer(
        "transformer",
        lambda: nn.Transformer(4, 2, 1, 1, 6, dropout=0.0, batch_first=True),
        MEMORY,
        X,
        output=("N", 4, 4),
    ),
]
