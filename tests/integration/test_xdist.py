"""xdist is only faster: whatever a suite holds and however it is handed out, its rows are those of a serial run."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pandas as pd
import pytest

from pytest_torchbasics import load

from .conftest import Run

WAYS = ("load", "worksteal", "loadfile", "loadscope")
#: How many generated suites each way of handing out is tried on.
SUITES = int(os.environ.get("TORCHBASICS_XDIST_SUITES", "1"))
#: One declaration for each way to end, and the outcome that it must bring about in a run of everything.
ENDS = {
    "passed": 'layer("{name}", lambda: nn.Linear({n}, 2), Tensor("N", {n}), output=("N", 2))',
    "failed": 'op("{name}", lambda x: x - x.mean(0), Tensor("N", {n}), output=("N", {n}))',
    "xfailed": 'op("{name}", lambda x: x - x.mean(0), Tensor("N", {n}), output=("N", {n}), '
    'known_failure={{"batch": "mixes the batch"}})',
    "xpassed": 'op("{name}", torch.relu, Tensor("N", {n}), output=("N", {n}), known_failure={{"shape": "was wrong"}})',
    "skipped": 'op("{name}", torch.relu, Tensor("N", {n}), output=("N", {n}), skip={{"batch": "{n} minutes"}})',
    "unsupported": 'op("{name}", refuses, Tensor("N", {n}), output=("N", {n}), unsupported="no kernel for {n}")',
    "error": 'op("{name}", torch.relu, Tensor("N", {n}), output=("N", {n}))',
}
SUITE = """
import pytest, torch
from torch import nn
from pytest_torchbasics import Tensor, layer, op

def refuses(x):
    raise NotImplementedError('"refuses" not implemented')

@pytest.fixture
def broken(case):
    if case.name.startswith("error"):
        raise RuntimeError("no such luck: " + case.name)

class TestFirst:
    @pytest.mark.cases([{first}])
    @pytest.mark.checks("shape", "batch")
    def test_it(self, broken, check):
        check()

class TestSecond:
    @pytest.mark.cases([{second}])
    @pytest.mark.checks("shape", "batch")
    def test_it(self, broken, check):
        check()
"""
#: What narrows a run; the first is a run of everything.
OPTIONS = ((), ("-k", "batch or xpassed"), ("--shard=1/2",), ("--dtype=float64,bf16",))
#: Of a row, what does not tell the time or the run.
COMPARED = (
    *("kind", "case", "check", "phase", "mode", "device", "dtype", "threads", "process", "sizes", "outcome"),
    *("reason", "reason_code", "flags", "timer", "case_hash", "nodeid", "leg", "shard", "commit", "torch_version"),
)


def write_suite(pytester: pytest.Pytester, chance: random.Random) -> None:
    """Two files of two classes, with one to three cases of each way to end, anywhere among them."""
    places: list[list[str]] = [[], [], [], []]
    for end, text in ENDS.items():
        for position in range(chance.randint(1, 3)):
            chance.choice(places).append(text.format(name=f"{end}{position}", n=chance.randint(2, 5)))
    for place in places:
        chance.shuffle(place)
        place.append(ENDS["passed"].format(name="last", n=3))
    for name, (first, second) in zip(("one", "two"), (places[:2], places[2:]), strict=True):
        pytester.makepyfile(**{f"test_{name}": SUITE.format(first=", ".join(first), second=", ".join(second))})


def rows(folder: Path) -> pd.DataFrame:
    frame = load(folder)[list(COMPARED)].astype(str)
    return frame.sort_values(list(COMPARED)).reset_index(drop=True)


def plan(folder: Path) -> tuple[str, list[str]]:
    """The status of a run and the cells it planned."""
    (run,) = (folder / "runs").iterdir()
    record = json.loads((run / "run.json").read_text())
    cells = sorted(json.dumps(cell, sort_keys=True) for cell in record["plan"]["cells"])
    return record["status"], cells


@pytest.mark.parametrize("seed", range(SUITES))
@pytest.mark.parametrize("dist", WAYS)
def test_rows_and_outcomes_are_those_of_a_serial_run(run: Run, pytester: pytest.Pytester, dist: str, seed: int) -> None:
    chance = random.Random(f"{dist}-{seed}")
    write_suite(pytester, chance)
    options = OPTIONS[(seed + WAYS.index(dist)) % len(OPTIONS)]

    serial = run("--results=serial", *options)
    parallel = run("--results=parallel", *options, "-n2", f"--dist={dist}")

    parallel.stdout.fnmatch_lines(["*2/2 workers*"])
    ended = rows(pytester.path / "serial")
    if not options:
        assert set(ended["outcome"]) >= set(ENDS)
    assert set(ended["outcome"]) >= {"passed", "failed"}
    pd.testing.assert_frame_equal(rows(pytester.path / "parallel"), ended)
    assert plan(pytester.path / "parallel") == plan(pytester.path / "serial")
    assert parallel.ret == serial.ret == pytest.ExitCode.TESTS_FAILED
    # Workers do not tell what they deselected.
    assert parallel.parseoutcomes() == {k: n for k, n in serial.parseoutcomes().items() if k != "deselected"}


#: Two simulated GPUs of a kind that torch knows; each process writes down which one is its own.
GPUS = """
import os
from importlib.metadata import EntryPoint
from pathlib import Path

from pytest_torchbasics.backends import registry
from pytest_torchbasics.backends.fake import FakeBackend

class Gpus(FakeBackend):
    def take_share(self, device, part, of):
        Path(f"share-{device}-{os.environ.get('PYTEST_XDIST_WORKER', 'serial')}").write_text(f"{device} {part} of {of}")

BACKEND = Gpus(kind="hpu", devices=2)
registry._entry_points = lambda: [EntryPoint("hpu", "conftest:BACKEND", registry.ENTRY_POINTS)]
"""


@pytest.mark.parametrize(("options", "shares"), [(["-n2"], {"gw0": "hpu 0 of 2", "gw1": "hpu 1 of 2"}), (["-n0"], {})])
def test_each_worker_takes_its_share_of_the_devices(
    run: Run, pytester: pytest.Pytester, options: list[str], shares: dict[str, str]
) -> None:
    pytester.makeconftest(GPUS)
    pytester.makepyfile("def test_it(device):\n    assert device")
    result = run("--device=hpu", *options, apart=True)
    result.assert_outcomes(passed=2)  # the CPU is one of the devices of `run`
    told = {path.name.removeprefix("share-hpu-"): path.read_text() for path in pytester.path.glob("share-hpu-*")}
    assert told == shares
