"""The pipeline on this machine: the jobs that it can do, by the same steps as in the workflow."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..results.errors import ResultError
from ..results.store import CI_RUNS
from . import steps
from .config import LATEST, Config
from .plan import Job

#: By this the results of all legs are known to belong together, where no CI has a number for them.
CI_RUN = CI_RUNS[0]
SYSTEMS = {"ubuntu": "Linux", "linux": "Linux", "windows": "Windows", "macos": "Darwin"}


@dataclass(frozen=True)
class Host:
    """This machine.

    Attributes:
        python: `3.13`.
        torch: the installed version; empty if there is none.
        system: as `platform.system()` tells it.
        why_no_device: why a device cannot be used here; empty if it can.
        in_parallel: whether pytest-xdist is installed.
    """

    python: str
    torch: str
    system: str
    why_no_device: Callable[[str], str]
    in_parallel: bool


@dataclass(frozen=True)
class Done:
    """A step that was run.

    Attributes:
        of: the job: a leg with its shard, or `report`.
        name: of the step.
        code: its exit code.
    """

    of: str
    name: str
    code: int


def why_not_here(job: Job, host: Host, versions: Collection[str] = ()) -> str:
    """Why this machine cannot do a job; empty if it can.

    Args:
        job: of the plan.
        host: this machine.
        versions: of torch in the plan: one that is named there is not also the latest.
    """
    if job.python != host.python:
        return f"it needs Python {job.python}, this is {host.python}"
    if not host.torch:
        return "torch is not installed"
    named = any(_is_version(host.torch, version) for version in versions if version != LATEST)
    if named if job.torch == LATEST else not _is_version(host.torch, job.torch):
        return f"it needs torch {job.torch}, this has {host.torch}"
    labels = [label.lower() for label in (job.os, *job.device.runs_on)]
    systems = {system for word, system in SYSTEMS.items() for label in labels if label.startswith(word)}
    if systems and host.system not in systems:
        return f"it needs {' or '.join(sorted(systems))}, this is {host.system}"
    return host.why_no_device(job.device.device)


def run_legs(jobs: Sequence[Job], config: Config, folder: Path, in_parallel: bool) -> Iterator[Done]:
    """Run the steps of jobs, one after the other, into `folder`/in; a step that fails does not keep the next."""
    for job in jobs:
        entry = {**job.entry, **({} if in_parallel else {"workers": ""})}
        values = {name: str(entry[key]) for name, key in steps.LEG_VARIABLES.items()}
        values[steps.RESULTS] = str(folder / "in" / steps.folder_of(entry))
        chosen = [steps.correctness(config), *([steps.speed(config)] if job.device.speed else []), steps.verify()]
        for step in chosen:
            yield Done(f"{job.leg} ({job.shard})", step.name, _run(step, folder, {**values, "OMP_NUM_THREADS": "1"}))


def run_report(folder: Path, history: Path) -> Iterator[Done]:
    """Run the steps of the report, with the summary in `folder`/summary.md."""
    chosen = (steps.merge(), steps.matrix(), steps.compare(), steps.report(), steps.keep())
    for step in chosen:
        yield Done("report", step.name, _run(step, folder, {steps.HISTORY: str(history)}))


def make_folder(folder: Path) -> None:
    """Make a folder that git passes over.

    Raises:
        ResultError: it cannot be made.
    """
    try:
        (folder / "in").mkdir(parents=True)
        (folder.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    except OSError as error:
        raise ResultError(f"cannot be made: {error.strerror or error}", folder) from None


def _run(step: steps.Step, folder: Path, values: Mapping[str, str]) -> int:
    paths = (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    environment = {
        **os.environ,
        "PATH": os.pathsep.join(paths),
        steps.FOLDER: str(folder),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        CI_RUN: os.environ.get(CI_RUN) or folder.name,
        **values,
    }
    try:
        return subprocess.run(["bash", "-e", "-o", "pipefail", "-c", step.run], env=environment, check=False).returncode
    except FileNotFoundError:
        raise ResultError("the steps are written for bash, which is not here") from None


def _is_version(found: str, wanted: str) -> bool:
    found = found.partition("+")[0]
    if wanted.endswith(".*"):
        return f"{found}.".startswith(wanted.removesuffix("*"))
    return found == wanted or found == f"{wanted}.0"
