"""What BASE and HEAD stand for: a revision of the project, an environment, or the project as it is."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..results.errors import ResultError
from . import NOT_FROM
from .worker import Side


@contextlib.contextmanager
def opened(
    name: str, text: str, arguments: Sequence[str], environment: Mapping[str, str], project: Path
) -> Iterator[Side]:
    """The side that a word stands for; what it needs is there until the end.

    Args:
        name: `base` or `head`.
        text: `.` for the project as it is; a virtual environment or an interpreter; else a revision, which gets a
            worktree. `git:` and `python:` before it say which is meant.
        arguments: of pytest.
        environment: variables of this side.
        project: the folder that pytest runs in.

    Raises:
        ResultError: it is none of these.
    """
    kind, _, rest = text.partition(":")
    word = rest if kind in ("git", "python") else text
    told = "".join(f" {key}={value}" for key, value in environment.items())
    if text == ".":
        yield Side(name, f"the project as it is{told}", sys.executable, project, tuple(arguments), environment)
    elif kind == "python" or (kind != "git" and (python := _interpreter(Path(word))) is not None):
        python = _interpreter(Path(word))
        if python is None:
            raise ResultError(f"{word!r} is no interpreter and no virtual environment")
        yield Side(name, f"{word}{told}", str(python), project, tuple(arguments), environment)
    else:
        with _worktree(word, project) as (folder, commit):
            # What the revision holds comes before what is installed, in the package's own folder or in src/.
            paths = [str(folder), str(folder / "src"), os.environ.get("PYTHONPATH", "")]
            top = _git(project, "rev-parse", "--show-toplevel") or str(project)
            own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), NOT_FROM: top, **environment}
            # What follows an option such as --ignore may be its value.
            files = [
                word for before, word in zip(("", *arguments), arguments, strict=False) if not before.startswith("-")
            ]
            lacks = [file for file in files if _lacks(file, project, folder, top)]
            label = f"{word} ({commit[:10]}){told}{''.join(f' without {argument}' for argument in lacks)}"
            inside = [_inside(argument, project, folder, top) for argument in arguments if argument not in lacks]
            if lacks and not any((folder / _path(argument)).exists() for argument in inside):
                # Without a path, pytest takes everything.
                inside.append(tempfile.mkdtemp(prefix="nothing-", dir=folder))
            yield Side(name, label, sys.executable, folder, tuple(inside), own)


def _interpreter(path: Path) -> Path | None:
    """The interpreter at a path, or of the environment there; None if there is none."""
    if path.is_file() and os.access(path, os.X_OK):
        return Path(os.path.abspath(path))
    found = [path / "bin" / "python", path / "Scripts" / "python.exe"]
    return next((Path(os.path.abspath(python)) for python in found if python.is_file()), None)


def _path(argument: str) -> str:
    """Of an argument of pytest, `tests/test_it.py::test_that`."""
    return argument.split("::")[0]


def _lacks(argument: str, project: Path, folder: Path, top: str) -> bool:
    """True if it names tests that the project has and this revision of it does not."""
    there, here = project / _path(argument), folder / _path(_inside(argument, project, folder, top))
    return there.exists() and (there.suffix == ".py" or there.is_dir()) and not here.exists()


def _inside(argument: str, project: Path, folder: Path, top: str) -> str:
    """An argument of pytest; of an absolute path into the repository its place in the worktree, whose code is meant."""
    path, *rest = argument.split("::")
    if not os.path.isabs(path) or not Path(path).resolve().is_relative_to(Path(top).resolve()):
        return argument
    return "::".join([os.path.normpath(folder / os.path.relpath(Path(path).resolve(), project.resolve())), *rest])


@contextlib.contextmanager
def _worktree(revision: str, project: Path) -> Iterator[tuple[Path, str]]:
    """A checkout of a revision beside the repository, and its commit; removed at the end."""
    commit = _git(project, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit is None:
        raise ResultError(
            f"{revision!r} is no revision of the repository in {project}, no interpreter, no virtual environment, and "
            "not '.', the project as it is"
        )
    prefix = _git(project, "rev-parse", "--show-prefix") or ""
    parent = Path(tempfile.mkdtemp(prefix="torchbasics-ab-"))
    folder = parent / "tree"
    try:
        if _git(project, "worktree", "add", "--detach", str(folder), commit) is None:
            raise ResultError(f"git cannot check {revision!r} out into a worktree: try `git worktree add` by hand")
        yield folder / prefix, commit
    finally:
        _git(project, "worktree", "remove", "--force", str(folder))
        shutil.rmtree(parent, ignore_errors=True)
        _git(project, "worktree", "prune")


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None if it fails."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
