"""Modes: what evaluation hides, state that is left behind, modes that silently do nothing."""

from __future__ import annotations

from .row import checked

LAYERS = """
class AlwaysDrops(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.5)

class NeverDrops(nn.Module):
    def forward(self, x):
        return x * 1

class StopsAtTheTop(nn.Sequential):
    def train(self, mode=True):
        self.training = mode
        return self

class NotRegistered(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.randn(6)

    def forward(self, x):
        return x * self.scale.to(x)

class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        self.mean.add_(x.detach().mean(0))
        return x * 2

class ComparesDtype(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        return y if y.dtype == x.dtype else y * 1.5

def leaves_float64(x):
    torch.set_default_dtype(torch.float64)
    return x * 2
"""


def row(name: str, case: str, check: str, says: str) -> None:
    checked(name, "modes", case, check, says, before=LAYERS)


X = 'Tensor("N", 6), output=("N", 6)'
row("dropout-in-evaluation", f'layer("drops", AlwaysDrops, {X})', "determinism", "is random in evaluation mode")
row(
    "no-dropout-in-training",
    f'layer("never", NeverDrops, {X}, random_in_training=True)',
    "determinism",
    "another seed gives the same result",
)
row(
    "evaluation-of-the-top-alone",
    f'layer("stops", lambda: StopsAtTheTop(nn.Linear(6, 6), nn.Tanh()), {X})',
    "modes",
    "after eval() these are still in training mode: 0, 1",
)
row(
    "state-that-is-not-saved",
    f'layer("unsaved", NotRegistered, {X})',
    "state",
    "differs in a fresh module that loaded the state_dict",
)
row("statistics-in-evaluation", f'layer("counts", Counts, {X})', "mutation", "mutation: ")
row(
    "wrong-under-autocast-only",
    'layer("compares", lambda: ComparesDtype(6, 2), Tensor("N", 6), output=("N", 2))',
    "autocast",
    "under autocast to bfloat16",
)
row(
    "compiled-in-part",
    f'op("breaks", lambda x: x * 2 if x.sum() > -1e9 else -x, {X}, fullgraph=True)',
    "compile",
    "declared fullgraph=True, but the graph breaks",
)
row(
    "settings-left-changed",
    f'op("leaves", leaves_float64, {X})',
    "shape",
    "it changes what is global, and leaves it so: the default dtype (torch.float64, before torch.float32)",
)
