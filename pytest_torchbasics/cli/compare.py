"""`torchbasics compare BASE HEAD...`: ratios, the baseline first, and an exit code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from . import _output as output

if TYPE_CHECKING:
    import pandas as pd

#: What --fail-on can name, and the verdicts it stands for.
GATES = {
    "new-failure": ("new failure",),
    "missing": ("missing",),
    "suspect": ("suspect slower", "suspect worse"),
    "still-failing": ("still failing",),
    "not-comparable": ("not comparable",),
}


def _share(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """`25%` or `0.25` as a number."""
    try:
        share = float(value.rstrip("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        share = math.nan
    if not 0 < share < math.inf:
        raise click.BadParameter(f"{value!r} is no share above 0; write 25% or 0.25", ctx, param)
    return share


def _gates(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    gates = tuple(gate.strip() for gate in value.split(",") if gate.strip())
    for gate in gates:
        if gate not in GATES:
            raise click.BadParameter(f"{gate!r} is none of {', '.join(GATES)}", ctx, param)
    return gates


@dataclass(frozen=True)
class View:
    """How a comparison is shown."""

    metric: str
    everything: bool
    format_: str
    out: Path | None


@click.command("compare", short_help="Ratios and outcomes of one or several runs to a baseline.")
@click.argument("base")
@click.argument("head", nargs=-1, required=True)
@output.results_option
@click.option("--metric", default="median_s", show_default=True, help="The column that is compared.")
@click.option("--filter", "-k", "expression", metavar="EXPR", help="Only these cells: 'linear and not bfloat16'.")
@click.option(
    "--only", type=click.Choice(["changed", "all"]), default="changed", show_default=True, help="What is listed."
)
@click.option("--screen", default="25%", callback=_share, show_default=True, help="A change beyond this is suspect.")
@click.option("--fail-on", default="", callback=_gates, metavar="LIST", help=f"Exit 1 on any of: {', '.join(GATES)}.")
@click.option("--allow-mismatch", is_flag=True, help="Show ratios of different machines or cases; they prove nothing.")
@click.option("--allow-incomplete", is_flag=True, help="Accept runs that did not end.")
@output.format_option
@output.out_option
def command(
    base: str,
    head: tuple[str, ...],
    results: Path,
    metric: str,
    expression: str | None,
    only: str,
    screen: float,
    fail_on: tuple[str, ...],
    allow_mismatch: bool,
    allow_incomplete: bool,
    format_: str | None,
    out: Path | None,
) -> None:
    """Compare runs. The first argument is the baseline, always; every other one is a run of the head.

    BASE and HEAD are run folders, results folders, files, ids of runs or their beginnings, or `latest`. Several runs
    of the baseline are given with commas between: base1,base2.

    With one run a side no significance is claimed: a change beyond --screen is called suspect, the rest claims
    nothing.
    """
    from ..analysis.compare import compare
    from ..analysis.filters import matching
    from ._sources import read_runs

    try:
        sides = [read_runs([base], results), read_runs(head, results)]
        frames = [matching(side.frame, expression) if expression else side.frame for side in sides]
        table = compare(frames[0], frames[1], metric=metric, screen=screen)
        if not ((table["base_outcome"] != "") & (table["head_outcome"] != "")).any():
            raise ResultError("no matching data: no cell is in the baseline and in the head")
        view = View(metric, only == "all", output.chosen_format(format_, out), out)
        output.write(_rendered(table, sides[0].label, sides[1].label, view), out, view.format_)
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    code, reason = _conclusion(table, fail_on, allow_mismatch)
    incomplete = [
        f"{name}: {side.incomplete}" for name, side in zip(("baseline", "head"), sides, strict=True) if side.incomplete
    ]
    if code == output.NOT_COMPARABLE:
        output.fail(code, reason)
    if incomplete and not allow_incomplete:
        output.fail(output.INCOMPLETE, f"{'; '.join(incomplete)} (--allow-incomplete compares it all the same)")
    if code:
        output.fail(code, reason)


def _conclusion(table: pd.DataFrame, gates: Sequence[str], allow_mismatch: bool) -> tuple[int, str]:
    """The exit code that the comparison asks for, and why."""
    if not allow_mismatch:
        passed = table[(table["base_outcome"] == "passed") & (table["head_outcome"] == "passed")]
        for obstacle, what in (("machine", "different machines"), ("threads", "different numbers of threads")):
            count = int((passed["obstacle"] == obstacle).sum())
            if count:
                return (
                    output.NOT_COMPARABLE,
                    f"{count} cells were measured on {what} (--allow-mismatch shows the ratios without a verdict)",
                )
        if len(passed) and (passed["obstacle"] == "case").all():
            return output.NOT_COMPARABLE, "no cell has the same case hash on both sides: every case was changed"
    for gate in gates:
        count = int(table["verdict"].isin(GATES[gate]).sum())
        if count:
            return (
                output.GATED,
                f"{count} {'cell is' if count == 1 else 'cells are'} {gate} (--fail-on {','.join(gates)})",
            )
    return 0, ""


def _rendered(table: pd.DataFrame, base: str, head: str, view: View) -> str:
    from ..analysis.compare import UNCHANGED

    if view.format_ in ("csv", "json"):
        rows = table if view.everything else table[~table["verdict"].isin(UNCHANGED)]
        return output.csv_text(rows) if view.format_ == "csv" else output.json_text(rows)
    from ..report.comparison import comparison

    # A page has room for everything.
    document = comparison(table, base, head, view.metric, everything=view.everything, details=view.format_ == "html")
    return output.rendered(document, view.format_, view.out)
