"""Recurrent layers and cells; the states have the batch in dimension 1."""

from __future__ import annotations

from torch import nn

from pytest_torchbasics import Tensor, layer

SEQUENCE = Tensor("N", 5, 3)
X, H = Tensor("N", 3), Tensor("N", 4)
FOLLOWS = {"batch": ()}


def gates(m, x, h):
    return x @ m.weight_ih.T + m.bias_ih + h @ m.weight_hh.T + m.bias_hh


def lstm_cell(m, x, h, c):
    i, f, g, o = gates(m, x, h).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def gru_cell(m, x, h):
    r, z, n = (x @ m.weight_ih.T + m.bias_ih).chunk(3, -1)
    hr, hz, hn = (h @ m.weight_hh.T + m.bias_hh).chunk(3, -1)
    z = (z + hz).sigmoid()
    return (1 - z) * (n + (r + hr).sigmoid() * hn).tanh() + z * h


class Pair(nn.LSTMCell):
    """An LSTM cell that takes its two states one by one."""

    def forward(self, x, h, c):
        return super().forward(x, (h, c))


CASES = [
    layer("rnn", lambda: nn.RNN(3, 4, batch_first=True), SEQUENCE, output=[("N", 5, 4), (1, "N", 4)], **FOLLOWS),
    layer("rnn/relu", lambda: nn.RNN(3, 4, 2, "relu"), Tensor(5, "N", 3), output=[(5, "N", 4), (2, "N", 4)], **FOLLOWS),
    layer(
        "lstm",
        lambda: nn.LSTM(3, 4, batch_first=True),
        SEQUENCE,
        output=[("N", 5, 4), (1, "N", 4), (1, "N", 4)],
        **FOLLOWS,
    ),
    layer(
        "lstm/bidirectional-dropout",
        lambda: nn.LSTM(3, 2, 2, batch_first=True, bidirectional=True, dropout=0.4),
        SEQUENCE,
        output=[("N", 5, 4), (4, "N", 2), (4, "N", 2)],
        random_in_training=True,
        **FOLLOWS,
    ),
    layer(
        "lstm/projected",
        lambda: nn.LSTM(3, 4, proj_size=2, batch_first=True),
        SEQUENCE,
        output=[("N", 5, 2), (1, "N", 2), (1, "N", 4)],
        **FOLLOWS,
    ),
    layer("gru", lambda: nn.GRU(3, 4, batch_first=True), SEQUENCE, output=[("N", 5, 4), (1, "N", 4)], **FOLLOWS),
    layer("rnn-cell", lambda: nn.RNNCell(3, 4), X, H, output=("N", 4), reference=lambda m, x, h: gates(m, x, h).tanh()),
    layer("lstm-cell", lambda: Pair(3, 4), X, H, H, output=[("N", 4), ("N", 4)], reference=lstm_cell),
    layer("gru-cell", lambda: nn.GRUCell(3, 4), X, H, output=("N", 4), reference=gru_cell),
]
