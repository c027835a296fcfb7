"""Comparisons that would let wrong values through: NaN, infinities, forms, tolerances."""

from __future__ import annotations

from .row import OUT_OF_SCOPE, checked


def row(
    family: str,
    name: str,
    case: str,
    says: str,
    outcome: str = "failed",
    check: str = "reference",
    before: str = "",
    **more: str,
) -> None:
    checked(name, family, case, check, says, outcome, before=before, **more)


row(
    "nan",
    "nan-equals-nan",
    'op("nan", lambda x: x * float("nan"), Tensor(6), reference=lambda x: x * float("nan"))',
    "NaN in 6 of 6 elements",
)
row(
    "nan",
    "one-nan",
    'op("nan", lambda x: torch.where(torch.arange(6) == 3, float("nan"), x), Tensor(6), reference=lambda x: x * 1)',
    "1 of 6 elements are NaN or infinite where the reference is finite",
)
row(
    "nan",
    "nan-without-a-reference",
    'op("nan", lambda x: x * float("nan"), Tensor(6))',
    "NaN in 6 of 6 elements",
    dtype="float64",
)
row(
    "nan",
    "infinite-everywhere",
    'op("infinite", lambda x: x.abs() / 0, Tensor(6), reference=lambda x: x.square() / 0)',
    "is infinite everywhere",
    "not_applicable",
)
row(
    "nan",
    "infinity-of-the-other-sign",
    'op("infinite", lambda x: mask(x, -1), Tensor(6), reference=lambda x: mask(x, 1))',
    "elements are wrong",
    before='def mask(x, sign):\n    return torch.where(torch.arange(6) == 3, sign * float("inf"), x)\n',
)
row(
    "nan",
    "nan-that-is-swept-away",
    'op("hides", lambda x: torch.nan_to_num(x) * 2, Tensor(3, 6), output=(3, 6))',
    "does not show in the result",
    check="edge_values",
)
row(
    "nan",
    "overflow",
    'op("overflows", lambda x: (x * 300) ** 2 / 90000, Tensor(50), reference=lambda x: x * x)',
    "NaN or infinite where the reference is finite",
    dtype="float16",
)
row(
    "nan",
    "nan-gradient",
    'layer("root", Root, Tensor("N", 6), output=("N", 6))',
    "the gradient of parameter a is NaN or infinite",
    check="parameters",
    before="""
class Root(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(6))

    def forward(self, x):
        return x * (self.a * self.a).sqrt()
""",
)

# --- shape, dtype, device, layout, count ------------------------------------------------------------------


def form(name: str, case: str, says: str, outcome: str = "failed", check: str = "shape", **more: str) -> None:
    row("form", name, case, says, outcome, check, **more)


MEAN = 'op("mean", lambda x: x.mean(-1, keepdim=True), Tensor(3, 6), {})'
form("broadcasts", MEAN.format("reference=lambda x: x"), "a dimension is missing or broadcast", check="reference")
form("other-shape", MEAN.format("output=(3, 6)"), "declared is (3, 6)")
form("other-dtype", 'op("wide", lambda x: x.double(), Tensor(3), output=(3,))', "has dtype float64, expected float32")
form("other-device", 'op("meta", lambda x: x.to("meta"), Tensor(3), output=(3,))', "is on meta")
form("other-layout", 'op("sparse", lambda x: x.to_sparse(), Tensor(3, 6), output=(3, 6))', "has layout torch.sparse")
form(
    "integers-for-numbers",
    'op("rounds", lambda x: (x * 3).long(), Tensor(6), reference=lambda x: x * 3)',
    "has dtype torch.int64, the reference torch.float64",
    check="reference",
)
form(
    "fewer-results",
    'op("one", lambda x: (x + 1,), Tensor(6), reference=lambda x: (x + 1, x + 2))',
    "it returns 1 tensors, the reference 2",
    check="reference",
)
form("declared-but-none", 'op("none", lambda x: None, Tensor(3), output=(3,))', "it returns no tensor")
form("none", 'op("none", lambda x: None, Tensor(3))', "it returns no tensor", "not_applicable", "reference")
form(
    "half-inside",
    'op("half", lambda x: (x.half() * 2).to(x.dtype), Tensor(3, 6), reference=lambda x: x + x)',
    "elements are wrong",
    check="reference",
)
form(
    "float32-inside-float64",
    'op("single", lambda x: x.float().sin().to(x.dtype), Tensor(3, 6), reference=torch.sin)',
    "elements are wrong",
    check="reference",
    dtype="float64",
)
form(
    "float64-inside-float32",
    'op("double", lambda x: x.double().logsumexp(-1).to(x.dtype), Tensor(3, 6), output=(3,))',
    "it computes in float64 inside of float32",
    check="movement",
)

# --- tolerance --------------------------------------------------------------------------------------------

SMALL = 'op("flips", lambda x: -x, Tensor(40, low=-1e-3, high=1e-3), reference=lambda x: x * 1{})'


def wrong(
    name: str, function: str, says: str, reference: str = "x * 1", tensor: str = "Tensor(40)", **more: str
) -> None:
    case = f'op("wrong", lambda x: {function}, {tensor}, reference=lambda x: {reference})'
    row("tolerance", name, case, says, **more)


WIDE = "the declared tolerance is wider than the values"
row("tolerance", "a-sign-in-bfloat16", SMALL.format(""), "elements are wrong", dtype="bfloat16")
row("tolerance", "a-wide-case", SMALL.format(", tolerance=dict(rtol=0, atol=2e-2)"), WIDE)
row(
    "tolerance",
    "a-wide-marker",
    SMALL.format(""),
    WIDE,
    marks="@pytest.mark.tolerance(rtol=0, atol=2e-2)",
    dtype="bfloat16",
)
row("tolerance", "an-infinite-one", SMALL.format(""), WIDE, marks='@pytest.mark.tolerance(rtol=float("inf"), atol=0)')
wrong("one-in-a-thousand", "x * 1.001", "40 of 40 elements are wrong")
wrong("twice", "x * 2", "40 of 40 elements are wrong")
wrong("zeroed", "x * 0", "40 of 40 elements are wrong")
wrong("negated", "-x", "40 of 40 elements are wrong")
wrong("permuted", "x.flip(0)", "40 of 40 elements are wrong")
wrong(
    "one-of-100000",
    "torch.where(torch.arange(100_000) == 7, x + 1, x)",
    "1 of 100000 elements are wrong; the worst at index (7,)",
    tensor="Tensor(100_000)",
)
wrong("bytes-that-wrap", "x - 251", "of 40 elements are wrong", "x + 6", 'Tensor(40, dtype="uint8")')
row(
    "tolerance",
    "memory-read-in-another-order",
    'op("raw", lambda x: x.as_strided(x.shape, (6, 1)) * 2, Tensor(3, 6), output=(3, 6))',
    "output for transposed inputs",
    check="strides",
)

OUT_OF_SCOPE["-0.0 for 0.0"] = "they are equal by IEEE 754 and in torch"
OUT_OF_SCOPE["an error of 1 % in bfloat16"] = "a few roundings come to as much; float32 finds it"
