"""False alarms and detection of `compare`, beside `pytest-benchmark compare`: `python -m benchmarks.compare`.

The tutorial suite is timed again and again, by both tools, each time in a process of its own. All runs are of the same
code, so whatever a comparison of them flags is a false alarm. A slowdown is planted by making one side's times longer.

pytest-benchmark compares one run with one run, by --benchmark-compare-fail=median:5% and mean:10%; here the two sides
are drawn at random from the same runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

PEER = """
import pytest
from pytest_torchbasics.trials import Trial
from pytest_torchbasics.timing.workloads import workload
from suites.tutorial.test_tutorial import CASES

@pytest.mark.parametrize("case", [case for case in CASES if not case.skip], ids=lambda case: case.name)
def test_forward(benchmark, case):
    work = workload(Trial(case, "cpu", "float32"))
    if work.fresh_inputs is not None:
        pytest.skip("writes to its inputs, which pytest-benchmark gives again")
    benchmark(work.call, *work.inputs)
"""
PLANTED = (1.0, 1.05, 1.10)
CLAIMED, SUSPECT = ("slower",), ("slower", "suspect slower")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="of the suite by each tool")
    parser.add_argument("--splits", type=int, default=100, help="comparisons of two sides")
    parser.add_argument("--keep", type=Path, help="a folder for the runs; those that are there are used")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        ours, theirs = _measured(folder, options.runs)
        _table(ours, theirs, options.splits)


def _measured(folder: Path, runs: int) -> tuple[list[Any], list[dict[str, dict[str, float]]]]:
    """Our rows of each run, and the statistics of pytest-benchmark's, by test."""
    from pytest_torchbasics import load

    peer = folder / "test_peer.py"
    peer.write_text(PEER)
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    ours, theirs = [], []
    for number in range(runs):
        results, table = folder / f"ours-{number}", folder / f"theirs-{number}.json"
        if not results.exists():
            arguments = ["suites/tutorial", "-m", "speed", "--phase=forward", f"--results={results}", "--dtype=float32"]
            _pytest([*arguments, "--device=cpu"], environment)
        if not table.exists():
            _pytest([str(peer), f"--benchmark-json={table}", "--benchmark-max-time=0.3", "--rootdir=."], environment)
        ours.append(load(results))
        entries = json.loads(table.read_text())["benchmarks"]
        theirs.append({entry["name"]: entry["stats"] for entry in entries})
        print(f"run {number + 1} of {runs}", file=sys.stderr)
    return ours, theirs


def _pytest(arguments: list[str], environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", *arguments]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def _table(ours: list[Any], theirs: list[dict[str, dict[str, float]]], splits: int) -> None:
    chance = random.Random(1)
    half = len(ours) // 2
    print(f"run to run, the times of a cell spread by {100 * _spread(ours):.1f} % (median of the cells)")
    rules: dict[str, Callable[[float], tuple[int, int]]] = {
        f"compare, {half} runs a side: slower": lambda factor: _of_compare(ours, half, factor, chance, CLAIMED),
        f"compare, {half} runs a side: or suspect": lambda factor: _of_compare(ours, half, factor, chance, SUSPECT),
        "compare, 1 run a side: suspect": lambda factor: _of_compare(ours, 1, factor, chance, SUSPECT),
        "pytest-benchmark, median:5%": lambda factor: _of_peer(theirs, "median", 0.05, factor, chance),
        "pytest-benchmark, mean:10%": lambda factor: _of_peer(theirs, "mean", 0.10, factor, chance),
    }
    print(f"{'share of cells flagged slower, in %':<40}" + "".join(f"{(f - 1):>+10.0%}" for f in PLANTED))
    for name, rule in rules.items():
        shares = []
        for factor in PLANTED:
            found = [rule(factor) for _ in range(splits)]
            shares.append(100 * sum(flagged for flagged, _ in found) / sum(cells for _, cells in found))
        print(f"{name:<40}" + "".join(f"{share:>10.2f}" for share in shares))


def _of_compare(
    runs: list[Any], size: int, factor: float, chance: random.Random, verdicts: tuple[str, ...]
) -> tuple[int, int]:
    """How many cells are flagged, of how many, between two sides of so many runs."""
    import pandas as pd

    from pytest_torchbasics import compare

    drawn = chance.sample(runs, 2 * size)
    head = pd.concat(drawn[size:], ignore_index=True)
    table = compare(pd.concat(drawn[:size], ignore_index=True), head.assign(median_s=head["median_s"] * factor))
    timed = table[table["ratio"].notna()]
    return int(timed["verdict"].isin(verdicts).sum()), len(timed)


def _spread(runs: list[Any]) -> float:
    """The median over cells of the coefficient of variation over runs."""
    import pandas as pd

    times = pd.concat([frame[frame["outcome"] == "passed"].set_index("case")["median_s"] for frame in runs], axis=1)
    return float((times.std(axis=1) / times.mean(axis=1)).median())


def _of_peer(
    runs: list[dict[str, dict[str, float]]], field: str, limit: float, factor: float, chance: random.Random
) -> tuple[int, int]:
    base, head = chance.sample(runs, 2)
    pairs = [(base[name][field], factor * head[name][field]) for name in base]
    return sum(after / before - 1 > limit for before, after in pairs), len(pairs)


if __name__ == "__main__":
    main()
