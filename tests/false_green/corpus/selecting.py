"""Runs in which nothing of what was meant is selected, or nothing applies."""

from __future__ import annotations

from collections.abc import Mapping

from .row import OUT_OF_SCOPE, run

TEST = """
@pytest.mark.cases([LINEAR])
@pytest.mark.checks("shape")
def test_it(check):
    check()
"""
NOTHING = "nothing was measured: every cell was skipped or did not apply"


def row(
    name: str,
    arguments: str,
    says: str,
    code: int,
    summary: Mapping[str, int] | None = None,
    cells: Mapping[str, int] | None = None,
    test: str = TEST,
    verify: int | None = None,
    **files: str,
) -> None:
    chosen = tuple(arguments.split("  ")) if arguments else ()
    device = "" if "--device" in arguments else "cpu"
    run(
        name,
        "selection",
        test,
        says,
        code=code,
        verify=verify,
        summary=summary,
        cells=cells,
        arguments=chosen,
        device=device,
        **files,
    )


for name, device, says in (
    ("absent", "cuda:99", "device 'cuda:99' cannot be used"),
    ("beside-one-that-is-there", "cpu,cuda:99", "device 'cuda:99' cannot be used"),
    ("of-a-second-cpu", "cpu:7", "torch has one CPU device"),
    ("without-values", "meta", "device 'meta' is not a device to run on"),
    ("misspelt", "cdua", "unknown device 'cdua': did you mean 'cuda'?"),
    ("of-no-name", ",", "--device=,: "),
):
    row(f"a-device-{name}", f"--device={device}", says, 4)
row("a-device-of-the-project", "--device=cuda:99", "device 'cuda:99' cannot be used", 4, {"errors": 1}, conftest="""
def pytest_addoption(parser):
    parser.addoption("--device")
""")  # fmt: skip
for option, says in (
    ("--dtype=flaot32", "unknown dtype 'flaot32'"),
    ("--checks=gradeint", "unknown check 'gradeint'"),
    ("--checks=", "no check is selected"),
    ("--mode=eagre", "unknown mode 'eagre'"),
    ("--phase=sideways", "unknown name 'sideways'"),
    ("--shard=3/2", "write K/N with 1 <= K <= N"),
):
    name, _, value = option.strip("-").partition("=")
    row(f"{name}-{value.replace('/', '-of-') or 'empty'}", option, says, 4)
for name, arguments in (
    ("-k-nothing", "-k  nothing"),
    ("-m-nothing", "-m  speed"),
    ("all-deselected", "--deselect=test_it.py"),
):
    row(name, arguments, "1 deselected", 5, {"deselected": 1})
row("all-ignored", "--ignore=test_it.py", "collected 0 items", 5)
row("a-file-that-is-not-there", "test_if.py", "file or directory not found: test_if.py", 4)
row("a-test-that-is-not-there", "test_it.py::test_if", "not found", 4)
row("another-name-of-the-file", "", "collected 0 items", 5, test="", check_it="from test_it import *\n" + TEST)
row("ignored-by-conftest", "", "collected 0 items", 5, conftest='collect_ignore = ["test_it.py"]')
row("a-class-with-init", "", "cannot collect test class", 5, test="""
class TestIt:
    def __init__(self):
        pass
    @pytest.mark.cases([LINEAR])
    def test_it(self, check):
        check()
""")  # fmt: skip
row(
    "no-cases",
    "",
    "the list of cases is empty: it would test nothing",
    2,
    {"errors": 1},
    test=TEST.replace("LINEAR", ""),
)
row("one-case", "", "takes one list of cases", 2, {"errors": 1}, test=TEST.replace("[LINEAR]", "LINEAR"))
row(
    "two-of-one-name",
    "",
    "two cases are named 'linear'",
    2,
    {"errors": 1},
    test=TEST.replace("LINEAR", "LINEAR, LINEAR"),
)
row("cases-misspelt", "", "needs @pytest.mark.cases", 2, {"errors": 1}, test=TEST.replace("mark.cases", "mark.case"))
row(
    "cases-without-check",
    "",
    "takes none of the fixtures check, measure and case",
    2,
    {"errors": 1},
    test=TEST.replace("test_it(check):\n    check()", "test_it():\n    pass"),
)
row(
    "no-parameters-of-its-own",
    "",
    NOTHING,
    5,
    {"skipped": 1},
    {"skipped": 1},
    test='@pytest.mark.parametrize("n", [])' + TEST.replace("(check)", "(check, n)"),
)
row(
    "no-device-of-the-case",
    "",
    NOTHING,
    5,
    {"skipped": 1},
    {"skipped": 1},
    test=TEST.replace("LINEAR", 'op("sin", torch.sin, Tensor(3), devices="cuda")'),
)
row(
    "no-dtype-of-the-case",
    "",
    NOTHING,
    5,
    {"skipped": 1},
    {"skipped": 1},
    test=TEST.replace("LINEAR", 'op("sin", torch.sin, Tensor(3), dtypes="float64")'),
)
row("no-device-of-the-test", "", NOTHING, 5, {"skipped": 1}, {"skipped": 1}, test='@pytest.mark.devices("cuda")' + TEST)
row("no-check-of-both", "--checks=batch", NOTHING, 5, {"skipped": 1}, {"skipped": 1})
row("nothing-applies", "", NOTHING, 5, {"skipped": 1}, {"not_applicable": 1}, test=TEST.replace("shape", "properties"))
row("no-mode-that-checks-run-in", "--mode=cudagraph", NOTHING, 5, {"skipped": 1}, {"skipped": 1})
row("set-up-alone", "--setup-only", "not every planned cell ended", 1, None, {"not_run": 1}, verify=4)
row("set-up-planned-alone", "--setup-plan", "not every planned cell ended", 1, None, {"not_run": 1}, verify=4)
row("a-conftest-that-raises", "", "no such luck", 4, conftest='raise OSError("no such luck")')
row(
    "an-import-that-fails",
    "",
    "No module named 'no_such_module'",
    2,
    {"errors": 1},
    test="import no_such_module\n" + TEST,
)
row("a-syntax-error", "", "SyntaxError", 2, {"errors": 1}, test="def test_it(:\n")
row(
    "a-factory-that-raises",
    "",
    "its factory raised TypeError",
    2,
    {"errors": 1},
    test=TEST.replace("LINEAR", 'layer("x", lambda: nn.Linear("a", 2), Tensor(2))'),
)
row(
    "one-file-of-two",
    "--continue-on-collection-errors",
    "No module named 'no_such_module'",
    1,
    {"passed": 1, "errors": 1},
    {"passed": 1},
    verify=0,
    test_other="import no_such_module\n",
)
row("the-plugin-switched-off", "-p  no:pytest_torchbasics.plugin", "unrecognized arguments", 4)

OUT_OF_SCOPE["two tests of one name in a file"] = (
    "Python keeps the second alone before anybody sees the first: ruff's F811"
)
OUT_OF_SCOPE["--collect-only"] = "it is asked for, and leaves no run: `torchbasics verify` ends with 2"
OUT_OF_SCOPE["a --deselect that is out of date"] = "what it names is not there, so all tests run"
