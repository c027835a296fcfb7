"""`torchbasics report RUN... --out DIR`: one page with plots, a summary for CI, and the rows as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from ..results.files import replace_file
from . import _output as output
from .compare import METRICS, rules_of, words

if TYPE_CHECKING:
    from ..analysis.rules import Rules
    from ..report.full import Compared, Material
    from ._sources import Runs

PAGE, SUMMARY, ROWS, CHANGES = "index.html", "summary.md", "rows.csv", "changes.csv"
#: GitHub refuses a step summary of more than 1 MiB; other steps of the job write to it too.
BYTES = 900_000


@click.command("report", short_help="One page with plots, a summary for CI, and the rows as CSV.")
@click.argument("run", nargs=-1, required=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Write into this folder.")
@click.option("--base", help="Compare with this baseline: a run, or several with commas between.")
@click.option(
    "--history",
    type=click.Path(exists=True, path_type=Path),
    help="A results folder whose runs show how times went.",
)
@click.option("--metric", "metrics", default=METRICS, callback=words, show_default=True, help="What is compared.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML with rules; else pyproject.toml.")
@click.option(
    "--max-bytes",
    type=click.IntRange(min=2000),
    default=BYTES,
    show_default=True,
    help=f"The size that {SUMMARY} may have; what tells least is left out first.",
)
@output.results_option
def command(
    run: tuple[str, ...],
    out: Path,
    base: str | None,
    history: Path | None,
    metrics: tuple[str, ...],
    config: Path | None,
    max_bytes: int,
    results: Path,
) -> None:
    """Write a report of runs: index.html, which needs no network and no script, summary.md and rows.csv.

    Each RUN is a run folder, a results folder, a file, the id of a run or its beginning, or `latest`. With --base the
    page begins with what changed, and changes.csv has every compared cell.
    """
    from ..report import html
    from ..report.full import full_report
    from ..report.step_summary import step_summary
    from ._sources import read_runs

    try:
        runs = read_runs(run, results)
        baseline = read_runs([base], results) if base else None
        if runs.frame.empty:
            raise ResultError("no matching data: the runs planned nothing and ran nothing")
        compared = _compared(baseline, runs, metrics, rules_of(config)) if baseline else None
        material = _material(runs, baseline, history, compared)
        out = _folder(out)
        files = {
            PAGE: html.render(full_report(material)),
            SUMMARY: step_summary(material, max_bytes),
            ROWS: output.csv_text(runs.frame),
        }
        if material.compared is not None:
            files[CHANGES] = output.csv_text(material.compared.table)
        for name, text in files.items():
            replace_file(out / name, text.encode("utf-8"))
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    click.echo(f"report: {out / PAGE}")
    incomplete = [
        f"{name}{side.incomplete}"
        for name, side in (("the baseline: ", baseline), ("", runs))
        if side is not None and side.incomplete
    ]
    if incomplete:
        output.fail(output.INCOMPLETE, "; ".join(incomplete))


def _material(runs: Runs, baseline: Runs | None, history: Path | None, compared: Compared | None) -> Material:
    """Everything that the report is made of."""
    import pandas as pd

    from ..analysis.samples import named
    from ..analysis.timeline import timelines
    from ..report.full import Material
    from ..results.load import load, sources
    from ..results.samples import load_samples, run_records

    sides = [side for side in (baseline, runs) if side is not None]
    rows = pd.concat([side.frame for side in sides], ignore_index=True) if baseline else runs.frame
    paths = list(dict.fromkeys(path for side in sides for path in side.paths))
    past = None
    if history is not None:
        found = sources(history)
        past = timelines(load(found), run_records(found))
    return Material(
        runs.frame,
        runs.about,
        compared,
        named(load_samples(paths), rows),
        past,
        records=list(run_records(runs.paths).values()),
    )


def _compared(baseline: Runs, runs: Runs, metrics: Sequence[str], rules: Rules) -> Compared:
    from ..analysis.compare import compare
    from ..report.comparison import Pair
    from ..report.full import Compared
    from ..results.samples import run_records

    table = compare(baseline.frame, runs.frame, metric=metrics, rules=rules)
    if not ((table["base_outcome"] != "") & (table["head_outcome"] != "")).any():
        raise ResultError("no matching data: no cell is in the baseline and in the runs")
    ids = tuple(dict.fromkeys(baseline.frame["run_id"].astype(str)))
    records = list(run_records(baseline.paths).values())
    return Compared(Pair(baseline.label, runs.label, table), rules, ids, records)


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(f"cannot be made: {error.strerror or error}; choose another folder with --out", out) from None
    return out
