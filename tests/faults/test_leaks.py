"""No test leaks into the next: what one leaves changed is put back, and it fails by its name; no other one does."""

from __future__ import annotations

import os
import random
import warnings
from pathlib import Path

import pytest
import torch

from pytest_torchbasics.backends.fake import FakeBackend
from pytest_torchbasics.global_state.watch import PROBES, Watch

from .clean import PROJECT as CLEAN
from .leaks import LEAKS, PHASES, PROJECT
from .running import Server

Rows = dict[str, tuple[str, str]]

#: Probes that `LEAKS` has no entry for, and why.
NOT_STRUCK = {
    "the number of threads between operators": "it can be set once in a process",
    "the current GPU": "needs a GPU",
    "the current stream": "needs a GPU",
    "the debug mode of synchronization": "needs a GPU",
}


def rows_of(server: Server, folder: Path, project: str, *arguments: str) -> tuple[Rows, str]:
    """The outcome and the reason of each case, and what was printed."""
    left = server.run(folder, *arguments, project=project)
    rows = {case: (str(row["outcome"]), str(row["reason"])) for case, row in left.rows().iterrows()}
    assert (left.code == 0) == all(outcome == "passed" for outcome, _ in rows.values()), left.output
    return rows, left.output


@pytest.fixture(scope="module")
def leaky(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """A run in which each leak happens in each phase."""
    return rows_of(server, tmp_path_factory.mktemp("leaks"), PROJECT)[0]


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_fails_its_own_test_and_the_next_finds_all_as_it_was(leaky: Rows, name: str, phase: str) -> None:
    outcome, reason = leaky[f"B-{phase}-{name}"]
    if probe := LEAKS[name].probe:
        assert outcome == "error", reason
        assert "the test leaves global state changed: " in reason
        assert probe in reason
    else:
        assert outcome == "passed", reason
    assert leaky[f"A-{phase}-{name}"] == leaky[f"C-{phase}-{name}"] == ("passed", "")


def test_every_probe_is_struck_by_a_leak() -> None:
    accusing = {probe.name for probe in PROBES if not probe.silent}
    assert accusing == {leak.probe for leak in LEAKS.values() if leak.probe} | set(NOT_STRUCK)


def test_tests_that_leak_nothing_are_not_accused(server: Server, tmp_path: Path) -> None:
    left = server.run(tmp_path, project=CLEAN)
    rows = left.rows()
    assert len(rows) >= 200
    assert list(rows[rows["outcome"] != "passed"]["reason"]) == [], left.output
    assert left.code == 0, left.output


FIXTURES = """
import os
import pytest, torch
from pytest_torchbasics import Tensor, op

def marks(*names):
    cases = [op(name, lambda x: x * 2, Tensor(2, 3), output=(2, 3)) for name in names]
    return lambda function: pytest.mark.cases(cases)(pytest.mark.checks("shape")(function))

@pytest.fixture(scope="class")
def of_a_class():
    torch.set_default_dtype(torch.float64)
    os.environ["OF_A_CLASS"] = "1"

class TestIt:
    @marks("uses-1", "uses-2", "uses-last")
    def test_it(self, check, of_a_class):
        assert torch.get_default_dtype() is torch.float64
        check()

@marks("after")
def test_after(check):
    assert torch.get_default_dtype() is torch.float32 and "OF_A_CLASS" not in os.environ
    check()

@marks("fails")
def test_fails(check):
    torch.set_default_dtype(torch.float64)
    raise ValueError("it fails by itself")

@pytest.fixture
def cannot_end():
    yield
    torch.set_default_dtype(torch.float64)
    raise ValueError("the fixture cannot end")

@marks("cannot-end")
def test_cannot_end(check, cannot_end):
    assert torch.get_default_dtype() is torch.float32
    check()

@marks("last")
def test_last(check):
    assert torch.get_default_dtype() is torch.float32
    check()
"""


def test_a_fixture_of_a_wider_scope_answers_for_itself_and_failing_tests_leak_too(
    server: Server, tmp_path: Path
) -> None:
    rows, output = rows_of(server, tmp_path, FIXTURES)
    outcomes = {case: outcome for case, (outcome, _) in rows.items()}
    assert outcomes.pop("uses-last") == outcomes.pop("cannot-end") == outcomes.pop("fails") == "error"
    assert set(outcomes.values()) == {"passed"}
    said = (
        "the fixture 'of_a_class' leaves global state changed: the default dtype (torch.float64, before torch.float32)"
    )
    assert f"{said}, environment variables (OF_A_CLASS)" in rows["uses-last"][1]
    assert "it fails by itself" in rows["fails"][1]
    assert "the fixture cannot end" in rows["cannot-end"][1]
    assert output.count("\nthe test leaves global state changed: the default dtype") == 2


#: What others change at the same time: fixtures of wider scopes while something is patched, torch, and pytest.
BESIDE = """
import logging, signal, time, unittest.mock
import pytest, torch
from torch.nn import functional as F
from pytest_torchbasics import Tensor, op

def marks(name):
    cases = [op(name, lambda x: x * 2, Tensor(2, 3), output=(2, 3))]
    return lambda function: pytest.mark.cases(cases)(pytest.mark.checks("shape")(function))

@pytest.fixture(scope="session", autouse=True)
def verbose():
    logging.getLogger().setLevel(logging.INFO)

@pytest.fixture(scope="module")
def first_use():
    torch.lazily_added = 1

@pytest.fixture
def no_sleep(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)

@marks("late")
def test_late(check, no_sleep, request):
    request.getfixturevalue("first_use")
    check()

@marks("after-late")
def test_after_late(check):
    assert time.sleep.__name__ == "sleep"
    check()

@pytest.fixture(scope="class")
def mocked():
    with unittest.mock.patch("time.gmtime"):
        yield

class TestMocked:
    @marks("leak-beside-mock")
    def test_it(self, check, mocked):
        check()
        torch.relu = lambda x: x

@marks("after-mock")
def test_after_mock(check):
    assert torch.relu.__name__ == "relu" and time.gmtime.__name__ == "gmtime"
    check()

@marks("leak-silu")
def test_silu(check):
    check()
    F.silu = F.relu

@marks("leak-call")
def test_call(check):
    check()
    torch.nn.Module.__call__ = lambda self: 1

@marks("loader")
def test_loader(check):
    torch.utils.data._utils.signal_handling._set_SIGCHLD_handler()  # as the first DataLoader with workers does
    assert signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL
    check()

@marks("after-loader")
def test_after_loader(check):
    assert signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL  # torch sets it once
    check()

@pytest.fixture(scope="session")
def table():
    torch.nn.Module.table = torch.zeros(3)

@marks("tensor")
def test_tensor(check, table):
    torch.nn.Module.table = torch.ones(3)
    check()

@marks("fails")
def test_fails(check):
    file = open(__file__)
    raise ValueError("it fails by itself")
"""


def test_what_others_change_meanwhile_is_told_apart(server: Server, tmp_path: Path) -> None:
    rows, output = rows_of(server, tmp_path, BESIDE)
    outcomes = {case: outcome for case, (outcome, _) in rows.items()}
    for leak, what in (
        ("beside-mock", "torch.relu"),
        ("silu", "torch.nn.functional.silu"),
        ("call", "Module.__call__"),
    ):
        assert outcomes.pop(f"leak-{leak}") == "error"
        assert "patched functions" in rows[f"leak-{leak}"][1]
        assert what in rows[f"leak-{leak}"][1]
    assert outcomes.pop("fails") == "error"
    assert rows["fails"][1].endswith("it fails by itself")
    assert "open files" not in output
    assert set(outcomes.values()) == {"passed"}, rows


ISOLATED = """
import os, threading
import pytest, torch
from pytest_torchbasics import Tensor, op

def leaks(name):
    if name == "put-back":
        torch.set_default_dtype(torch.float64)
    if name == "thread":
        threading.Thread(target=threading.Event().wait, daemon=True).start()
    if name == "inter-op":
        torch.set_num_interop_threads(torch.get_num_interop_threads() + 1)

@pytest.mark.cases([op(name, lambda x: x * 2, Tensor(2, 3), output=(2, 3)) for name in NAMES])
@pytest.mark.checks("shape")
def test_it(check, case):
    with open("pids", "a") as file:
        file.write(f"{os.getpid()}\\n")
    check()
    leaks(case.name)
"""


def test_what_cannot_be_put_back_ends_its_worker(server: Server, tmp_path: Path) -> None:
    names = ["put-back", "thread", "inter-op"]
    rows, _ = rows_of(server, tmp_path, f"NAMES = {names}\n{ISOLATED}", "--isolate")
    assert {outcome for outcome, _ in rows.values()} == {"error"}
    assert "threads (" in rows["thread"][1]
    assert "the number of threads between operators (" in rows["inter-op"][1]
    first, second, third = (tmp_path / "pids").read_text().split()
    assert first == second != third


@pytest.fixture
def watch() -> Watch:
    found = Watch()
    found._backends = [FakeBackend()]
    return found


def test_memory_of_a_device_is_told_and_its_generator_put_back(watch: Watch) -> None:
    (fake,) = watch._backends
    assert isinstance(fake, FakeBackend)
    fake.manual_seed(3)
    for held, told in ((64 << 20, ["memory of fake:0 (64 MiB more)"]), (0, []), (1 << 20, [])):
        watch.start()
        fake.manual_seed(4)
        fake.machine.allocate(held)
        assert [change.what for change in watch.end()] == told
        assert fake.seed == 3


def test_what_is_silent_is_put_back_without_a_word(watch: Watch) -> None:
    before = random.getstate(), torch.get_rng_state(), list(warnings.filters)
    for _ in range(3):
        watch.start()
        random.seed(0)
        torch.manual_seed(0)
        warnings.simplefilter("ignore")
        assert watch.end() == []
        assert (random.getstate(), list(warnings.filters)) == (before[0], before[2])
        assert torch.equal(torch.get_rng_state(), before[1])


def test_others_between_two_tests_are_blamed_on_nobody(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        watch.start()
        assert watch.end() == []
        monkeypatch.setenv("OTHERS", str(number))
        monkeypatch.setattr(os, "getcwdb", lambda number=number: number)
        watch.forget()  # a test that is not ours has run


def test_a_value_that_cannot_be_compared_is_another_one(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.start()
    monkeypatch.setattr(torch, "matmul", torch.ones(2))
    (change,) = watch.end()
    assert change.what == "patched functions (torch.matmul)"
    assert change.undone
