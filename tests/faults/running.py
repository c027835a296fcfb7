"""Runs of pytest on a small project, each in a process that a fault may end, and what is left of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from pytest_torchbasics.cli import main
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.store import status_of

from ..environment import environment
from .faults import EARLIER
from .inside import CASES, FAULT, PHASE, WITNESSES

ROOT = Path(__file__).parents[2]
#: No run takes this long, however busy the machine; one that does is killed, and the test fails.
PATIENCE_S = 180

PROJECT = """
import pytest
from pytest_torchbasics import Tensor, op
from tests.faults.inside import CASES, note, strike

def case(name):
    def double(x):
        strike("call", name)
        return x * 2
    return op(name, double, Tensor(2, 3), output=(2, 3))

@pytest.mark.cases([case(name) for name in CASES])
@pytest.mark.checks("shape")
def test_it(scene, check, request):
    check()
    note("acknowledged", request.node.nodeid)
"""
#: Plugins of others that are installed for other tests.
OFF = ("playwright", "pytest_torch", "codspeed", "CodSpeedPlugin", "randomly", "cacheprovider", "hypothesispytest")


@dataclass(frozen=True)
class Left:
    """What a run left.

    Attributes:
        code: its exit code; negative for a signal.
        output: what it printed.
        results: its results folder.
        witnesses: where witnesses are.
        temporary: the folder for temporary files.
        processes: what was still running when it was over, a line each.
    """

    code: int
    output: str
    results: Path
    witnesses: Path
    temporary: Path
    processes: tuple[str, ...]

    def said(self, name: str) -> list[str]:
        """The lines of a file of witnesses."""
        path = self.witnesses / name
        return path.read_text().splitlines() if path.exists() else []

    @property
    def rescued(self) -> list[Path]:
        """The rescue files that the run told of."""
        found = re.findall(r"/\S+/torchbasics-rescue-\S+?\.jsonl", self.output)
        return list(map(Path, dict.fromkeys(found)))

    @property
    def run(self) -> Path | None:
        """Its folder, if that is still there."""
        return next((path for path in (self.results / "runs").glob("*") if path.name != EARLIER), None)

    def rows(self) -> pd.DataFrame:
        """All rows by the name of their case.

        Of a run that did not finish also those that were rescued, by putting their journals beside its own.
        """
        moved = self.witnesses / "moved"
        run = self.run or (moved if moved.exists() else None)
        if run is None:
            found = load(self.rescued)
        elif self.rescued and status_of(run) == "crashed":
            together = self.witnesses / "together"
            shutil.copytree(run, together)
            for number, rescued in enumerate(self.rescued):
                shutil.copy(rescued, together / f"rows-rescue{number}.jsonl")
            found = load(together)
        else:
            found = load(run)
        return found.set_index(found["case"].astype(str))


class Server:
    """Starts runs; see `server.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            cwd=ROOT,
            env={**environment(), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE_S)

    def run(
        self,
        folder: Path,
        *arguments: str,
        fault: str = "",
        phase: str = "",
        project: str = PROJECT,
        device: str = "cpu",
        kill: Callable[[Path, int], None] | None = None,
        **environment: str,
    ) -> Left:
        """Run pytest in a folder; `kill` is called while it runs, with the folder of witnesses and its process."""
        witnesses, temporary = folder / "witnesses", folder / "tmp"
        for made in (witnesses, temporary):
            made.mkdir(exist_ok=True)
            made.chmod(0o777)
        (folder / "test_it.py").write_text(project)
        (folder / "pytest.ini").write_text("[pytest]\n")
        output = folder / f"output{len(list(folder.glob('output*')))}"
        chosen = [*(f"-pno:{name}" for name in OFF), "-ptests.faults.inside"]
        chosen += [f"--torchbasics-device={device}"] if device else []
        chosen += ["--torchbasics-dtype=float32", "--results=results", *arguments]
        asked = {
            "folder": str(folder),
            "output": str(output),
            "arguments": chosen,
            "environment": {
                FAULT: fault,
                PHASE: phase,
                WITNESSES: str(witnesses),
                "TMPDIR": str(temporary),
                **environment,
            },
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        if kill is not None:
            kill(witnesses, pid)
        status = int(self._process.stdout.readline())
        left = _wait_for_session(pid)
        return Left(status, output.read_text(errors="replace"), folder / "results", witnesses, temporary, left)


def _session(leader: int) -> list[str]:
    """The processes of a session that run still."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[3] == str(leader) and fields[0] != "Z":
            found.append(status.parent.name)
    return found


def _wait_for_session(leader: int) -> tuple[str, ...]:
    """What of a session is still there a while after its leader is gone; it is killed then."""
    deadline = time.monotonic() + 20
    while (left := _session(leader)) and time.monotonic() < deadline:
        time.sleep(0.01)
    for pid in left:
        os.kill(int(pid), signal.SIGKILL)
    return tuple(left)


def verify(run: Path | None) -> int:
    """The exit code of `torchbasics verify`."""
    return CliRunner().invoke(main, ["verify", str(run or "nothing")]).exit_code


def names(lines: Sequence[str]) -> set[str]:
    """The cases of test ids."""
    return {case for case in CASES for line in lines if f"[{case}-" in line}
