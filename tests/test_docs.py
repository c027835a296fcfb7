"""The guides are run: their files are written and their commands give what they promise."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pytest_torchbasics.results.safe import read_toml

from .environment import environment

ROOT = Path(__file__).parent.parent
GUIDES = sorted((ROOT / "docs").glob("*.md"))
STEP = re.compile(
    r"<!-- (?:file: (?P<file>\S+)|run: exit (?P<exit>\d+); says: (?P<says>.*?)) -->\n```\w+\n(?P<text>.*?)```",
    re.DOTALL,
)


def steps(guide: Path) -> list[re.Match[str]]:
    return list(STEP.finditer(guide.read_text(encoding="utf-8")))


@pytest.mark.parametrize("guide", [guide for guide in GUIDES if steps(guide)], ids=lambda guide: guide.stem)
def test_the_commands_of_a_guide_do_what_it_says(guide: Path, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for step in steps(guide):
        if step["file"]:
            (tmp_path / step["file"]).write_text(step["text"], encoding="utf-8")
            continue
        run = subprocess.run(
            command(step["text"]), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300
        )
        output = run.stdout + run.stderr
        assert run.returncode == int(step["exit"]), f"{step['text']}\n{output}"
        for said in step["says"].split(", "):
            assert said in output, f"{said!r} is not in the output of {step['text']}\n{output}"


def test_every_marked_block_is_a_step() -> None:
    for guide in GUIDES:
        marked = re.findall(r"<!-- (?:file|run):", guide.read_text(encoding="utf-8"))
        assert len(marked) == len(steps(guide)), guide


def command(text: str) -> list[str]:
    """The one command of a block, from this environment, without other plugins that are installed for tests."""
    (line,) = text.strip().splitlines()
    program, *arguments = shlex.split(line)
    if program == "pytest":
        return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:playwright", *arguments]
    if program == "python":
        return [sys.executable, *arguments]
    return [str(Path(sysconfig.get_path("scripts")) / program), *arguments]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_tables_of_a_guide_are_those_of_the_registries(guide: Path) -> None:
    tables = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    text = guide.read_text(encoding="utf-8")
    assert tables["rewritten"](text) == text, "run: python docs/tables.py"


def test_the_score_of_mutants_has_each_module_that_is_mutated() -> None:
    mutated = read_toml(ROOT / "pyproject.toml")["tool"]["mutmut"]["only_mutate"]
    told = re.findall(r"^\| `(\S+\.py)` ", (ROOT / "docs" / "mutants.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [f"pytest_torchbasics/{module}" for module in told] == mutated


def test_links_lead_somewhere() -> None:
    for page in [*GUIDES, ROOT / "README.md", ROOT / "results" / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page.name}: {target}"
