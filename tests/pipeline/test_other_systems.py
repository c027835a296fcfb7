"""What docs/ci.md says of GitLab and of a plain shell is run, on a tiny project."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_torchbasics.cli import main
from pytest_torchbasics.results.load import load
from tests.environment import environment
from tests.pipeline.making import write_project

GUIDE = Path(__file__).parent.parent.parent / "docs" / "ci.md"
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
HAS_REPORT = "report" in main.list_commands(None)  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in (".gitlab-ci.yml", "plan.json", "leg.sh", "fleet.json"):
        (tmp_path / name).write_text(FILES[name])
    return write_project(tmp_path)


def bash(project: Path, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{sysconfig.get_path('scripts')}:{Path(sys.executable).parent}:/usr/bin:/bin"
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=project,
        env={**environment(), **variables, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def script(job: dict[str, Any]) -> str:
    """The lines that GitLab gives to one shell; those of a command that is not there yet are left out."""
    return "\n".join(line for line in job["script"] if HAS_REPORT or not line.startswith("torchbasics report"))


def jobs(leg: dict[str, Any]) -> list[dict[str, str]]:
    """The variables of each job of parallel:matrix."""
    return [
        {**entry, "SHARD": shard}
        for entry in leg["parallel"]["matrix"]
        for shard in ([entry["SHARD"]] if isinstance(entry["SHARD"], str) else entry["SHARD"])
    ]


def test_the_gitlab_pipeline_runs_merges_and_tells_which_leg_is_missing(project: Path) -> None:
    pipeline = yaml.safe_load(FILES[".gitlab-ci.yml"])
    planned = json.loads(FILES["plan.json"])["legs"]
    legs = jobs(pipeline["leg"])
    assert [(job["LEG"], job["SHARD"], job["DEVICE"]) for job in legs] == [
        (entry["leg"], entry["shard"], entry["device"]) for entry in planned
    ]
    codes = []
    for number, job in enumerate(legs):
        found = {**job, "WORKERS": "0", "DEVICE": job["DEVICE"].replace("cuda", "cuda:99")}
        found |= {"CI_JOB_ID": str(number), "CI_PIPELINE_ID": "77"}
        codes.append(bash(project, script(pipeline["leg"]), **found).returncode)
    assert codes == [0, 0, 4]
    done = bash(
        project, script(pipeline["report"]), CI_COMMIT_BRANCH="main", CI_DEFAULT_BRANCH="main", CI_PIPELINE_ID="77"
    )
    assert done.returncode == 4, done.stderr
    assert "1 legs never arrived: cuda-torch-latest-py3.13 1/1" in done.stderr
    assert set(load(project / "merged")["leg"]) == {"cpu-torch2.6-py3.10", "cuda-torch-latest-py3.13"}
    assert "matmul" in (project / "matrix.md").read_text()
    assert "no earlier run on this machine" in (project / "changes.md").read_text()
    assert len(list((project / "history").rglob("run.json"))) == 4


def test_the_shell_script_runs_a_leg(project: Path) -> None:
    done = bash(project, "bash leg.sh epyc cpu results", TORCHBASICS_CI_RUN="1")
    assert done.returncode == 0, done.stdout
    assert bash(project, "bash leg.sh h100 cuda:99 results", TORCHBASICS_CI_RUN="1").returncode == 4
    done = bash(project, "torchbasics merge results --expect fleet.json --out merged")
    assert (done.returncode, "1 legs never arrived: h100" in done.stderr) == (4, True)
    assert "relu" in bash(project, "torchbasics matrix merged").stdout
