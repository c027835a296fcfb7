"""What fixtures, conftest files and other plugins can do to the outcomes of tests."""

from __future__ import annotations

from collections.abc import Mapping

from .row import run

TEST = """
@pytest.mark.cases([{case}])
@pytest.mark.checks("shape")
def test_it(check):
    check()
"""
HIDDEN = "1 cell ended badly, which pytest does not report as a failure"


def row(
    name: str,
    says: str,
    conftest: str,
    *,
    case: str = "WRONG",
    before: str = "",
    test: str = TEST,
    code: int = 1,
    verify: int | None = None,
    summary: Mapping[str, int] | None = None,
    cells: Mapping[str, int] | None = None,
    arguments: tuple[str, ...] = (),
) -> None:
    run(
        name,
        "project",
        before + test.replace("{case}", case),
        says,
        code=code,
        verify=verify,
        summary={"failed": 1} if summary is None else summary,
        cells={"failed": 1} if cells is None else cells,
        conftest=f"import os, pytest\n{conftest}",
        arguments=arguments,
    )


#: What pytest-rerunfailures does, in few lines: a test that fails runs again, and what it said then counts.
RERUNS = """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for attempt in range(3):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        again = attempt < 2 and any(report.failed for report in reports)
        for report in reports:
            if again and report.failed:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if not again:
            return True
        item._initrequest()
"""
FLAKY = """
CALLS = []

def flaky(x):
    CALLS.append(None)
    return x * 2 if len(CALLS) > 2 else x.new_ones(4)
"""
SECOND = TEST.replace("    check()", "    check()\n    CALLS.append(None)\n    assert len(CALLS) > 1")

row(
    "rerun-until-green",
    "an earlier attempt of the test ended as failed: ",
    RERUNS,
    before=FLAKY,
    case='op("flaky", flaky, Tensor(3), output=(3,))',
    summary={"failed": 1, "rerun": 2},
    cells={"error": 1},
)
row(
    "rerun-a-test-until-green",
    "an earlier attempt of the test ended as error: ",
    RERUNS,
    before="CALLS = []\n",
    case="LINEAR",
    test=SECOND,
    summary={"failed": 1, "rerun": 2},
    cells={"error": 1},
)
NOTHING = {"code": 5, "summary": {"skipped": 1}, "cells": {"skipped": 1}}
row(
    "a-fixture-that-skips",
    "nothing was measured",
    "@pytest.fixture(autouse=True)\ndef skips():\n    pytest.skip('not here')",
    **NOTHING,
)
row(
    "a-module-that-skips",
    "1 skipped",
    "",
    before="pytest.skip('not here', allow_module_level=True)\n",
    code=5,
    summary={"skipped": 1},
    cells={},
)
row(
    "a-hook-that-skips",
    "nothing was measured",
    "def pytest_runtest_setup(item):\n    pytest.skip('not here')",
    **NOTHING,
)
row(
    "a-fixture-that-raises",
    "no such luck",
    "@pytest.fixture(autouse=True)\ndef raises():\n    raise OSError('no such luck')",
    summary={"errors": 1},
    cells={"error": 1},
)
row(
    "a-fixture-that-fails-at-its-end",
    "no such luck",
    "@pytest.fixture(autouse=True)\ndef raises():\n    yield\n    raise OSError('no such luck')",
    case="LINEAR",
    summary={"passed": 1, "errors": 1},
    cells={"error": 1},
)
MAKE = """
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        report.outcome = {outcome}
        report.longrepr = {longrepr}
    return report
"""
row("reports-made-green", HIDDEN, MAKE.format(outcome="'passed'", longrepr="None"), summary={"passed": 1})
row(
    "reports-made-skips", HIDDEN, MAKE.format(outcome="'skipped'", longrepr="('f', 1, 'flaky')"), summary={"skipped": 1}
)
row(
    "marked-xfail-by-a-hook",
    HIDDEN,
    "def pytest_collection_modifyitems(items):\n    for item in items:\n        item.add_marker(pytest.mark.xfail)",
    summary={"xfailed": 1},
)
row(
    "items-removed",
    "collected 1 item",
    "def pytest_collection_modifyitems(items):\n    items.clear()",
    code=5,
    summary={},
    cells={},
)
row(
    "a-loop-that-runs-nothing",
    "not every planned cell ended",
    "def pytest_runtestloop(session):\n    return True",
    verify=4,
    summary={},
    cells={"not_run": 1},
)
row(
    "a-protocol-that-runs-nothing",
    "not every planned cell ended",
    "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_protocol(item):\n    return True",
    verify=4,
    summary={},
    cells={"not_run": 1},
)
row(
    "a-call-that-runs-nothing",
    "never called check()",
    "def pytest_pyfunc_call(pyfuncitem):\n    return True",
    summary={"passed": 1, "errors": 1},
    cells={"error": 1},
)
row(
    "a-check-of-the-project",
    "takes none of the fixtures check, measure and case",
    "@pytest.fixture\ndef check():\n    return lambda: None",
    code=2,
    summary={"errors": 1},
    cells={},
)
