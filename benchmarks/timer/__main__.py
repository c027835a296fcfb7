"""The timer, measured beside its peers in the same run.

    python -m benchmarks.timer [--quick] [--processes 12] [--neighbours 1] [--device cpu] [--json FILE]

Beside it run processes that compute all the time, one by default: a busy machine. Each answer comes from a fresh
process of one thread; tools, works and repetitions are shuffled, so that whatever else the machine does hits all of
them alike. The tables: bias on work of known length; run-to-run spread; planted slowdowns, found when the ratio of two
runs exceeds half of what was planted, and false alarms by the same rule; seconds a measurement. The ratios are to
torchbasics.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.neighbours import neighbours

from .statistics_of import beyond, bias, spread
from .tools import TOOLS
from .works import KNOWN

ROOT = Path(__file__).parent.parent.parent
WORKS = ("cnn forward", "cnn backward", "conv forward")
SLOWDOWNS = (0.0, 0.01, 0.02, 0.05, 0.10)
#: The figures to reach: bias, spread, cost in seconds.
BIAS, SPREAD, COST = 0.01, 0.025, 0.5
#: Answers by (work, tool): a mapping of slowdowns from each process.
Answers = dict[tuple[str, str], list[dict[str, Any]]]


def run(tool: str, work: str, device: str, seed: int, slowdowns: tuple[float, ...]) -> dict[str, Any]:
    """The answer of one fresh process."""
    words = [sys.executable, "-m", "benchmarks.timer.worker", tool, work, device, str(seed), *map(str, slowdowns)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{tool} on {work} failed:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def collect(tools: list[str], works: dict[str, tuple[float, ...]], processes: int, device: str) -> Answers:
    """The answers of all processes."""
    plan = [(work, tool, seed) for work in works for tool in tools for seed in range(processes)]
    random.shuffle(plan)
    found: Answers = defaultdict(list)
    begin = time.monotonic()
    for number, (work, tool, seed) in enumerate(plan, 1):
        found[work, tool].append(run(tool, work, device, seed, works[work]))
        if sys.stderr.isatty():
            left = (time.monotonic() - begin) / number * (len(plan) - number)
            sys.stderr.write(f"\r{number}/{len(plan)}, {left:.0f} s left\x1b[K")
    return found


def values(answers: list[dict[str, Any]], slowdown: float = 0.0, what: str = "value") -> list[float]:
    """What each process reported for a slowdown; nothing where the tool cannot time the work."""
    return [a["found"][str(slowdown)][what] for a in answers if str(slowdown) in a["found"]]


def titled(title: str, heads: Iterable[str]) -> Table:
    """A table without rows: a column of tools, and one of numbers for each head."""
    table = Table("tool", title=title)
    for head in heads:
        table.add_column(head, justify="right")
    return table


def bias_table(answers: Answers, tools: list[str]) -> Table:
    """The error of each tool on works of known length."""
    table = titled("Bias on work of known length, %", (f"{length * 1e6:g} us" for length in KNOWN))
    for tool in tools:
        cells = []
        for length in KNOWN:
            found = answers[f"spin:{length}", tool]
            cells.append(f"{100 * bias(values(found), [a['seconds'] for a in found]):+.2f}")
        table.add_row(tool, *cells)
    return table


def spread_table(answers: Answers, tools: list[str], works: list[str]) -> Table:
    """The run-to-run spread of each tool, and by how many times it is ours."""
    table = titled("Run-to-run spread over fresh processes: coefficient of variation, % (times ours)", works)
    ours = {work: spread(values(answers[work, "torchbasics"])) for work in works}
    for tool in tools:
        found = {work: values(answers[work, tool]) for work in works}
        cells = [f"{100 * spread(v):.2f} ({spread(v) / ours[w]:.1f}x)" if v else "-" for w, v in found.items()]
        table.add_row(tool, *cells)
    return table


def detection_table(answers: Answers, tools: list[str], work: str) -> Table:
    """Planted slowdowns that are found, and the false alarms of the same rule."""
    table = titled(
        f"{work}: found / false alarms, % of pairs of runs; a ratio beyond half of what is planted",
        (f"+{100 * slowdown:g} %" for slowdown in SLOWDOWNS[1:]),
    )
    for tool in tools:
        base = values(answers[work, tool])
        if not base:
            continue
        cells = []
        for slowdown in SLOWDOWNS[1:]:
            found = beyond(base, values(answers[work, tool], slowdown), slowdown / 2)
            cells.append(f"{100 * found:.0f} / {100 * beyond(base, base, slowdown / 2):.0f}")
        table.add_row(tool, *cells)
    return table


def cost_table(answers: Answers, tools: list[str], works: list[str]) -> Table:
    """The median and longest seconds that one measurement took."""
    table = titled("Seconds a measurement: median (longest)", works)
    for tool in tools:
        found = [sorted(values(answers[work, tool], what="cost")) for work in works]
        table.add_row(tool, *(f"{v[len(v) // 2]:.2f} ({v[-1]:.2f})" if v else "-" for v in found))
    return table


def misses(answers: Answers, works: list[str]) -> list[str]:
    """The figures that our timer did not reach."""
    found = []
    for length in KNOWN:
        ours = answers[f"spin:{length}", "torchbasics"]
        if ours and abs(off := bias(values(ours), [a["seconds"] for a in ours])) > BIAS:
            found.append(f"bias {100 * off:+.2f} % at {length * 1e6:g} us, wanted within {100 * BIAS:g} %")
    for work in works:
        ours = answers[work, "torchbasics"]
        if work.startswith("cnn") and (cv := spread(values(ours))) > SPREAD:
            found.append(f"spread {100 * cv:.2f} % of {work}, wanted {100 * SPREAD:g} %")
        if (longest := max(values(ours, what="cost"))) > COST:
            found.append(f"a measurement of {work} took {longest:.2f} s, wanted {COST:g} s")
    conv = {tool: spread(v) for (work, tool), a in answers.items() if work == "conv forward" and (v := values(a))}
    peers = [cv for tool, cv in conv.items() if tool != "torchbasics"]
    if peers and conv["torchbasics"] > min(peers) / 2:
        found.append(f"spread of conv forward is {conv['torchbasics'] / min(peers):.2f} of the best peer's, wanted 0.5")
    return found


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three processes each: a look, no proof")
    parser.add_argument("--processes", type=int, default=12)
    parser.add_argument("--neighbours", type=int, default=1, help="processes that compute meanwhile")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", action="append", choices=WORKS, help="only this one, and no bias; may be repeated")
    parser.add_argument("--json", type=Path, help="write the answers to this file")
    arguments = parser.parse_args()
    modules = {"pytest-torch": "pytest_torch", "triton do_bench": "triton"}
    tools = [tool for tool in TOOLS if importlib.util.find_spec(modules.get(tool, "torch"))]
    if arguments.device == "cpu":
        tools = [tool for tool in tools if tool != "triton do_bench"]
    works = {} if arguments.work else {f"spin:{length}": (0.0,) for length in KNOWN}
    works |= dict.fromkeys(arguments.work or WORKS, SLOWDOWNS)
    with neighbours(arguments.neighbours):
        answers = collect(tools, works, 3 if arguments.quick else arguments.processes, arguments.device)
    if arguments.json:
        arguments.json.write_text(json.dumps({f"{work}, {tool}": found for (work, tool), found in answers.items()}))
    console = Console()
    console.print(f"{os.cpu_count()} CPUs, {arguments.neighbours} busy neighbours, load {os.getloadavg()[0]:.1f}")
    chosen = [work for work in WORKS if work in works]
    if not arguments.work:
        console.print(bias_table(answers, tools))
    console.print(spread_table(answers, tools, chosen))
    for work in chosen:
        console.print(detection_table(answers, tools, work))
    console.print(cost_table(answers, tools, chosen))
    for line in misses(answers, chosen):
        console.print(f"missed: {line}")


if __name__ == "__main__":
    main()
