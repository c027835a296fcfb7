"""Inputs that hide faults, and references that share them."""

from __future__ import annotations

from .row import OUT_OF_SCOPE, checked, run

IGNORES_WEIGHT = """
class Wrong(nn.Linear):
    def forward(self, x):
        return x @ (2 * self.weight).T + self.bias

def right(module, x):
    return x @ module.weight.T + module.bias

def zeros(device, dtype, generator):
    return [(torch.zeros(3, 4, device=device, dtype=dtype),)]

def ones(device, dtype, generator):
    return [(torch.ones(3, 4, device=device, dtype=dtype),)]

def symmetric(device, dtype, generator):
    x = torch.randn(4, 4, device=device, dtype=dtype, generator=generator)
    return [(x + x.T,)]

def one_zero(device, dtype, generator):
    return [(torch.zeros(1, device=device, dtype=dtype),)]

def same_index(device, dtype, generator):
    return [(torch.zeros(6, device=device, dtype=torch.int64),)]

def with_nan(device, dtype, generator):
    x = torch.randn(3, 4, device=device, dtype=dtype, generator=generator)
    x[0] = float("nan")
    return [(x,)]
"""


def row(name: str, case: str, check: str, says: str, outcome: str = "failed") -> None:
    checked(name, "inputs", case, check, says, outcome, before=IGNORES_WEIGHT)


WRONG = 'layer("wrong", lambda: Wrong(4, 2), {}, reference=right)'
HIDES = "such an input hides most faults"

row("zeros", WRONG.format("samples=zeros"), "reference", f"is constant: {HIDES}")
row("zeros-for-gradients", WRONG.format("samples=zeros"), "gradient", f"is constant: {HIDES}")
row("ones", WRONG.format("samples=ones"), "reference", f"is constant: {HIDES}")
row("symmetric", 'op("wrong", lambda x: x.T * 1, samples=symmetric, reference=lambda x: x * 1)', "reference", HIDES)
row("one-zero", 'op("wrong", lambda x: x * 3, samples=one_zero, reference=lambda x: x * 1)', "reference", HIDES)
row(
    "one-index",
    'layer("wrong", lambda: nn.Embedding(5, 4), samples=same_index, reference=lambda m, i: m.weight[i * 2])',
    "reference",
    HIDES,
)
row(
    "declared-zeros",
    'layer("wrong", lambda: Wrong(4, 2), Tensor(3, 4, fill=0), reference=right)',
    "reference",
    "the declared input is constant, which would hide most faults",
    "not_applicable",
)
row(
    "square",
    'op("wrong", lambda x: x.T * 1, Tensor(4, 4), output=(4, 4), reference=lambda x: x * 1)',
    "reference",
    "12 of 16 elements are wrong",
)
row(
    "both-signs",
    'op("wrong", lambda x: x * 1, Tensor(40), reference=torch.relu)',
    "reference",
    "of 40 elements are wrong",
)
row(
    "batch-of-one",
    'op("wrong", lambda x: x - x.mean(0), Tensor(1, 6), output=(1, 6), batch=(0,))',
    "batch",
    "no batch of 2 or more items is declared",
    "not_applicable",
)
row(
    "empty",
    'op("wrong", lambda x: x * 3, Tensor(0, 4), output=(0, 4), reference=lambda x: x * 1)',
    "reference",
    "nothing was compared",
    "not_applicable",
)
row(
    "no-samples",
    'op("wrong", lambda x: x * 3, samples=lambda device, dtype, generator: [], reference=lambda x: x * 1)',
    "reference",
    "samples() must return a list of tuples of arguments",
    "error",
)
row(
    "no-parameters",
    'layer("relu", nn.ReLU, Tensor("N", 4), output=("N", 4))',
    "parameters",
    "it has no parameters",
    "not_applicable",
)
row("nan", WRONG.format("samples=with_nan"), "reference", "the reference is NaN in 2 of 6 elements")
row(
    "no-gradient-required",
    'op("wrong", lambda x: x * 3, Tensor(4, requires_grad=False), output=(4,))',
    "gradient",
    "no input and no parameter requires a gradient",
    "not_applicable",
)
row(
    "one-element",
    'op("wrong", lambda x: -x, Tensor(1), output=(1,), reference=lambda x: x * 1)',
    "reference",
    "1 of 1 elements are wrong",
)

OUT_OF_SCOPE["inputs of one sign that were declared so"] = (
    "the domain of a logarithm cannot be told from a mistake; without low= and high= values of both signs are drawn"
)

# --- what the result is compared with ----------------------------------------------------------------------


def referred(name: str, case: str, says: str, outcome: str = "failed", *, before: str = "", dtype: str = "") -> None:
    checked(name, "reference", case, "reference", says, outcome, before=before, dtype=dtype or "float32")


for alias, returns in (("itself", "x"), ("a-view", "x.view(-1).view(x.shape)"), ("a-slice", "x[:]")):
    referred(
        f"in-place-against-{alias}",
        f'op("wrong", lambda x: x.mul_(2), Tensor(3, 6, requires_grad=False), reference=lambda x: {returns})',
        "18 of 18 elements are wrong",
    )
run(
    "the-same-function",
    "reference",
    "CASE = op('wrong', torch.sin, Tensor(3, 6), reference=torch.sin)",
    "case 'wrong': reference= is the function that it judges",
    code=2,
    summary={"errors": 1},
)
referred(
    "the-module-itself",
    'layer("wrong", lambda: nn.Linear(4, 2), Tensor("N", 4), reference=lambda module, x: module(x))',
    "the reference calls the module that it judges",
    "error",
)
referred(
    "no-reference-in-float64",
    'op("wrong", lambda x: x * 3, Tensor(3, 6), output=(3, 6))',
    "it would be compared with itself",
    "not_applicable",
    dtype="float64",
)
OUT_OF_SCOPE["a reference that calls the function that it judges by another name"] = (
    "it is a function of its own to everybody but its reader"
)
checked(
    "no-reference-of-gradients-in-float64",
    "reference",
    'op("wrong", lambda x: x * 3, Tensor(3, 6), output=(3, 6))',
    "gradient_reference",
    "it would be compared with itself",
    "not_applicable",
    dtype="float64",
)
checked(
    "a-buffer-that-the-next-call-overwrites",
    "reference",
    'op("counts", counts, Tensor(6, requires_grad=False))',
    "mutation",
    "mutation: ",
    before="KEPT = torch.zeros(6)\n\ndef counts(x):\n    return KEPT.add_(1)\n",
)
