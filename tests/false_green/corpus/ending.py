"""Ends of a run that leave exit code 0 behind: what the exit code hides, `torchbasics verify` tells."""

from __future__ import annotations

from collections.abc import Mapping

from .row import OUT_OF_SCOPE, run

FINE = """
@pytest.mark.cases([LINEAR])
@pytest.mark.checks("shape", "batch")
def test_it(check):
    check()
    {body}
"""
FAILS = FINE.replace("LINEAR", "WRONG").replace(', "batch"', "")
#: Writes the file that shows that it happened.
WITNESS = "open('witness', 'w').close()"
DEAD = {"crashed": 1, "not_run": 1}


def row(
    name: str,
    says: str | tuple[str, ...] = (),
    *,
    test: str = FINE,
    body: str = "",
    before: str = "",
    conftest: str = "",
    code: int,
    verify: int | None = None,
    summary: Mapping[str, int] | None = None,
    cells: Mapping[str, int] | None = None,
    arguments: tuple[str, ...] = (),
    witness: str = "",
) -> None:
    run(
        name,
        "exit",
        before + test.replace("{body}", body or "pass"),
        says,
        code=code,
        verify=verify,
        summary=summary,
        cells=cells,
        arguments=arguments,
        conftest=f"import atexit, os, sys, pytest\n{conftest}",
        witness=witness,
    )


DIES = f"{WITNESS}; os._exit(0)"
row("os-exit-in-a-test", body=DIES, code=0, verify=4, cells=DEAD, witness="witness")
row(
    "os-exit-in-a-fixture",
    conftest=f"@pytest.fixture(autouse=True)\ndef dies():\n    {DIES}",
    code=0,
    verify=4,
    cells=DEAD,
    witness="witness",
)
row("os-exit-at-import", before=DIES, code=0, verify=2, witness="witness")
row("os-exit-in-conftest", conftest=DIES, code=0, verify=2, witness="witness")
row(
    "os-exit-at-the-end",
    "1 failed",
    test=FAILS,
    conftest=f"def pytest_unconfigure():\n    {DIES}",
    code=0,
    verify=1,
    summary={"failed": 1},
    cells={"failed": 1},
    witness="witness",
)
row(
    "os-exit-in-atexit",
    "1 failed",
    test=FAILS,
    conftest="atexit.register(os._exit, 0)",
    code=0,
    verify=1,
    summary={"failed": 1},
    cells={"failed": 1},
)
row(
    "os-exit-of-a-worker",
    "crashed while running",
    body=DIES,
    code=1,
    verify=4,
    arguments=("-n1", "--max-worker-restart=0"),
    summary={"failed": 1},
    cells=DEAD,
    witness="witness",
)
row(
    "another-program",
    body=f"{WITNESS}; os.execv('/bin/true', ['true'])",
    code=0,
    verify=4,
    cells=DEAD,
    witness="witness",
)
row("sys-exit-in-a-test", "SystemExit", body="sys.exit(0)", code=1, summary={"failed": 2}, cells={"error": 2})
row(
    "sys-exit-in-a-fixture",
    "SystemExit",
    conftest="@pytest.fixture(autouse=True)\ndef leaves():\n    sys.exit(0)",
    code=1,
    summary={"errors": 2},
    cells={"error": 2},
)
row("sys-exit-at-import", "SystemExit: 0", before="sys.exit(0)\n", code=3, verify=2)
row("sys-exit-in-conftest", conftest=f"{WITNESS}; sys.exit(0)", code=0, verify=2, witness="witness")
row(
    "sys-exit-at-the-end",
    test=FAILS,
    conftest=f"def pytest_sessionfinish():\n    {WITNESS}; sys.exit(0)",
    code=0,
    verify=1,
    cells={"failed": 1},
    witness="witness",
)
row(
    "pytest-exit-in-a-test",
    "not every planned cell ended",
    body="pytest.exit('enough', returncode=0)",
    code=1,
    verify=4,
    cells={"passed": 1, "not_run": 1},
)
row(
    "pytest-exit-in-a-fixture",
    "not every planned cell ended",
    conftest="@pytest.fixture(autouse=True)\ndef leaves():\n    pytest.exit('enough', returncode=0)",
    code=1,
    verify=4,
    cells={"not_run": 2},
)
row("pytest-exit-at-import", "enough", before="pytest.exit('enough', returncode=0)\n", code=2, summary={"errors": 1})
row(
    "pytest-exit-at-the-end",
    test=FAILS,
    conftest=f"def pytest_sessionfinish():\n    {WITNESS}; pytest.exit('enough', returncode=0)",
    code=0,
    verify=1,
    cells={"failed": 1},
    witness="witness",
)
row(
    "interrupt",
    "KeyboardInterrupt",
    body="raise KeyboardInterrupt",
    code=2,
    verify=4,
    cells={"passed": 1, "not_run": 1},
)
row(
    "stop",
    "enough",
    body="request.session.shouldstop = 'enough'",
    test=FINE.replace("(check)", "(check, request)"),
    code=2,
    verify=4,
    summary={"passed": 1},
    cells={"passed": 1, "not_run": 1},
)
row(
    "first-failure",
    "stopping after 1 failures",
    body="assert False",
    code=1,
    verify=4,
    arguments=("-x",),
    summary={"failed": 1},
    cells={"error": 1, "not_run": 1},
)
row(
    "a-plugin-that-raises-at-the-end",
    "no such luck",
    test=FAILS,
    conftest="def pytest_sessionfinish():\n    raise OSError('no such luck')",
    code=1,
    cells={"failed": 1},
)
row(
    "an-exit-code-set-to-0",
    "1 failed",
    test=FAILS,
    conftest=f"def pytest_sessionfinish(session):\n    {WITNESS}\n    session.exitstatus = 0",
    code=0,
    verify=1,
    summary={"failed": 1},
    cells={"failed": 1},
    witness="witness",
)
row(
    "exit-code-5-set-to-0",
    "nothing was measured",
    test=FINE.replace('"shape", "batch"', '"properties"'),
    conftest="def pytest_sessionfinish(session):\n    if session.exitstatus == 5:\n        session.exitstatus = 0",
    code=0,
    verify=2,
    summary={"skipped": 1},
    cells={"not_applicable": 1},
)
row(
    "a-folder-that-is-gone",
    "the folder of the results is gone",
    body="import shutil; shutil.rmtree('results', ignore_errors=True)",
    code=3,
    verify=2,
    summary={"passed": 2},
)

OUT_OF_SCOPE["pytest | tee log"] = (
    "the shell's exit code is tee's without `set -o pipefail`; `torchbasics verify` needs no pipe"
)
