"""`torchbasics ci`: the CI matrix of a project: its workflow, its plan, and the same on this machine."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from . import _output as output

if TYPE_CHECKING:
    from ..pipeline.local import Done, Host
    from ..pipeline.plan import Job

WORKFLOW = Path(".github/workflows/torchbasics.yml")
FOLDER = Path("torchbasics-ci")

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("pyproject.toml"),
    show_default=True,
    help="Where [tool.torchbasics] stands.",
)
history_option = click.option(
    "--history",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER / "history",
    show_default=True,
    help="The folder of earlier runs.",
)
profile_option = click.option(
    "--profile", default="full", show_default=True, help="What is run: quick, full or one of your own."
)
paths_argument = click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))


@click.group("ci", short_help="A CI matrix: the workflow of GitHub Actions, its plan, and the same here.")
def command() -> None:
    """Run a project's cases on many devices, systems, and versions of torch and Python.

    [tool.torchbasics.ci] in pyproject.toml says on which; docs/ci.md tells what it may hold.
    """


@command.command("write")
@config_option
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=WORKFLOW, show_default=True, help="The file."
)
@click.option("--force", is_flag=True, help="Replace a file that was changed by hand.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if the file is not what would be written.")
def write(config_path: Path, out: Path, force: bool, check: bool) -> None:
    """Write the workflow of GitHub Actions: plan, legs, report."""
    from ..pipeline.config import read_config
    from ..pipeline.github import refuse_edited, workflow

    try:
        text = workflow(read_config(_there(config_path)))
        found = out.read_text(encoding="utf-8") if out.is_file() else None
        if check:
            if found != text:
                output.fail(output.GATED, f"{out} is not what `torchbasics ci write` writes")
            return
        if found is not None and not force:
            refuse_edited(found, out)
        out.parent.mkdir(parents=True, exist_ok=True)
        output.write(text, out, "yaml")
    except (OSError, UnicodeDecodeError) as error:
        output.fail(output.UNUSABLE, f"{out}: {error}")
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    click.echo(f"{out} is written", err=True)


@command.command("plan")
@config_option
@profile_option
@output.out_option
def plan(config_path: Path, profile: str, out: Path | None) -> None:
    """Say which jobs there are, as the JSON that `torchbasics merge --expect` reads."""
    from ..pipeline import plan as planning
    from ..pipeline.config import read_config

    try:
        text = planning.plan_json(planning.plan(read_config(_there(config_path)), profile), profile)
        output.write(text, out, "json")
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))


@command.command("run")
@config_option
@profile_option
@click.option("--leg", "legs", multiple=True, metavar="NAME", help="Only this leg; may be repeated.")
@click.option("--shard", "shards", multiple=True, metavar="K/N", help="Only this shard; may be repeated.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Each pipeline makes a folder in this one.",
)
def run(config_path: Path, profile: str, legs: tuple[str, ...], shards: tuple[str, ...], out: Path) -> None:
    """Run here, by the steps of the workflow, the legs that this machine can do, and report on them.

    That is those of this Python, this torch and this system, on devices that it has.
    """
    from ..pipeline import local
    from ..pipeline import plan as planning
    from ..pipeline.config import read_config
    from ..results.store import new_run_id

    try:
        config = read_config(_there(config_path))
        planned = planning.plan(config, profile)
        jobs, versions = _chosen(planned, legs, shards), {job.torch for job in planned}
        host = _host()
        reasons = {job.leg: local.why_not_here(job, host, versions) for job in jobs}
        for leg, reason in reasons.items():
            click.echo(f"{leg}: {f'not here: {reason}' if reason else 'is run'}", err=True)
        here = [job for job in jobs if not reasons[job.leg]]
        if not here or (legs and len(here) < len(jobs)):
            output.fail(output.INCOMPLETE, f"this machine can do {'no leg' if not here else 'not all of the legs'}")
        folder = out / new_run_id()
        local.make_folder(folder)
        output.write(planning.plan_json(here, profile), folder / "plan.json", "json")
        done = list(local.run_legs(here, config, folder, host.in_parallel))
        done += local.run_report(folder, out / "history")
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    _conclude(done, folder)


@command.command("annotate")
@paths_argument
def annotate(paths: tuple[Path, ...]) -> None:
    """Print what failed in runs as annotations of GitHub's."""
    from ..pipeline.annotations import annotated
    from ..pipeline.annotations import command as workflow_command
    from ..results.load import load

    try:
        lines = list(annotated(load(paths), Path()))
    except ResultError as error:
        # No run is there if its device is not; that step failed already, and this one says so beside the change.
        lines = [workflow_command("error", str(error), title="torchbasics")]
    output.write("".join(f"{line}\n" for line in lines), None, "text")


