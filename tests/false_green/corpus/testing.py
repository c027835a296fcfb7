"""What a test itself can do to look green though its check failed."""

from __future__ import annotations

from collections.abc import Mapping

from .row import OUT_OF_SCOPE, run

WENT_ON = "the test went on after its own call ended as failed: "

HEAD = """
def quiet(check):
    with contextlib.suppress(BaseException):
        check()

CALLS = []

def second(x):
    CALLS.append(None)
    return x * 2 if len(CALLS) > 40 else x.new_ones(4)

UNSTABLE = op("unstable", second, Tensor(3), output=(3,))
RAISES = op("raises", lambda x: x @ x.new_ones(7), Tensor(3), output=(3,))
"""


def row(
    name: str,
    body: str,
    says: str = WENT_ON,
    *,
    case: str = "WRONG",
    marks: str = "",
    define: str = "def test_it(check):",
    code: int = 1,
    summary: Mapping[str, int] | None = None,
    cells: Mapping[str, int] | None = None,
    lowest: tuple[int, ...] = (),
) -> None:
    lines = "\n    ".join(body.splitlines())
    test = f"{HEAD}\n@pytest.mark.cases([{case}])\n@pytest.mark.checks('shape')\n{marks}\n{define}\n    {lines}\n"
    run(
        name,
        "test",
        test,
        says,
        code=code,
        summary=summary or {"failed": 1},
        cells={"failed": 1} if cells is None else cells,
        lowest=lowest,
        arguments=("-Wignore::SyntaxWarning",),
    )


row("except", "try:\n    check()\nexcept BaseException:\n    pass")
row("suppress", "with contextlib.suppress(BaseException):\n    check()")
row("raises", "with pytest.raises(pytest.fail.Exception):\n    check()")
row("skip", "try:\n    check()\nexcept BaseException:\n    pytest.skip('unstable')")
row("xfail-inside", "try:\n    check()\nexcept BaseException:\n    pytest.xfail('unstable')")
row("finally", "def inner():\n    try:\n        check()\n    finally:\n        return\ninner()")
row("thread", "thread = threading.Thread(target=quiet, args=(check,))\nthread.start()\nthread.join()")
row("retried", "for _ in range(60):\n    quiet(check)\nassert len(CALLS) > 41", case="UNSTABLE", cells={"error": 1})
row(
    "except-an-error",
    "try:\n    check()\nexcept Exception:\n    pass",
    "the test went on after its own call ended as error: ",
    case="RAISES",
    cells={"error": 1},
)
NEVER = {"summary": {"passed": 1, "errors": 1}, "cells": {"error": 1}}
row("never-called", "assert callable(check)", "never called check(), so nothing was tested", **NEVER)
row("returns-early", "if torch.get_num_threads():\n    return\ncheck()", "never called check()", **NEVER)
row(
    "another-process",
    "pid = os.fork()\nif pid == 0:\n    quiet(check)\n    os._exit(0)\nos.waitpid(pid, 0)",
    "never called check()",
    **NEVER,
)
row(
    "skips-first",
    "pytest.skip('later')\ncheck()",
    "nothing was measured",
    code=5,
    summary={"skipped": 1},
    cells={"skipped": 1},
)
row(
    "needs-a-package",
    "pytest.importorskip('no_such_module')\ncheck()",
    "nothing was measured",
    code=5,
    summary={"skipped": 1},
    cells={"skipped": 1},
)
HIDDEN = "1 cell ended badly, which pytest does not report as a failure"
row("marked-xfail", "check()", HIDDEN, marks="@pytest.mark.xfail", summary={"xfailed": 1})
row(
    "marked-xfail-for-an-error",
    "check()",
    HIDDEN,
    marks="@pytest.mark.xfail",
    case="RAISES",
    summary={"xfailed": 1},
    cells={"error": 1},
)
row(
    "marked-xfail-and-not-run",
    "check()",
    "nothing was measured",
    marks="@pytest.mark.xfail(run=False)",
    code=5,
    summary={"xfailed": 1},
    cells={"skipped": 1},
)
row(
    "marked-xfail-that-passes",
    "check()",
    "[XPASS(strict)]",
    marks="@pytest.mark.xfail(strict=True)",
    case="LINEAR",
    cells={"error": 1},
)
row("returns-a-value", "check()\nreturn 1 == 2", "What is returned is lost", case="LINEAR", cells={"error": 1})
row(
    "async",
    "check()",
    "async def functions are not natively supported",
    define="async def test_it(check):",
    cells={"error": 1},
    lowest=(8, 4),
)
row("a-generator-test", "yield check()", "yield", summary={"errors": 1}, cells={}, code=2, lowest=(8, 4))
row("fails-after-its-check", "check()\nassert 1 == 2", "assert 1 == 2", case="LINEAR", cells={"error": 1})
row(
    "leaves-settings-changed",
    "check()\ntorch.set_grad_enabled(False)",
    "the test leaves global state changed: grad mode",
    case="LINEAR",
    summary={"passed": 1, "errors": 1},
    cells={"error": 1},
)

OUT_OF_SCOPE["an assert in a thread or in __del__"] = (
    "pytest warns of it; filterwarnings = error makes it red. A check() that fails there is red in any case"
)
