"""`torchbasics matrix RUN...`: which cases ran where, or in which checks, and why the others did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from ..results.safe import safe_text
from . import _output as output

if TYPE_CHECKING:
    import pandas as pd

    from ..analysis.support import Gap
    from ._sources import Runs

#: Lines about gaps that are written before the count of all.
LISTED = 20


@click.command("matrix", short_help="What ran where or in which check, case by case, of one or several runs.")
@click.argument("run", nargs=-1)
@output.results_option
@click.option(
    "--by",
    type=click.Choice(["device", "check"]),
    default="device",
    show_default=True,
    help="The columns: devices and dtypes, or checks.",
)
@click.option("--filter", "-k", "expression", metavar="EXPR", help="Only these cells: 'linear and not bfloat16'.")
@click.option("--diff", "base", metavar="BASE", help="Only what changed since this run: newly supported, no longer so.")
@click.option(
    "--support",
    type=click.Path(dir_okay=False, path_type=Path),
    help="TOML with the declared gaps: exit 1 for one that is not declared, and for one that is none any more.",
)
@click.option("--long", "details", is_flag=True, help="Leave nothing out.")
@output.format_option
@output.out_option
def command(
    run: tuple[str, ...],
    results: Path,
    by: str,
    expression: str | None,
    base: str | None,
    support: Path | None,
    details: bool,
    format_: str | None,
    out: Path | None,
) -> None:
    """Show the support matrix of runs: the cases by device and dtype, or by check, and why there are gaps.

    Each RUN is a run folder, a results folder, a rows.parquet, a rows.jsonl, the id of a run or its beginning, or
    `latest` (the default). Runs of other devices or cases make one table; runs of the same cells stand side by side.

    A file of --support holds tables [[unsupported]], each with a match (an expression as of --filter) and a reason.
    """
    from ..analysis.filters import matching
    from ..analysis.naming import told_apart
    from ..analysis.support import read_support
    from ._sources import read_runs

    try:
        if base is not None and by == "check":
            raise ResultError("--diff is of devices and dtypes: leave --by check out")
        gaps = None if support is None else read_support(support)
        runs = read_runs(run or ["latest"], results, single=True)
        frame = told_apart(runs.frame)  # first, so that a filter finds the names that are shown
        frame = matching(frame, expression) if expression else frame
        if by == "check":
            frame = frame[frame["kind"].astype(str) == "check"]
        if frame.empty:
            raise ResultError(f"no matching data: {'no check' if by == 'check' else 'nothing'} was planned there")
        format_ = output.chosen_format(format_, out)
        if base is None:
            text = _rendered(frame, runs, by, format_, details, out)
        else:
            before = read_runs([base], results, single=True)
            old = told_apart(before.frame)
            old = matching(old, expression) if expression else old
            text = _difference(old, frame, {"baseline": before.label, "head": runs.label}, format_, out)
        output.write(text, out, format_)
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    if runs.incomplete:
        output.fail(output.INCOMPLETE, runs.incomplete)
    if gaps is not None:
        _hold(frame, gaps)


def _hold(frame: pd.DataFrame, gaps: Sequence[Gap]) -> None:
    """End with exit 1 if support is not what the gaps declare."""
    from ..analysis.support import outlived, undeclared

    lines = [
        f"not declared: {row['case']} · {row['check'] or row['phase']} on {row['device']} {row['dtype']} is "
        f"{row['outcome']}: {row['reason']}"
        for row in undeclared(frame, gaps).to_dict("records")
    ]
    lines += [f"declared, and none any more: {gap.match!r} ({gap.reason}): {why}" for gap, why in outlived(frame, gaps)]
    for line in lines[:LISTED]:
        click.echo(safe_text(line), err=True)
    if lines:
        output.fail(output.GATED, f"support is not as declared in {len(lines)} places (--support)")


def _difference(
    base: pd.DataFrame, head: pd.DataFrame, about: Mapping[str, str], format_: str, out: Path | None
) -> str:
    from ..analysis.support import changed
    from ..report.matrix import support_difference

    table = changed(base, head)
    if format_ in ("csv", "json"):
        return output.csv_text(table) if format_ == "csv" else output.json_text(table)
    return output.rendered(support_difference(table, about), format_, out)


def _rendered(frame: pd.DataFrame, runs: Runs, by: str, format_: str, details: bool, out: Path | None) -> str:
    from ..analysis import matrix as tables
    from ..report.matrix import check_matrix, place_matrix

    if format_ in ("csv", "json"):
        table = tables.by_check(frame) if by == "check" else tables.listed_by_place(frame)
        return output.csv_text(table) if format_ == "csv" else output.json_text(table)
    details = details or format_ == "html"  # a page has room for everything
    document = (check_matrix if by == "check" else place_matrix)(frame, runs.about, details)
    return output.rendered(document, format_, out, details)
