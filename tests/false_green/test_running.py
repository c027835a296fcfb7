"""What a test can do around `check()` and `measure()` to look green though they failed."""

from __future__ import annotations

import pytest

from ..integration.conftest import Run

#: Bodies of a test of a wrong case; each would end without an exception, or as skipped.
BODIES = {
    "except": "try:\n    check()\nexcept BaseException:\n    pass",
    "suppress": "with contextlib.suppress(BaseException):\n    check()",
    "raises": "with pytest.raises(pytest.fail.Exception):\n    check()",
    "skip": "try:\n    check()\nexcept BaseException:\n    pytest.skip('unstable')",
    "xfail": "try:\n    check()\nexcept BaseException:\n    pytest.xfail('unstable')",
    "finally": "def inner():\n    try:\n        check()\n    finally:\n        return\ninner()",
    "thread": "thread = threading.Thread(target=quiet, args=(check,))\nthread.start()\nthread.join()",
    "never": "assert callable(check)",
}

HEAD = """
import contextlib, threading
from cases import *

def quiet(check):
    with contextlib.suppress(BaseException):
        check()

WRONG = op("wrong", lambda x: x * 2, Tensor(3), output=(4,))
RAISES = op("raises", lambda x: x @ x.new_ones(7), Tensor(3), output=(3,))
CALLS = []

def second(x):
    CALLS.append(None)
    return x * 2 if len(CALLS) > 40 else x.new_ones(4)

UNSTABLE = op("unstable", second, Tensor(3), output=(3,))
"""


def body(name: str, text: str, case: str = "WRONG", fixture: str = "check") -> str:
    lines = "\n    ".join(text.replace("check", fixture).splitlines())
    only = '@pytest.mark.checks("shape")\n' if fixture == "check" else ""
    return f"\n@pytest.mark.cases([{case}])\n{only}def test_{name}({fixture}):\n    {lines}\n"


def test_a_check_that_failed_is_red_whatever_its_test_catches(run: Run, pytester: pytest.Pytester) -> None:
    written = [body(name, text) for name, text in BODIES.items()]
    written.append(body("error", "try:\n    check()\nexcept Exception:\n    pass", "RAISES"))
    written.append(body("retried", "for _ in range(60):\n    quiet(check)\nassert len(CALLS) > 41", "UNSTABLE"))
    written.append(body("good", "check()", "LINEAR"))
    pytester.makepyfile(test_it=HEAD + "".join(written))
    result = run("-rA", "-W", "ignore::SyntaxWarning")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    never = 1  # it passes, and its teardown fails
    result.assert_outcomes(failed=len(written) - 1 - never, errors=never, passed=1 + never)
    text = result.stdout.str()
    assert text.count("the test went on after its own call ended as failed: ") >= len(written) - 2 - never
    assert "the test went on after its own call ended as error: " in text
    assert "never called check()" in text
    assert "AssertionError" not in text  # the unstable case did pass in the end


def test_a_measurement_that_failed_is_red_though_its_test_caught_it(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=HEAD + body("swallowed", BODIES["suppress"], "RAISES", "measure"))
    result = run("-k", "forward and not backward")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the test went on after its own call ended as error: RuntimeError: *"])
