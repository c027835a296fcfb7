"""Reading a workflow back: its jobs, its shell steps, and running those as GitHub would."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.environment import environment

SCRIPTS = sysconfig.get_path("scripts")


def read(text: str) -> dict[str, Any]:
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


def shell_steps(job: Mapping[str, Any]) -> dict[str, str]:
    return {step["name"]: step["run"] for step in job["steps"] if "run" in step}


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    """What actionlint says of a workflow, and shellcheck of its steps."""
    words = [f"{SCRIPTS}/actionlint", "-no-color", f"-shellcheck={SCRIPTS}/shellcheck", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def unpinned(text: str) -> list[str]:
    """The actions that are not named by a commit with its version beside it."""
    used = re.findall(r"uses: (.*)", text)
    return [action for action in used if not re.fullmatch(r"actions/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)]


def interpolated(workflow: Mapping[str, Any]) -> list[str]:
    """The shell steps in which GitHub replaces an expression by text before a shell reads them."""
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    return [step["name"] for step in steps if "${{" in step.get("run", "")]


class Runner:
    """Runs shell steps in a project, with the variables that the workflow gives them.

    Args:
        workflow: that was read.
        project: the folder.
        profile: what is run.
    """

    def __init__(self, workflow: Mapping[str, Any], project: Path, profile: str = "full") -> None:
        self.workflow, self.project, self.profile = workflow, project, profile
        self.output, self.summary = project / "output.txt", project / "summary.md"

    def run(self, job: str, name: str, matrix: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        described = self.workflow["jobs"][job]
        (self.project / "torchbasics-ci").mkdir(exist_ok=True)  # a step that installs makes it
        given = {**self.workflow["env"], **described.get("env", {}), "TB_PROFILE": self.profile}
        values = {key: self.filled(str(value), matrix or {}) for key, value in given.items()}
        values |= {"GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary)}
        values |= {"GITHUB_RUN_ATTEMPT": "1", "PATH": f"{SCRIPTS}:{Path(sys.executable).parent}:/usr/bin:/bin"}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", shell_steps(described)[name]],
            cwd=self.project,
            env={**environment(), **values},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @staticmethod
    def filled(text: str, matrix: Mapping[str, Any]) -> str:
        """A value with the expressions that legs use; another one is a KeyError."""
        known = {"github.run_attempt": "1", **{f"matrix.{key}": str(value) for key, value in matrix.items()}}
        return re.sub(r"\$\{\{ ([^}]+) \}\}", lambda found: known[found[1]], text)
