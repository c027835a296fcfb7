"""What each tool says of the planted work: `slower`, `faster` or nothing, cell by cell."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .planted import PLANTED, TESTS

Verdicts = list[str]
#: How far apart two medians must be, where the tool asks for a number.
APART = 0.05
#: No other plugin costs anything.
QUIET = ["-q", "-p", "no:cacheprovider", "-p", "no:playwright", "-p", "no:randomly"]


def ours(folder: Path, planted: float, seed: int) -> Verdicts:
    """Of `torchbasics ab`, by what the command itself calls."""
    from pytest_torchbasics.ab.session import Session
    from pytest_torchbasics.ab.sides import opened

    arguments = [*_tests(folder, "test_ours"), "--torchbasics-phase=forward", "--torchbasics-device=cpu"]
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(opened("base", ".", arguments, {PLANTED: "0"}, folder))
        head = stack.enter_context(opened("head", ".", arguments, {PLANTED: str(planted)}, folder))
        contests = Session(base, head, seed=seed).run()
    return [contest.decisions["median"].verdict for contest in contests]


def pytest_benchmark(folder: Path, planted: float, seed: int) -> Verdicts:
    """Of --benchmark-compare-fail=median:5%, which says slower only; faster is the same rule the other way."""
    found = []
    for side, share in (("base", 0.0), ("head", planted)):
        into = folder / f"{side}-{seed}.json"
        _run([*("-m", "pytest"), *_tests(folder, "test_peer"), f"--benchmark-json={into}"], share)
        answers = json.loads(into.read_text())["benchmarks"]
        found.append({answer["name"]: answer["stats"]["median"] for answer in answers})
    base, head = found
    return [_apart(base[name], head[name]) for name in base]


def torch_compare(folder: Path, planted: float, seed: int) -> Verdicts:
    """Of torch.utils.benchmark: Compare sets two medians beside each other, of which 5 % is read as a difference."""
    found = []
    for side, share in (("base", 0.0), ("head", planted)):
        into = folder / f"{side}-torch-{seed}.json"
        _run(["-m", "benchmarks.ab.planted", "torch", str(into)], share)
        found.append(json.loads(into.read_text()))
    base, head = found
    return [_apart(base[name][0], head[name][0]) for name in base]


def pyperf(folder: Path, planted: float, seed: int) -> Verdicts:
    """Of `pyperf compare_to --min-speed=5`: Student's t-test on the values of five processes."""
    files = []
    for side, share in (("base", 0.0), ("head", planted)):
        files.append(folder / f"{side}-pyperf-{planted}-{seed}.json")
        own = ["--inherit-environ=PLANTED,PYTHONPATH,OMP_NUM_THREADS", "--quiet", "-o", str(files[-1])]
        _run(["-m", "benchmarks.ab.planted", "pyperf", *own], share)
    options = ["--table", "--table-format=md", f"--min-speed={APART:.0%}".rstrip("%")]
    text = _run(["-m", "pyperf", "compare_to", *map(str, files), *options], 0.0)
    lines = [line for line in text.splitlines() if "Geometric mean" not in line]
    told = re.findall(r": [0-9.]+x (slower|faster)", "\n".join(lines))
    cells = len(json.loads(files[0].read_text())["benchmarks"])
    return [*told, *["nothing"] * (cells - len(told))]


TOOLS: dict[str, Callable[[Path, float, int], Verdicts]] = {
    "torchbasics ab": ours,
    "pytest-benchmark": pytest_benchmark,
    "torch Compare": torch_compare,
    "pyperf": pyperf,
}


def _tests(folder: Path, name: str) -> list[str]:
    (folder / "test_planted.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\n")
    return [str(folder / "test_planted.py"), "-k", name, *QUIET]


def _apart(base: float, head: float) -> str:
    return "slower" if head > base * (1 + APART) else "faster" if base > head * (1 + APART) else "nothing"


def _run(arguments: list[str], planted: float) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, PLANTED: str(planted)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"[-3000:])
    return done.stdout
