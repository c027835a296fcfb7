"""All checks of the project in one command: `nox`. Everything runs in the environment that nox is installed in.

Torch is several GB, so no session but `pythons` makes an environment of its own; other versions are put before the
newest on the path instead. `nox -s versions` (needs 8 GB of disk), `pythons` (6 GB for each Python), `random_order` and
`mutants` take longer and run only when asked for.
"""

import importlib.util
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "layers", "tests", "oldest", "oldest_pytest"]


@dataclass(frozen=True)
class Leg:
    """Packages in other versions than the environment has, and what is run on them."""

    packages: tuple[str, ...]
    tests: tuple[str, ...] = ("tests/integration",)


# The lower bounds of pyproject.toml: change both together. These pyarrow and numpy have no wheels for Python 3.13.
OLDEST = (
    *("pytest==8.2.*", "pytest-benchmark==5.1.*", "pytest-xdist==3.6.*", "pandas==2.2.*"),
    *("pyarrow==15.*; python_version < '3.13'", "numpy==1.26.*; python_version < '3.13'"),
)
LEGS = {
    "oldest": Leg(OLDEST, ("tests/results", "tests/analysis", "tests/integration/test_items.py")),
    "oldest-pytest": Leg(("pytest==8.2.*",)),
    "newest-pytest-8": Leg(("pytest==8.*",)),
    "oldest-torch": Leg(
        (*OLDEST, "torch==2.6.*", "torchvision==0.21.*"),
        ("tests/test_numerics.py", "tests/backends/test_resolving.py", "tests/integration/test_items.py"),
    ),
}

# The lower bound of pyproject.toml and the newest that is tested: those of .github/workflows/ci.yml.
PYTHONS = ("3.10", "3.13")

# A leg whose packages are not the ones that run would prove nothing.
VERSIONS_HOLD = """
import sys
from importlib.metadata import version
from packaging.requirements import Requirement
asked = [one for one in map(Requirement, sys.argv[1:]) if not one.marker or one.marker.evaluate()]
wrong = [f"{one} is asked for, {version(one.name)} runs" for one in asked if version(one.name) not in one.specifier]
sys.exit("; ".join(wrong) or 0)
"""


def run_leg(session: nox.Session, name: str) -> None:
    """Install a leg's packages beside the environment and run its tests on them."""
    leg = LEGS[name]
    target = Path(".nox") / name
    shutil.rmtree(target, ignore_errors=True)
    session.run("python", "-m", "pip", "install", "--quiet", "--target", str(target), *leg.packages)
    path = os.pathsep.join(part for part in (str(target.resolve()), os.environ.get("PYTHONPATH", "")) if part)
    env = {"PYTHONPATH": path}
    session.run("python", "-c", VERSIONS_HOLD, *leg.packages, env=env)
    session.run("python", "-m", "pytest", *leg.tests, "-n2", *session.posargs, env=env)


#: Readers whose own code is Python, which atheris can see into: those of `TARGETS` in tests/fuzz/targets.py.
FUZZED = ("run.json", "rows.jsonl", "bench.json", "plan.json", "pyproject.toml", "support.toml")


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
def oldest(session: nox.Session) -> None:
    """Results, analysis and items on the oldest pytest, pytest-benchmark, pytest-xdist, pandas, pyarrow and numpy."""
    run_leg(session, "oldest")


@nox.session
def fuzz(session: nox.Session) -> None:
    """The readers of result files on far more broken input than `tests` tries: about ten minutes."""
    session.run("python", "-m", "pytest", "tests/fuzz", "-n2", *session.posargs, env={"TORCHBASICS_FUZZ": "20"})
    if importlib.util.find_spec("atheris") is None:
        session.warn("the coverage-guided part is left out: pip install -e '.[fuzz]'")
        return
    for target in FUZZED:
        # Inputs at which a reader failed would be left in the current folder.
        session.run("python", "-m", "tests.fuzz.coverage_guided", target, "-max_total_time=30", "-verbosity=0")


@nox.session
def oldest_pytest(session: nox.Session) -> None:
    """All tests of the plugin on the oldest pytest that is supported."""
    run_leg(session, "oldest-pytest")


@nox.session
@nox.parametrize("leg", list(LEGS), ids=list(LEGS))
def versions(session: nox.Session, leg: str) -> None:
    """Every leg of the table; one of them: `nox -s 'versions(oldest-torch)'`."""
    run_leg(session, leg)


@nox.session(python=PYTHONS, venv_backend="venv")
def pythons(session: nox.Session) -> None:
    """The project's tests on the oldest and the newest Python; less of them: `nox -s pythons-3.10 -- tests/cli`."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *(session.posargs or ("tests", "-n2")))


@nox.session
def random_order(session: nox.Session) -> None:
    """The modules, and the tests of each, in an order by chance; the head of the output names its seed.

    `-- --random-order-seed=N` repeats it. With `-- --random-order-bucket=global` tests of all modules are mixed: it
    takes four times as long, for fixtures of modules are set up again and again.
    """
    # In development mode Python also warns of files and connections that are left open.
    env = {"PYTHONDEVMODE": "1"}
    session.run("python", "-m", "pytest", "tests", "-n2", "--random-order-bucket=module", *session.posargs, env=env)


@nox.session
def xdist(session: nox.Session) -> None:
    """Rows of parallel runs against those of serial ones, on 10 generated suites for each way of handing out."""
    env = {"TORCHBASICS_XDIST_SUITES": "10"}
    session.run("python", "-m", "pytest", "tests/integration/test_xdist.py", "-n2", *session.posargs, env=env)


@nox.session
def mutants(session: nox.Session) -> None:
    """How many wrong twins of the deciding code its tests find: [tool.mutmut] in pyproject.toml, docs/mutants.md."""
    session.run("mutmut", "run", "--max-children", "2", *session.posargs)
    session.run("mutmut", "results")
    listed = str(session.run("mutmut", "results", "--all", "true", silent=True))
    found = Counter(re.findall(r"(\S+)\.\S+__mutmut_\d+: (.+)", listed))
    for module in sorted({module for module, _ in found}):
        counts = {status: count for (name, status), count in found.items() if name == module}
        session.log(f"{module}: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}")
