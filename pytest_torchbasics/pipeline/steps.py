"""What the jobs do, in bash: the same words in GitHub's workflow and on this machine.

The values of a job reach the shell as variables, never as text within a step, so that none of them is read as code.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .config import Config

#: The variables of a leg's steps, and the keys of the plan that they hold.
LEG_VARIABLES = {
    "TB_LEG": "leg",
    "TB_SHARD": "shard",
    "TB_DEVICE": "device",
    "TB_DTYPE": "dtype",
    "TB_TORCH": "torch",
    "TB_INDEX": "index",
    "TB_WORKERS": "workers",
    "TB_PYTEST": "pytest",
}
#: Of every job: where it keeps its files, where earlier runs are, and what is run. Of a leg: where its runs go.
FOLDER, HISTORY, PROFILE, RESULTS = "TB_FOLDER", "TB_HISTORY", "TB_PROFILE", "TB_RESULTS"
#: What a step adds to the summary may be 1 MiB, beyond which GitHub drops all of it.
SUMMARY_BYTES = 900_000


@dataclass(frozen=True)
class Step:
    """A step of a job.

    Attributes:
        name: what it does.
        run: bash, run with -e and -o pipefail.
    """

    name: str
    run: str


def folder_of(entry: Mapping[str, Any], attempt: object = 1) -> str:
    """Where the runs of a leg's job stand among those of all; no other job or attempt has the same."""
    return f"{entry['leg']}-{entry['shard_id']}-a{attempt}"


def install_reader(config: Config) -> Step:
    """Install what plans, merges and reports: all that is needed of this plugin but torch and pytest."""
    return Step(
        "install without torch",
        f'mkdir -p "${FOLDER}"\n'
        f"python -m pip install --no-deps {shlex.quote(config.plugin)}\n"
        f'python -m pytest_torchbasics.pipeline.requirements > "${FOLDER}/requirements.txt"\n'
        f'python -m pip install -r "${FOLDER}/requirements.txt"',
    )


def write_plan() -> Step:
    """Say which jobs there are, in the file that the report reads and to GitHub."""
    return Step(
        "plan",
        f'torchbasics ci plan --profile "${PROFILE}" --out "${FOLDER}/plan.json"\n'
        f'printf \'plan=%s\\n\' "$(cat "${FOLDER}/plan.json")" >> "$GITHUB_OUTPUT"',
    )


def install_leg(config: Config) -> Step:
    """Install torch as the leg has it, and then the project, which may not change that."""
    words = " ".join(map(shlex.quote, (*config.install, config.plugin, "pytest-xdist")))
    return Step(
        "install",
        f'mkdir -p "${FOLDER}"\n'
        'python -m pip install ${TB_INDEX:+--index-url "$TB_INDEX"} "$TB_TORCH" torchvision\n'
        f"python -m pip freeze | grep -E '^(torch|torchvision)==' > \"${FOLDER}/constraints.txt\"\n"
        f'python -m pip install -c "${FOLDER}/constraints.txt" {words}',
    )


def correctness(config: Config) -> Step:
    """Check, in parallel."""
    return Step(
        "correctness, in parallel",
        'read -ra workers <<< "$TB_WORKERS"\n' + _pytest(config, "correctness", '--benchmark-disable "${workers[@]}"'),
    )


def speed(config: Config) -> Step:
    """Time, one after the other: workers beside each other would measure their load."""
    return Step("speed, one after the other", _pytest(config, "speed", "${TB_WORKERS:+-n0}"))


def verify() -> Step:
    """Hold the runs against their plans, whatever pytest's exit codes said: a test can end pytest with 0."""
    return Step("verify", f'torchbasics verify "${RESULTS}"')


def annotate() -> Step:
    """Show what failed where GitHub shows the change."""
    return Step("annotations", f'torchbasics ci annotate "${RESULTS}"')


def merge() -> Step:
    """Make one of the runs of all legs; exit 4 if one that was planned did not arrive."""
    return Step(
        "merge",
        f'mkdir -p "${FOLDER}/in"\n'
        f'torchbasics merge "${FOLDER}/in" --expect "${FOLDER}/plan.json" --out "${FOLDER}/results"',
    )


def matrix() -> Step:
    """Show what ran where, if a summary can hold it."""
    return Step(
        "matrix",
        "status=0\n"
        f'torchbasics matrix "${FOLDER}/results" --format markdown --out "${FOLDER}/matrix.md" || status=$?\n'
        f'if [ "$(wc -c < "${FOLDER}/matrix.md")" -le {SUMMARY_BYTES} ]; then\n'
        f'  cat "${FOLDER}/matrix.md" >> "$GITHUB_STEP_SUMMARY"\n'
        "else\n"
        '  echo "The matrix is too large for a summary: matrix.md of the report has it." >> "$GITHUB_STEP_SUMMARY"\n'
        "fi\n"
        'exit "$status"',
    )


def compare() -> Step:
    """Show what changed since the last runs of the same legs on the same machines."""
    return Step(
        "changes",
        f'torchbasics ci compare "${FOLDER}/results" --history "${HISTORY}" --max-bytes {SUMMARY_BYTES} '
        '>> "$GITHUB_STEP_SUMMARY"',
    )


def report() -> Step:
    """Write the pages, with what earlier runs took."""
    return Step(
        "report",
        "earlier=()\n"
        f'if [ -d "${HISTORY}/runs" ]; then earlier=(--history "${HISTORY}"); fi\n'
        f'torchbasics report "${FOLDER}/results" --out "${FOLDER}/report" "${{earlier[@]}}"',
    )


def keep() -> Step:
    """Add the runs to what later ones are compared with."""
    return Step("history", f'torchbasics ci keep "${FOLDER}/results/runs" --history "${HISTORY}"')


def _pytest(config: Config, mark: str, more: str) -> str:
    words: Sequence[str] = ("python -m pytest", *map(shlex.quote, config.paths), "-m", mark, more)
    return (
        'read -ra arguments <<< "$TB_PYTEST"\n'
        f"{' '.join(words)} \\\n"
        '  --torchbasics-device="$TB_DEVICE" ${TB_DTYPE:+--torchbasics-dtype="$TB_DTYPE"} \\\n'
        '  --torchbasics-leg="$TB_LEG" --torchbasics-shard="$TB_SHARD" \\\n'
        f'  --torchbasics-results="${RESULTS}" "${{arguments[@]}}"'
    )
