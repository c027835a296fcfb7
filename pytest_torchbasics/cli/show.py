"""`torchbasics show RUN`: what ran, what does not apply and why, and how long it took."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from . import _output as output

if TYPE_CHECKING:
    from ._sources import Runs


@click.command("show", short_help="What a run checked and timed, and what does not apply and why.")
@click.argument("run", default="latest")
@output.results_option
@click.option("--long", "details", is_flag=True, help="Leave nothing out; csv and json: one row per metric.")
@output.format_option
@output.out_option
def command(run: str, results: Path, details: bool, format_: str | None, out: Path | None) -> None:
    """Show a run: the checks and times of each case, what does not apply and why, and the failures.

    RUN is a run folder, a results folder, a rows.parquet, a rows.jsonl, the id of a run or its beginning, or
    `latest` (the default).
    """
    from ._sources import read_runs

    try:
        runs = read_runs([run], results, single=True)
        format_ = output.chosen_format(format_, out)
        output.write(_rendered(runs, format_, details, out), out, format_)
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    if runs.incomplete:
        output.fail(output.INCOMPLETE, runs.incomplete)
    if runs.frame.empty:
        output.fail(output.UNUSABLE, "no matching data: the run planned nothing and ran nothing")


def _rendered(runs: Runs, format_: str, details: bool, out: Path | None) -> str:
    if format_ in ("csv", "json"):
        from ..results.load import load

        frame = load(runs.paths, long=True) if details else runs.frame
        return output.csv_text(frame) if format_ == "csv" else output.json_text(frame)
    from ..report.summary import run_summary

    document = run_summary(runs.frame, runs.about, details or format_ == "html")  # a page has room for everything
    return output.rendered(document, format_, out, details)
