"""`torchbasics merge SRC... --out DIR`: the runs of a fleet in one results folder, and what never arrived."""

from __future__ import annotations

from pathlib import Path

import click

from ..results.errors import ResultError
from . import _output as output


@click.command("merge", short_help="The runs of many folders in one, and what never arrived.")
@click.argument("src", nargs=-1, required=True)
@click.option("--out", required=True, help="The results folder, or the URL of one.")
@click.option(
    "--expect",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A plan.json: what it names and what is not in SRC becomes not_run rows, and the exit code is 4.",
)
def command(src: tuple[str, ...], out: str, expect: Path | None) -> None:
    """Put the runs of all SRC into one results folder. What is there already stays.

    SRC are results folders, their URLs, run folders, folders of downloaded artifacts (searched for runs), tables
    (.parquet, .csv), journals (.jsonl), or JSON files of pytest-benchmark.

    Runs are never changed, and no samples are pooled. Of a leg's shard that a CI ran again, the highest attempt counts;
    the others are moved to superseded/.
    """
    from ..results.load import local
    from ..results.merge import Contradiction, merge
    from ..results.plan import read_plan
    from ..results.remote import is_url, mirror_of, publish_all, refresh, require_writable

    try:
        if is_url(out):
            require_writable(out)
            refresh(out)
        folder = mirror_of(out) if is_url(out) else Path(out)
        merged = merge([local(source) for source in src], folder, None if expect is None else read_plan(expect))
        if is_url(out):
            publish_all(folder, out, merged.removed)
    except Contradiction as error:
        output.fail(output.NOT_COMPARABLE, str(error))
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    lines = [f"{len(merged.runs)} runs, {merged.rows} rows in {out}"]
    if merged.duplicates:
        lines.append(f"{merged.duplicates} were given twice")
    if merged.superseded:
        lines.append(f"superseded by a higher attempt: {', '.join(merged.superseded)}")
    if merged.expected:
        lines.append(f"{merged.expected} legs expected, {merged.expected - len(merged.missing)} arrived")
    lines += [f"run {run_id} is {status}" for run_id, status in merged.unfinished]
    click.echo("\n".join(lines))
    if merged.missing:
        named = ", ".join(f"{leg} {shard}".strip() for leg, shard in merged.missing)
        output.fail(output.INCOMPLETE, f"{len(merged.missing)} legs never arrived: {named}")
    if merged.unfinished:
        output.fail(output.INCOMPLETE, f"{len(merged.unfinished)} runs did not end as planned")
