"""What BASE and HEAD stand for; worktrees are cleaned up whatever happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_torchbasics.ab.sides import opened
from pytest_torchbasics.results import ResultError


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "inner").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for text in ("one", "two"):
        (folder / "inner" / "file.txt").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", text)
    return folder


def test_a_revision_is_a_worktree_that_goes_again(repository: Path) -> None:
    with opened("base", "main~1", ("a.py",), {}, repository / "inner") as side:
        assert (side.folder / "file.txt").read_text() == "one"
        assert side.label.startswith("main~1 (")
        assert side.environment["PYTHONPATH"].startswith(str(side.folder))
        assert (repository / "inner" / "file.txt").read_text() == "two"
        tree = side.folder
    assert not tree.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_an_absolute_path_into_the_repository_is_meant_in_the_worktree(repository: Path, tmp_path: Path) -> None:
    """Else both sides would run the code of the project as it is."""
    project = repository / "inner"
    words = (f"{project}/file.txt::test", f"{repository}/other", f"{tmp_path}/elsewhere", "file.txt", "-q")
    with opened("base", "main~1", words, {}, project) as side:
        tree = side.folder.parent
        assert side.arguments == (f"{tree}/inner/file.txt::test", f"{tree}/other", words[2], "file.txt", "-q")
    with opened("base", ".", words, {}, project) as side:
        assert side.arguments == words


def test_tests_that_a_revision_lacks_are_left_out_there_and_told(repository: Path) -> None:
    project = repository / "inner"
    for name in ("test_old.py", "test_new.py"):
        (project / name).write_text("")
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", name)
    old, new = "test_old.py::test", "test_new.py::test"
    with opened("base", "main~1", (old, str(project / new), "-q"), {}, project) as side:
        assert side.arguments == (old, "-q")
        assert side.label.endswith(f" without {project / new}")
    with opened("base", "main~1", (new,), {}, project) as side:
        (nothing,) = side.arguments  # pytest without a path would take all there is
        assert list(Path(nothing).iterdir()) == []
    with opened("base", "main~1", ("--ignore", "test_new.py"), {}, project) as side:
        assert side.arguments == ("--ignore", "test_new.py")
    with opened("head", "main", (old, new), {}, project) as side:
        assert side.arguments == (old, new)


def test_it_goes_after_an_error_too(repository: Path) -> None:
    def interrupted() -> None:
        with opened("head", "main", (), {}, repository):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_an_environment_or_an_interpreter_is_one(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(sys.executable)
    for text in (str(tmp_path / "venv"), sys.executable, f"python:{sys.executable}"):
        with opened("base", text, (), {"A": "1"}, repository) as side:
            assert side.folder == repository
            assert side.environment == {"A": "1"}
            assert side.label.endswith("A=1")
    with opened("base", ".", (), {}, repository) as side:
        assert (side.python, side.folder) == (sys.executable, repository)


@pytest.mark.parametrize("text", ["nope", "git:nope", "--help", "python:nope", "main:x"])
def test_what_is_none_of_these_is_one_error(repository: Path, text: str) -> None:
    with pytest.raises(ResultError, match="is no "), opened("base", text, (), {}, repository):
        pass
