"""Declared exceptions that hide more than they say, or are out of date."""

from __future__ import annotations

from .row import checked, run


def row(name: str, case: str, says: str, outcome: str, check: str = "batch", **more: str) -> None:
    checked(name, "declarations", case, check, says, outcome, **more)


row(
    "a-known-failure-that-passes",
    'layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4), known_failure={"batch": "not any more"})',
    "passes, though it is declared as a known failure (not any more)",
    "xpassed",
)
row(
    "a-marked-failure-that-passes",
    "LINEAR",
    "passes, though it is declared as a known failure (not any more)",
    "xpassed",
    marks='@pytest.mark.known_failure("not any more", check="batch")',
)
row(
    "a-known-failure-that-is-another",
    'op("typo", lambda x: torch.matmull(x), Tensor("N", 6), known_failure={"batch": "known"})',
    "has no attribute 'matmull'",
    "error",
)
row(
    "a-known-failure-of-another-check",
    'op("mean", lambda x: x - x.mean(0), Tensor("N", 6), known_failure={"gradient": "known"})',
    "items of a batch influence each other",
    "failed",
)
row(
    "a-known-failure-of-another-dtype",
    'op("mean", lambda x: x - x.mean(0), Tensor("N", 6), known_failure=Declared("known", dtype="float64"))',
    "items of a batch influence each other",
    "failed",
)
row(
    "unsupported-that-runs",
    'layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4), unsupported="no kernel")',
    "runs, though it is declared as unsupported (no kernel)",
    "xpassed",
    "shape",
)
row(
    "unsupported-for-a-fault-of-its-own",
    'layer("bad", lambda: nn.Linear(5, 2), Tensor("N", 4), unsupported="no kernel")',
    "mat1 and mat2 shapes cannot be multiplied",
    "error",
    "shape",
)
row(
    "everything-is-skipped",
    'op("wrong", lambda x: x * 2, Tensor(3), output=(4,), skip="later")',
    "nothing was measured: every cell was skipped or did not apply",
    "skipped",
    "shape",
)

TEST = """
@pytest.mark.cases([{case}])
{marks}
def test_it(check):
    check()
"""
for name, case, marks, says in (
    ("an-exception-for-no-check", 'op("x", torch.sin, Tensor(3), skip={"bacth": "why"})', "", "unknown check 'bacth'"),
    ("an-exception-without-a-reason", 'op("x", torch.sin, Tensor(3), skip="")', "", "needs a reason in words"),
    ("a-marker-for-no-check", "LINEAR", '@pytest.mark.known_failure("why", check="bacth")', "unknown check 'bacth'"),
    ("an-exception-for-no-device", 'op("x", torch.sin, Tensor(3), skip=Declared("why", device="cdua"))', "", "'cdua'"),
):  # fmt: skip
    run(name, "declarations", TEST.format(case=case, marks=marks), says, code=2, summary={"errors": 1})
