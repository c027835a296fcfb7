"""`torchbasics matrix RUN...`: which cases ran where, or in which checks, and why the others did not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from . import _output as output

if TYPE_CHECKING:
    import pandas as pd

    from ._sources import Runs


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
@click.option("--long", "details", is_flag=True, help="Leave nothing out.")
@output.format_option
@output.out_option
def command(
    run: tuple[str, ...],
    results: Path,
    by: str,
    expression: str | None,
    details: bool,
    format_: str | None,
    out: Path | None,
) -> None:
    """Show the support matrix of runs: the cases by device and dtype, or by check, and why there are gaps.

    Each RUN is a run folder, a results folder, a rows.parquet, a rows.jsonl, the id of a run or its beginning, or
    `latest` (the default). Runs of other devices or cases make one table; runs of the same cells stand side by side.
    """
    from ..analysis.filters import matching
    from ..analysis.naming import told_apart
    from ._sources import read_runs

    try:
        runs = read_runs(run or ["latest"], results, single=True)
        frame = told_apart(runs.frame)  # first, so that a filter finds the names that are shown
        frame = matching(frame, expression) if expression else frame
        if by == "check":
            frame = frame[frame["kind"].astype(str) == "check"]
        if frame.empty:
            raise ResultError(f"no matching data: {'no check' if by == 'check' else 'nothing'} was planned there")
        format_ = output.chosen_format(format_, out)
        output.write(_rendered(frame, runs, by, format_, details, out), out, format_)
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    if runs.incomplete:
        output.fail(output.INCOMPLETE, runs.incomplete)


def _rendered(frame: pd.DataFrame, runs: Runs, by: str, format_: str, details: bool, out: Path | None) -> str:
    from ..analysis import matrix as tables
    from ..report.matrix import check_matrix, place_matrix

    if format_ in ("csv", "json"):
        table = tables.by_check(frame) if by == "check" else tables.listed_by_place(frame)
        return output.csv_text(table) if format_ == "csv" else output.json_text(table)
    details = details or format_ == "html"  # a page has room for everything
    document = (check_matrix if by == "check" else place_matrix)(frame, runs.about, details)
    return output.rendered(document, format_, out, details)