@command.command("compare")
@paths_argument
@history_option
@config_option
@click.option("--max-bytes", type=click.IntRange(min=1000), help="Leave legs out beyond this size.")
@output.out_option
def compare(paths: tuple[Path, ...], history: Path, config_path: Path, max_bytes: int | None, out: Path | None) -> None:
    """Compare each leg with its last run on the same machine, in Markdown, by the rules of `torchbasics compare`.

    Nothing is gated: hosted runners are not alike, and one run a side proves nothing.
    """
    from ..analysis.rules import read_rules
    from ..pipeline.changes import changes
    from ..results.load import load

    try:
        rules = read_rules(config_path) if _there(config_path).is_file() else None
        output.write(changes(load(paths), history, rules, max_bytes), out, "markdown")
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))


@command.command("keep")
@paths_argument
@history_option
def keep(paths: tuple[Path, ...], history: Path) -> None:
    """Add the complete runs of legs to the history, by the machine that they ran on."""
    from ..pipeline.history import keep as keep_runs

    try:
        kept = keep_runs(paths, history)
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    click.echo(f"{len(kept)} runs are kept in {history}", err=True)


def _there(path: Path) -> Path:
    """The file, unless another one than the default was named and is not there."""
    if path != Path("pyproject.toml") and not path.is_file():
        raise ResultError("is not there", path)
    return path


def _chosen(jobs: Sequence[Job], legs: Sequence[str], shards: Sequence[str]) -> list[Job]:
    for option, names, there in (
        ("--leg", legs, dict.fromkeys(job.leg for job in jobs)),
        ("--shard", shards, dict.fromkeys(job.shard for job in jobs)),
    ):
        for name in names:
            if name not in there:
                raise ResultError(f"{option}={name}: there is none; there are {', '.join(there)}")
    return [job for job in jobs if (not legs or job.leg in legs) and (not shards or job.shard in shards)]


def _host() -> Host:
    """This machine; the only place where a command of this file asks torch."""
    from importlib.metadata import PackageNotFoundError, version

    from ..backends import DeviceError, resolve_devices
    from ..pipeline.local import Host

    def why_no_device(device: str) -> str:
        try:
            resolve_devices([device])
        except DeviceError as error:
            return str(error)
        return ""

    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = ""
    return Host(
        python=".".join(platform.python_version_tuple()[:2]),
        torch=torch,
        system=platform.system(),
        why_no_device=why_no_device,
        in_parallel=importlib.util.find_spec("xdist") is not None,
    )


def _conclude(done: Sequence[Done], folder: Path) -> None:
    """Say what each step ended with, and end with the gravest: a missing leg says more than a failed check."""
    for step in done:
        click.echo(f"exit {step.code}: {step.of}: {step.name}", err=True)
    click.echo(f"files: {folder}", err=True)
    failed = [step for step in done if step.code]
    if not failed:
        return
    codes = [step.code for step in failed if step.of == "report"]
    gravest = max((code for code in codes if code <= output.INCOMPLETE), default=output.GATED)
    output.fail(gravest, f"{len(failed)} of {len(done)} steps failed, the first one: {failed[0].of}: {failed[0].name}")
