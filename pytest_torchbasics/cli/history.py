"""`torchbasics history CASE`: a case over all runs, machine by machine, and where it changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from . import _output as output

if TYPE_CHECKING:
    import pandas as pd

    from ..analysis.history import History


@click.command("history", short_help="A case over all runs, machine by machine, and where it changed.")
@click.argument("case")
@click.argument("run", nargs=-1)
@output.results_option
@click.option("--metric", default="median_s", show_default=True, help="The column that is followed.")
@click.option("--filter", "-k", "expression", metavar="EXPR", help="Only these cells: 'backward and not float16'.")
@output.format_option
@output.out_option
def command(
    case: str,
    run: tuple[str, ...],
    results: Path,
    metric: str,
    expression: str | None,
    format_: str | None,
    out: Path | None,
) -> None:
    """Show how a case changed from run to run, on each machine by itself.

    RUN are results folders, files or runs; all runs of --results by default. Needs the extra `history` (ruptures).
    """
    from ..analysis.filters import matching
    from ..analysis.history import histories
    from ..analysis.naming import told_apart
    from ._sources import read_runs

    try:
        runs = read_runs(run or [str(results)], results)
        named = told_apart(runs.frame)
        chosen = (runs.frame["case"].astype(str) == case) | (named["case"].astype(str) == case)
        frame = named[chosen.to_numpy()]
        if frame.empty:
            raise ResultError(f"no run has a case {case!r}")
        frame = matching(frame, expression) if expression else frame
        if metric not in frame:
            raise ResultError(f"no run has the metric {metric!r}")
        found = list(histories(frame, metric))
        if not found:
            raise ResultError(f"no matching data: nothing of {case!r} passed with a value of {metric}")
        format_ = output.chosen_format(format_, out)
        better = str(runs.frame.attrs.get("better", {}).get(metric, "lower"))
        about = {"case": case, "metric": metric, "runs": runs.label}
        output.write(_rendered(found, metric, better, about, format_, out), out, format_)
    except ImportError:
        output.fail(output.UNUSABLE, "change points need ruptures: pip install 'pytest-torchbasics[history]'")
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))


def _rendered(
    found: Sequence[History], metric: str, better: str, about: dict[str, str], format_: str, out: Path | None
) -> str:
    if format_ in ("csv", "json"):
        table = _table(found)
        return output.csv_text(table) if format_ == "csv" else output.json_text(table)
    from ..report.history import history_report

    return output.rendered(history_report(found, metric, better, about), format_, out)


def _table(found: Sequence[History]) -> pd.DataFrame:
    """A row per run of each history; `level` counts the levels, `step` is the ratio where one begins."""
    import pandas as pd

    parts = []
    for history in found:
        part = history.runs.assign(**history.keys, level=0, step=float("nan"))
        for number, change in enumerate(history.changes, 1):
            part.loc[part.index[change.place] :, "level"] = number
            part.loc[part.index[change.place], "step"] = change.ratio
        parts.append(part)
    table: pd.DataFrame = pd.concat(parts, ignore_index=True)
    return table
