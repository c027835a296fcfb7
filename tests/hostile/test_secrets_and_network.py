"""A run tells nothing of its user, calls nobody, and the project holds no code that would obey a file."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_torchbasics.results.environment import VARIABLES, environment
from pytest_torchbasics.results.store import RunFolder
from tests.environment import environment as plain_environment
from tests.integration.conftest import CASES, TESTS

ROOT = Path(__file__).parents[2]
CANARY = "c4n4ry-of-a-secret"
#: Installed in the process of the run before pytest: whom it calls is written down, and refused.
WATCH = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname", "urllib.Request"):
        with open("called.txt", "a") as file:
            file.write(f"{event} {arguments[1:]!r}\\n")
        raise PermissionError(event)
sys.addaudithook(watch)
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


def a_run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The plugin's tests of a small project, in a process that is watched."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.py").write_text(CASES)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "watch.py").write_text(WATCH)
    given = ("--torchbasics-device=cpu", "--torchbasics-dtype=float32", "--torchbasics-timer-quality=quick")
    off = [word for name in ("playwright", "pytest_torch", "codspeed") for word in ("-p", f"no:{name}")]
    return subprocess.run(
        [sys.executable, "watch.py", "-q", *off, *given, "--torchbasics-phase=forward", *words],
        cwd=folder,
        env={**plain_environment(), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_opens_no_connection_and_keeps_no_secret_and_no_home(tmp_path: Path) -> None:
    home = tmp_path / "home" / "alice.liddell"
    project = home / "project"
    variables = {"HOME": str(home), "USERPROFILE": str(home), "USER": "alice.liddell", "AWS_SECRET": CANARY}
    done = a_run(project, f"--results={home / 'results'}", "--torchbasics-checks=shape,reference", **variables)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not (project / "called.txt").exists(), (project / "called.txt").read_text()
    written = [path for path in (home / "results").rglob("*") if path.is_file()]
    assert {path.name for path in written} >= {"run.json", "rows.jsonl", "rows.parquet", "LATEST"}
    for path in written:
        content = path.read_bytes()
        assert CANARY.encode() not in content, path.name
        assert b"alice.liddell" not in content, path.name
    record = next(json.loads(path.read_bytes()) for path in written if path.name == "run.json")
    assert "--results=~/results" in record["argv"]


def test_the_watcher_sees_a_connection(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    (tmp_path / "conftest.py").write_text(
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9))\nexcept OSError:\n    pass\n"
    )
    a_run(tmp_path, "--collect-only")
    assert "socket.getaddrinfo" in (tmp_path / "called.txt").read_text()


def test_only_listed_variables_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET", "TOKEN", "GITHUB_TOKEN", "PYTHONPATH", "OMP_SECRET", *VARIABLES):
        monkeypatch.setenv(name, CANARY if name not in VARIABLES else "1")
    record = environment()
    assert set(record["variables"]) == set(VARIABLES)
    assert CANARY not in json.dumps(record)


def test_an_argument_in_another_encoding_is_kept_as_far_as_it_can_be(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, record={}, argv=["--results=\udcff"])
    assert folder.read()["argv"] == ["--results=?"]


def test_all_actions_are_pinned_by_commit_and_may_only_read() -> None:
    files = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert files
    for path in files:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path.name
        assert not any("permissions" in job for job in workflow["jobs"].values()), path.name
        used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
        assert used
        for action in used:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), (path.name, action)
        checkouts = [s for job in workflow["jobs"].values() for s in job["steps"] if "checkout@" in s.get("uses", "")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts), path.name


def test_the_linter_refuses_what_would_obey_a_file(tmp_path: Path) -> None:
    """`torch.load` and `numpy.load` have no rule of their own that holds here, so they are looked for in the source."""
    bad = "import pickle\nimport subprocess\n\nimport yaml\n\n"
    bad += "pickle.loads(b'')\neval('1')\nexec('1')\nyaml.load('')\nsubprocess.run('x', shell=True)\n"
    (tmp_path / "bad.py").write_text(bad)
    words = ["ruff", "check", "--config", str(ROOT / "pyproject.toml"), "--output-format=concise", "bad.py"]
    done = subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert {"S102", "S301", "S307", "S506", "S602"} <= set(re.findall(r"\bS\d{3}\b", done.stdout)), done.stdout
    for path in (ROOT / "pytest_torchbasics").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        for call in re.findall(r"torch\.load\([^)]*\)", source):
            assert "weights_only=True" in call, (path, call)
        for call in re.findall(r"np\.load\([^)]*\)", source):
            assert "allow_pickle=False" in call, (path, call)
        assert not re.search(r"joblib|import (shelve|marshal|tarfile|zipfile)\b|extractall", source), path
