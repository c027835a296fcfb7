"""`python -m benchmarks.checks`: what each check costs, in seconds of one core, over the cases of a suite.

CPU time of this process, so that other work on the machine does not count. `compile` has its own column: tracing takes
longer than all that is eager.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections import Counter, defaultdict

import click

#: Checks that compile, which have a budget of their own.
COMPILING = ("compile",)


@click.command()
@click.option("--suite", default="tutorial", show_default=True, help="A package of suites/.")
@click.option("--dtype", default="float32", show_default=True)
@click.option("--slowest", default=8, show_default=True, help="How many cases to list.")
def main(suite: str, dtype: str, slowest: int) -> None:
    """Run every check on every case of a suite and print the seconds by check and by case."""
    import torch
    from rich.console import Console
    from rich.table import Table

    from pytest_torchbasics import Trial, run_check
    from pytest_torchbasics.checks import check_names

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    module = importlib.import_module(f"suites.{suite}.test_{suite}")
    lists = [value for name, value in vars(module).items() if name.endswith("CASES")]
    cases = {case.name: case for cases in lists for case in cases if dtype in case.dtypes}
    by_check: dict[str, list[float]] = defaultdict(list)
    eager: Counter[str] = Counter()
    compiled: Counter[str] = Counter()
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    for case in cases.values():
        for check in check_names():
            trial = Trial(case, "cpu", dtype)
            begin = time.process_time()
            outcome = run_check(trial, check)
            seconds = time.process_time() - begin
            by_check[check].append(seconds)
            (compiled if check in COMPILING else eager)[case.name] += seconds
            outcomes[check][outcome.status.value] += 1
    console = Console(width=120)
    table = Table(
        "check", "seconds", "median", "slowest", "outcomes", title=f"{len(cases)} cases of {suite} in {dtype}"
    )
    for check, found in sorted(by_check.items(), key=lambda item: -sum(item[1])):
        told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes[check].most_common())
        table.add_row(check, f"{sum(found):.2f}", f"{sorted(found)[len(found) // 2]:.4f}", f"{max(found):.3f}", told)
    console.print(table)
    table = Table("case", "eager checks", "compiling", title="The slowest cases, in seconds")
    for name, seconds in eager.most_common(slowest):
        table.add_row(name, f"{seconds:.3f}", f"{compiled[name]:.3f}")
    console.print(table)
    print(f"eager checks: {sum(eager.values()):.1f} s, compiling: {sum(compiled.values()):.1f} s")


if __name__ == "__main__":
    main()
