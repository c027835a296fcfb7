"""The outside project works as its README and its CI file say, and its tests catch a fault."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from .environment import environment

EXAMPLE = Path(__file__).parent.parent / "examples" / "outside"
OFF = [word for name in ("playwright", "codspeed", "CodSpeedPlugin", "pytest_torch") for word in ("-p", f"no:{name}")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "outside", ignore=shutil.ignore_patterns("__pycache__", ".*_cache", "results"))
    return tmp_path / "outside"


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if words[0] == "pytest":
        words = (sys.executable, "-m", "pytest", *OFF, *words[1:])
    else:
        words = (str(Path(sysconfig.get_path("scripts")) / words[0]), *words[1:])
    return subprocess.run(words, cwd=project, env=environment(), capture_output=True, text=True, timeout=300)


def test_the_steps_of_its_ci_file_pass(project: Path) -> None:
    workflow = (project / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8")
    steps = [step for step in re.findall(r"run: (.+)", workflow) if step.startswith(("pytest", "torchbasics"))]
    assert len(steps) == 3
    for step in steps:
        done = run(project, *shlex.split(step.split(" >> ")[0].replace("-n auto", "-n 2")))
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    assert "shift-mix" in done.stdout


def test_a_fault_in_its_layer_is_found(project: Path) -> None:
    source = project / "shiftnet" / "__init__.py"
    text = source.read_text(encoding="utf-8")
    faulty = text.replace("before[:, 1:] = x[:, :-1]", "before[:, :-1] = x[:, 1:]")
    assert faulty != text
    source.write_text(faulty, encoding="utf-8")
    done = run(project, "pytest", "-m", "correctness", "--device=cpu", "--dtype=float32")
    assert done.returncode == 1
    assert "is_causal does not hold" in done.stdout
    assert "shift-mix on cpu in float32: reference" in done.stdout


def test_without_the_named_device_it_is_red(project: Path) -> None:
    done = run(project, "pytest", "--device=cuda:99")
    assert done.returncode == 4
    assert "usable here" in done.stderr
