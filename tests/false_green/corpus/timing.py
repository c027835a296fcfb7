"""Times of work that was not done."""

from __future__ import annotations

from collections.abc import Mapping

from .row import OUT_OF_SCOPE, run


def row(
    name: str,
    case: str,
    says: str,
    outcome: str,
    *,
    code: int = 1,
    summary: Mapping[str, int] | None = None,
    body: str = "measure()",
    phase: str = "forward",
    arguments: tuple[str, ...] = (),
    verify: int | None = None,
    cells: Mapping[str, int] | None = None,
) -> None:
    test = f"""
async def later(x):
    return x * 2

@pytest.mark.cases([{case}])
def test_it(measure):
    {body}
"""
    given = (f"--phase={phase}", "--timer-quality=quick", *arguments)
    found = {outcome: 1} if cells is None else cells
    run(
        name,
        "timing",
        test,
        says,
        code=code,
        verify=verify,
        summary=summary or {"failed": 1},
        cells=found,
        arguments=given,
    )


NOTHING = "so there is no work to time"
X = "Tensor(3, 6, requires_grad=False)"
row("a-module-for-a-result", f'op("lazy", lambda x: nn.Linear(6, 2), {X})', f"it returns a Linear, {NOTHING}", "error")
row("a-generator", f'op("lazy", lambda x: (y * 2 for y in x), {X})', f"it returns a generator, {NOTHING}", "error")
row("a-coroutine", f'op("lazy", later, {X})', f"it returns a coroutine, {NOTHING}", "error")
row("a-meta-tensor", f'op("lazy", lambda x: x.to("meta") @ x.to("meta").T, {X})', NOTHING, "error")
row("an-error", f'op("raises", lambda x: x @ x, {X})', "RuntimeError", "error")
row(
    "an-error-that-is-caught",
    f'op("raises", lambda x: x @ x, {X})',
    "the test went on after its own call ended as error",
    "error",
    body="with contextlib.suppress(BaseException): measure()",
)
row(
    "never-measured",
    "LINEAR",
    "never called measure()",
    "error",
    body="assert callable(measure)",
    summary={"passed": 1, "errors": 1},
)
row(
    "no-gradient-to-time",
    f'op("plain", lambda x: x * 2, {X})',
    "nothing requires a gradient",
    "not_applicable",
    phase="backward",
    code=5,
    summary={"skipped": 1},
)
row(
    "skipped-by-benchmark-skip",
    "LINEAR",
    "nothing was measured",
    "skipped",
    code=5,
    summary={"skipped": 1},
    arguments=("--benchmark-skip",),
)
row(
    "switched-off",
    "LINEAR",
    "timing is switched off",
    "skipped",
    code=0,
    verify=2,
    summary={"passed": 1},
    arguments=("--benchmark-disable",),
)

OUT_OF_SCOPE["a call that returns what it kept from the last one"] = (
    "a table of positions that is made once is the same, and right; where what is kept is out of date, checks find it"
)
OUT_OF_SCOPE["--benchmark-compare-fail under --benchmark-disable or -n"] = (
    "pytest-benchmark's own gate; `torchbasics compare` is a step of its own and fails where it finds no times"
)
