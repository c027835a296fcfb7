"""Gradients that are wrong where a usual test would not look."""

from __future__ import annotations

from .row import checked

FUNCTIONS = """
class Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

class Zero(Sine):
    @staticmethod
    def backward(ctx, g):
        return torch.zeros_like(g)

class Missing(Sine):
    @staticmethod
    def backward(ctx, g):
        return None

class Twice(Sine):
    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0].cos()

class Negated(Sine):
    @staticmethod
    def backward(ctx, g):
        return -g * ctx.saved_tensors[0].cos()

class Flipped(Sine):
    @staticmethod
    def backward(ctx, g):
        return (g * ctx.saved_tensors[0].cos()).flip(0)

class TwiceInFloat32(Sine):
    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0].cos() * (2 if g.dtype == torch.float32 else 1)

class OneOf4096(Sine):
    @staticmethod
    def backward(ctx, g):
        gradient = g * ctx.saved_tensors[0].cos()
        gradient[0, 0] *= 10
        return gradient

class Detached(Sine):
    @staticmethod
    def backward(ctx, g):
        return g.detach() * ctx.saved_tensors[0].cos()

class Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.softmax(-1)

    @staticmethod
    def backward(ctx, g):
        return torch.zeros_like(g)

class DetachedWeight(nn.Linear):
    def forward(self, x):
        return F.linear(x, self.weight.detach(), self.bias)

class Unused(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.forgotten = nn.Parameter(torch.ones(2))

class InTraining(nn.Linear):
    def forward(self, x):
        y = super().forward(x)
        return y.detach() * 2 - y if self.training else y

def wrong(function, *shape):
    return op("wrong", function.apply, Tensor(*shape), output=shape, reference=torch.sin)
"""


def row(name: str, case: str, says: str, check: str = "gradient") -> None:
    checked(name, "gradients", case, check, says, before=FUNCTIONS)


for kind in ("Zero", "Missing", "Twice", "Negated", "Flipped"):
    row(f"gradient-{kind.lower()}", f"wrong({kind}, 3, 6)", "the gradient by input[0] is wrong")
    row(
        f"gradient-{kind.lower()}-against-float64",
        f"wrong({kind}, 3, 6)",
        "gradient by input[0]" if kind != "Missing" else "is missing",
        "gradient_reference",
    )
row("gradient-in-float32", "wrong(TwiceInFloat32, 3, 6)", "18 of 18 elements are wrong", "gradient_reference")
row("gradient-of-one-in-4096", "wrong(OneOf4096, 64, 64)", "1 of 4096 elements; the worst at index (0, 0)")
row(
    "gradient-that-a-sum-hides",
    'op("wrong", Softmax.apply, Tensor(3, 6), output=(3, 6))',
    "the gradient by input[0] is wrong",
)
row(
    "gradient-of-a-parameter",
    'layer("wrong", lambda: DetachedWeight(6, 2), Tensor("N", 6), output=("N", 2))',
    "the gradient by parameter weight is wrong",
)
row(
    "gradient-of-parameters-alone",
    'layer("wrong", lambda: DetachedWeight(6, 2), Tensor("N", 6, requires_grad=False), output=("N", 2))',
    "the gradient by parameter weight is wrong",
)
row(
    "gradient-that-is-none",
    'layer("wrong", lambda: Unused(6, 2), Tensor("N", 6), output=("N", 2))',
    "parameter forgotten",
    "parameters",
)
row(
    "gradient-in-training",
    'layer("wrong", lambda: InTraining(6, 2), Tensor("N", 6), output=("N", 2))',
    "in training mode",
)
row(
    "graph-that-is-cut",
    'op("wrong", lambda x: x.detach() * 2, Tensor(3, 6), output=(3, 6))',
    "no output depends on input[0]",
)
row(
    "second-gradient-zero",
    'op("wrong", Detached.apply, Tensor(3, 6), output=(3, 6))',
    "the derivative of the gradient by the gradient sent back is 0",
    "second_gradient",
)
