"""Ways of running that would end with exit code 0 though nothing was tested."""

from __future__ import annotations

import pytest

from ..integration.conftest import Run

TEST = """
from cases import *

@pytest.mark.cases([LINEAR])
@pytest.mark.checks("shape")
def test_it(check):
    check()
    assert __debug__
    assert False
"""


@pytest.mark.parametrize("optimize", ["1", "2"])
def test_a_python_without_assertions_is_refused(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, optimize: str
) -> None:
    pytester.makepyfile(test_it=TEST)
    monkeypatch.setenv("PYTHONOPTIMIZE", optimize)
    result = run("-W", "ignore::pytest.PytestConfigWarning", apart=True)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert "leaves out every assert" in text
    assert "Traceback" not in text
