"""All checks of the project in one command: `nox`. Everything runs in the environment that nox is installed in.

Torch is several GB, so no session makes an environment of its own; the oldest pytest is put before the newest on the
path instead.
"""

import os
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "tests", "oldest_pytest"]

OLDEST_PYTEST = "8.2.*"


@nox.session
def lint(session: nox.Session) -> None:
    """Linter and formatter."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types of the package."""
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Each room imports only the rooms below it."""
    session.run("lint-imports")


@nox.session
def tests(session: nox.Session) -> None:
    """The project's tests, and its suites on the CPU."""
    session.run("python", "-m", "pytest", "tests", "-n2", *session.posargs)


@nox.session
def faults_long(session: nox.Session) -> None:
    """Every injected fault in every phase and under xdist, and 2,000 random kills: `nox -s faults_long -- KILLS`."""
    kills = session.posargs[0] if session.posargs else "2000"
    session.run("python", "-m", "pytest", "tests/faults", "-n2", env={"TORCHBASICS_KILLS": kills})


@nox.session
def oldest_pytest(session: nox.Session) -> None:
    """The tests of the plugin on the oldest pytest that is supported."""
    target = Path(".nox") / "oldest-pytest"
    shutil.rmtree(target, ignore_errors=True)
    session.run("python", "-m", "pip", "install", "--quiet", "--target", str(target), f"pytest=={OLDEST_PYTEST}")
    path = os.pathsep.join([str(target.resolve()), os.environ.get("PYTHONPATH", "")])
    session.run("python", "-m", "pytest", "--version", env={"PYTHONPATH": path})
    session.run("python", "-m", "pytest", "tests/integration", "-n2", *session.posargs, env={"PYTHONPATH": path})
