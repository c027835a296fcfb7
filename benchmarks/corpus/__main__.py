"""`python -m benchmarks.corpus FOLDER`: run the checks over the corpus `FOLDER/faults` and print what they find.

Both twins of every fault and every healthy layer become a case; each check runs in each dtype. A check finds a fault if
it fails on the faulty twin and not on the correct one. With `--peers` other tools run over the same entries, and one
table sets them side by side.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import multiprocessing
import multiprocessing.connection
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

Task = tuple[str, tuple[str, ...]]
DTYPES = ("float32", "float64", "bfloat16", "float16")
OURS = "ours"


@dataclass
class Finding:
    """What the checks say of one entry.

    Attributes:
        name, family: of the entry.
        found: messages by check, for checks that fail on the faulty twin only.
        alarms: messages by check, for checks that fail on a right layer without a declared reason.
        seconds: by check, over both twins.
        tool: whose checks they are.
        stopped: why there is nothing to tell of the entry.
    """

    name: str
    family: str
    found: dict[str, str] = field(default_factory=dict)
    alarms: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    tool: str = OURS
    stopped: str = ""


def _start(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)
    warnings.simplefilter("ignore")
    import torch

    torch.set_num_threads(1)
    importlib.import_module("faults.registry")


def _failures(case: Any, seconds: dict[str, float], checks: tuple[str, ...]) -> dict[tuple[str, str], str]:
    """Messages by check and dtype of what fails on a case."""
    from faults import core

    from pytest_torchbasics.checks.outcome import BAD
    from pytest_torchbasics.checks.running import run_check
    from pytest_torchbasics.trials import Trial

    found = {}
    for dtype in (dtype for dtype in DTYPES if dtype in case.dtypes):
        for name in checks:
            core.reset_globals()
            begin = time.perf_counter()
            outcome = run_check(Trial(case, "cpu", dtype), name)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - begin
            if outcome.status in BAD:
                found[name, dtype] = str(outcome)
    return found


def _fault(task: Task) -> Finding:
    from faults import core

    from .declaring import CHECKS_OF, case_of

    name, checks = task
    fault = core.REGISTRY[name]
    finding = Finding(name, fault.family)
    bad = _failures(case_of(fault, fault.make_buggy), finding.seconds, checks)
    good = _failures(case_of(fault, fault.make_correct), finding.seconds, checks)
    waived = {check for probe in fault.waive for check in CHECKS_OF.get(probe, ())}
    for (check, dtype), message in bad.items():
        if (check, dtype) not in good:
            finding.found.setdefault(check, f"[{dtype}] {message}")
    for (check, dtype), message in good.items():
        if check not in waived:
            finding.alarms.setdefault(check, f"[{dtype}] {message}")
    return finding


def _healthy(task: Task) -> Finding:
    from faults import healthy

    from .declaring import case_of, excused

    name, checks = task
    (entry,) = [entry for entry in healthy.HEALTHY if entry.name == name]
    finding = Finding(name, "healthy")
    facts = {fact for mode in entry.facts.values() for fact in mode}
    allowed = excused(facts, lambda fact: healthy.FACTS[fact][1])
    for (check, dtype), message in _failures(case_of(entry, entry.make), finding.seconds, checks).items():
        if check not in allowed:
            finding.alarms.setdefault(check, f"[{dtype}] {message}")
    return finding


def _peer_fault(tool: str, task: Task) -> Finding:
    from faults import core

    from . import peers

    fault = core.REGISTRY[task[0]]
    finding = Finding(task[0], fault.family, tool=tool)
    bad = peers.failures(tool, fault, fault.make_buggy, finding.seconds)
    good = peers.failures(tool, fault, fault.make_correct, finding.seconds)
    finding.found = {check: message for (check, _), message in bad.items() if (check, "") not in good}
    finding.alarms = _peer_alarms(good, fault.waive)
    return finding


def _peer_healthy(tool: str, task: Task) -> Finding:
    from faults import healthy

    from . import peers

    (entry,) = [entry for entry in healthy.HEALTHY if entry.name == task[0]]
    finding = Finding(task[0], "healthy", tool=tool)
    facts = {fact for mode in entry.facts.values() for fact in mode}
    waived = {probe for fact in facts for probe in healthy.FACTS[fact][1]}
    finding.alarms = _peer_alarms(peers.failures(tool, entry, entry.make, finding.seconds), waived)
    return finding


def _peer_alarms(bad: dict[tuple[str, str], str], waived: Collection[str]) -> dict[str, str]:
    """What fails on a right layer by an assertion, and speaks of nothing that is declared not to hold."""
    from . import peers

    return {
        check: message
        for (check, _), message in bad.items()
        if not message.startswith(peers.REFUSED) and not peers.PROBES_OF.get(check, frozenset()) & set(waived)
    }


def _print(faults: list[Finding], healthy: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=140)
    families: dict[str, list[Finding]] = defaultdict(list)
    for finding in faults:
        families[finding.family].append(finding)
    table = Table("family", "faults", "found", "false alarms", "found by", title="Planted faults")
    for family, findings in [*sorted(families.items()), ("all", faults)]:
        by = Counter(check for finding in findings for check in finding.found)
        table.add_row(
            family,
            str(len(findings)),
            str(sum(bool(finding.found) for finding in findings)),
            str(sum(len(finding.alarms) for finding in findings)),
            ", ".join(f"{check} {count}" for check, count in by.most_common()),
        )
    console.print(table)
    seconds: Counter[str] = Counter()
    for finding in [*faults, *healthy]:
        seconds.update(finding.seconds)
    alone = Counter(next(iter(f.found)) for f in faults if len(f.found) == 1)
    by = Counter(check for finding in faults for check in finding.found)
    costs = Table("check", "finds", "finds alone", "false alarms", "seconds", title="Checks")
    alarms = Counter(check for finding in [*faults, *healthy] for check in finding.alarms)
    for check in sorted(seconds, key=lambda name: -by[name]):
        costs.add_row(check, str(by[check]), str(alone[check]), str(alarms[check]), f"{seconds[check]:.1f}")
    console.print(costs)
    found = sum(bool(finding.found) for finding in faults)
    print(f"found {found} of {len(faults)} faults ({found / max(len(faults), 1):.1%})")
    print(
        f"false alarms on {sum(bool(f.alarms) for f in faults)} of {len(faults)} correct twins, "
        f"{sum(bool(f.alarms) for f in healthy)} of {len(healthy)} healthy layers"
    )
    print("not found:", ", ".join(finding.name for finding in faults if not finding.found) or "none")
    for finding in [*faults, *healthy]:
        for check, message in finding.alarms.items():
            print(f"false alarm on {finding.name}: {check}: {message}")


def _print_tools(findings: list[Finding], tools: list[str]) -> None:
    """One table of all tools: faults found by family, false alarms, seconds."""
    from rich.console import Console
    from rich.table import Table

    families = sorted({f.family for f in findings} - {"healthy"})
    table = Table("family", "faults", *tools, title="Faults found by each tool")

    def row(label: str, picked: Callable[[Finding], bool], value: Callable[[list[Finding]], object]) -> None:
        columns = [[f for f in findings if f.tool == tool and picked(f)] for tool in tools]
        table.add_row(
            label,
            str(len(columns[0])) if label != "stopped: no result" else "",
            *(str(value(column)) for column in columns),
        )

    def found(column: list[Finding]) -> int:
        return sum(bool(f.found) for f in column)

    def alarms(column: list[Finding]) -> int:
        return sum(bool(f.alarms) for f in column)

    for family in families:
        row(family, functools.partial(lambda name, f: f.family == name, family), found)
    table.add_section()
    row("all", lambda f: f.family != "healthy", found)
    row("correct twins with a false alarm", lambda f: f.family != "healthy", alarms)
    row("healthy layers with a false alarm", lambda f: f.family == "healthy", alarms)
    row("stopped: no result", lambda f: bool(f.stopped), len)
    row("seconds", lambda f: True, lambda column: round(sum(sum(f.seconds.values()) for f in column)))
    console = Console(width=140)
    console.print(table)
    checks = Table("tool", "check", "finds", "false alarms", "seconds", title="Checks of each tool")
    for tool in tools:
        own = [f for f in findings if f.tool == tool]
        for check in sorted({check for f in own for check in f.seconds}):
            counts = sum(check in f.found for f in own), sum(check in f.alarms for f in own)
            checks.add_row(tool, check, *map(str, counts), f"{sum(f.seconds.get(check, 0.0) for f in own):.1f}")
    console.print(checks)


def _alone(
    context: Any, jobs: int, limit: float, tool: str, work: Callable[[Task], Finding], tasks: list[Task]
) -> list[Finding]:
    """The findings of all tasks, each in a process of its own; one that dies or takes longer than `limit` is told."""
    waiting = list(reversed(tasks))
    running: dict[Any, tuple[str, Any, float]] = {}
    findings: dict[str, Finding] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            task = waiting.pop()
            receive, send = context.Pipe(duplex=False)
            process = context.Process(target=_send, args=(send, work, task))
            process.start()
            send.close()
            running[receive] = (task[0], process, time.monotonic() + limit)
        ready = multiprocessing.connection.wait(list(running), 1.0)
        for receive, (name, process, until) in list(running.items()):
            if receive not in ready and time.monotonic() < until:
                continue
            findings[name] = Finding(name, "", tool=tool, stopped=f"not done in {limit:.0f} s")
            if receive in ready:
                findings[name].stopped = "the process died"
                with contextlib.suppress(EOFError):
                    findings[name] = receive.recv()
            process.kill()
            process.join()
            del running[receive]
    return [findings[name] for name, _ in tasks]


def _send(send: Any, work: Callable[[Task], Finding], task: Task) -> None:
    import torch

    torch.set_num_threads(1)  # makes the thread pool anew, which no fork takes along: threads of autograd would race
    send.send(work(task))
    send.close()


def _compare(
    context: Any, tools: list[str], jobs: int, limit: float, faults: list[Task], right: list[Task]
) -> list[Finding]:
    """The findings of each tool, by its own processes."""
    import torch
    from faults import core

    from . import peers

    missing = {tool: peers.PEERS[tool].missing() for tool in tools if tool != OURS}
    if any(missing.values()):
        raise click.ClickException("\n".join(f"{tool}: {what}" for tool, what in missing.items() if what))
    torch.compile(torch.neg, backend="aot_eager")(torch.ones(1))  # import once what every process will need
    findings = []
    for tool in tools:
        own = tool == OURS
        fault = _fault if own else functools.partial(_peer_fault, tool)
        layer = _healthy if own else functools.partial(_peer_healthy, tool)
        for found in _alone(context, jobs, limit, tool, fault, faults):
            found.family = core.REGISTRY[found.name].family
            findings.append(found)
        for found in _alone(context, jobs, limit, tool, layer, right):
            found.family = "healthy"
            findings.append(found)
        print(f"{tool}: done", file=sys.stderr)
    return findings


def _run(
    context: Any, jobs: int, start: tuple[str], work: Callable[[Task], Finding], tasks: list[Task]
) -> list[Finding]:
    """The findings of all tasks; a task that kills its process is told and left out."""
    findings: dict[str, Finding] = {}
    with ProcessPoolExecutor(jobs, context, _start, start) as pool:
        pending = {pool.submit(work, task): task for task in tasks}
        for future, (name, _) in pending.items():
            with contextlib.suppress(BrokenProcessPool):
                findings[name] = future.result()
    for task in tasks:  # one process each, for what was in flight when one died
        if task[0] not in findings:
            with ProcessPoolExecutor(1, context, _start, start) as pool:
                try:
                    findings[task[0]] = pool.submit(work, task).result()
                except BrokenProcessPool:
                    findings[task[0]] = Finding(task[0], "crashed", alarms={"crash": "the process died"})
    return [findings[name] for name, _ in tasks]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", default="", help="Entries whose name holds this.")
@click.option("--checks", default="", help="A comma list; all by default.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every finding with its message as JSON.")
@click.option("--jobs", default=2, show_default=True)
@click.option("--part", type=click.Choice(["all", "faults", "healthy"]), default="all")
@click.option("--peers", "compare", is_flag=True, help="Run other tools over the same entries, side by side.")
@click.option("--tools", default="", help="With --peers: a comma list; all by default.")
@click.option("--limit", default=300.0, show_default=True, help="With --peers: seconds for an entry with one tool.")
def main(
    folder: Path,
    only: str,
    checks: str,
    out: Path | None,
    jobs: int,
    part: str,
    compare: bool,
    tools: str,
    limit: float,
) -> None:
    """Run the checks over FOLDER/faults and print what they find, by family and by check."""
    _start(str(folder.resolve()))
    from faults import core
    from faults import healthy as layers

    wanted = [OURS]
    if compare:
        from .peers import PEERS

        wanted = tools.split(",") if tools else [OURS, *PEERS]
        if unknown := set(wanted) - {OURS, *PEERS}:
            raise click.BadParameter(f"{', '.join(unknown)}: choose from {', '.join([OURS, *PEERS])}")
    names: tuple[str, ...] = ()
    if OURS in wanted:
        from pytest_torchbasics.checks import check_names, parse_checks

        names = parse_checks(checks.split(",")) if checks else check_names()
    tasks = [(n, names) for n, f in core.REGISTRY.items() if f.where == "cpu" and only in n and part != "healthy"]
    others = [(e.name, names) for e in layers.HEALTHY if only in e.name and part != "faults"]
    context = multiprocessing.get_context("fork")  # a fault may spoil its process: each starts from this one
    if compare:
        findings = _compare(context, wanted, jobs, limit, tasks, others)
        _print_tools(findings, wanted)
    else:
        start = (str(folder.resolve()),)
        faults = _run(context, jobs, start, _fault, tasks)
        right = _run(context, jobs, start, _healthy, others)
        findings = [*faults, *right]
        _print(faults, right)
    if out:
        out.write_text(json.dumps([asdict(finding) for finding in findings], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
