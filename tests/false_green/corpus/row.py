"""A row of the corpus: a way to look green though nothing was tested or something is wrong, and what must be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: What the rows of a family have in common, in the order of the table in docs/faults.md.
FAMILIES: Mapping[str, str] = {
    "inputs": "inputs that hide faults: zeros, constants, symmetric or one-element ones, none that require a gradient",
    "reference": "a result that is compared with itself, or with what is wrong in the same way",
    "nan": "NaN and infinities that compare as equal, or with nothing",
    "form": "shapes that broadcast, other dtypes, devices and layouts, results that are missing",
    "tolerance": "errors that a wide tolerance, a mean or the size of the values would hide",
    "gradients": "gradients that are missing, zero, scaled, or never looked at",
    "modes": "evaluation that hides training, state that is left behind, modes that do nothing",
    "timing": "times of work that was not done, or of other work as well",
    "declarations": "declared exceptions that hide more than they say, or are out of date",
    "selection": "runs in which nothing of what was meant is selected",
    "test": "tests that catch, skip or drop what their check said, or never call it",
    "project": "what a project's fixtures, conftest and plugins can do to outcomes",
    "exit": "ends of the process that leave exit code 0 behind",
    "comparing": "comparisons that compared nothing, or something else",
    "merging": "legs of a fleet that never arrived, or are not what they say",
    "ci": "a CI matrix that is empty or out of date",
}

#: What each exit code of a run leaves `torchbasics verify` to find, unless a row says otherwise: a failed cell; an
#: error of collection or of usage, which leaves no run; nothing measured.
FOUND = {1: 1, 2: 2, 4: 2, 5: 2}


@dataclass(frozen=True)
class Run:
    """A run of pytest on a small project.

    Attributes:
        name: of the row.
        family: one of FAMILIES.
        code: pytest's exit code.
        verify: the exit code of `torchbasics verify`.
        says: what the report says.
        summary: pytest's last line: `{"failed": 1}`.
        cells: the outcomes of the result rows.
        files: of the project, by name.
        arguments: of pytest.
        device: that it is for; empty if the arguments or nothing tells.
        lowest: the first pytest in which it is so.
        witness: what shows that it happened, for a run that can say nothing: a file that must be there.
    """

    name: str
    family: str
    code: int
    verify: int
    says: tuple[str, ...] = ()
    summary: Mapping[str, int] = field(default_factory=dict)
    cells: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    device: str = "cpu"
    lowest: tuple[int, ...] = ()
    witness: str = ""

    @property
    def red(self) -> bool:
        """True if the exit code or `torchbasics verify` tells."""
        return self.code != 0 or self.verify != 0


@dataclass(frozen=True)
class Command:
    """A `torchbasics` command on results that `write` puts into its folder.

    Attributes:
        name: of the row.
        family: one of FAMILIES.
        code: its exit code.
        says: what it says.
        write: puts what the command reads into a folder.
        words: of the command.
    """

    name: str
    family: str
    code: int
    says: tuple[str, ...]
    write: Callable[[Path], object]
    words: tuple[str, ...]

    @property
    def red(self) -> bool:
        """True if the exit code tells."""
        return self.code != 0


ROWS: dict[str, Run | Command] = {}

#: Ways to look green that nothing here can see, and why.
OUT_OF_SCOPE: dict[str, str] = {}

HEAD = """
import contextlib, os, sys, threading
import pytest, torch
from torch import nn
from torch.nn import functional as F
from pytest_torchbasics import Declared, Tensor, layer, op

LINEAR = layer("linear", lambda: nn.Linear(4, 2), Tensor("N", 4), output=("N", 2))
WRONG = op("wrong", lambda x: x * 2, Tensor(3), output=(4,))
"""


def _add(row: Run | Command) -> None:
    assert row.name not in ROWS, f"two rows are named {row.name!r}"
    assert row.family in FAMILIES, row.family
    ROWS[row.name] = row


def run(
    name: str,
    family: str,
    test: str,
    says: str | tuple[str, ...] = (),
    *,
    code: int = 1,
    verify: int | None = None,
    summary: Mapping[str, int] | None = None,
    cells: Mapping[str, int] | None = None,
    arguments: tuple[str, ...] = (),
    device: str = "cpu",
    lowest: tuple[int, ...] = (),
    witness: str = "",
    **files: str,
) -> None:
    """A row that runs a test file, after HEAD, beside other files: `conftest="..."`."""
    _add(
        Run(
            name=name,
            family=family,
            code=code,
            verify=FOUND[code] if verify is None else verify,
            says=(says,) if isinstance(says, str) else says,
            summary={} if summary is None else summary,
            cells={} if cells is None else cells,
            files={"test_it": HEAD + test, **files},
            arguments=arguments,
            device=device,
            lowest=lowest,
            witness=witness,
        )
    )


#: How a test ends whose only cell has this outcome, and what is the exit code of a run of it.
ENDS = {
    "failed": ({"failed": 1}, 1),
    "error": ({"failed": 1}, 1),
    "xpassed": ({"failed": 1}, 1),
    "not_applicable": ({"skipped": 1}, 5),
    "skipped": ({"skipped": 1}, 5),
}


def checked(
    name: str, family: str, case: str, check: str, says: str, outcome: str = "failed", *, before: str = "", **more: str
) -> None:
    """A row in which one check looks at one case, which `before` may prepare; `more` are dtype= and marks=."""
    dtype = more.pop("dtype", "float32")
    marks = more.pop("marks", "")
    assert not more, more
    test = f"""
{before}
@pytest.mark.cases([{case}])
@pytest.mark.checks("{check}")
@pytest.mark.dtypes("{dtype}")
{marks}
def test_it(check):
    check()
"""
    summary, code = ENDS[outcome]
    arguments = () if dtype == "float32" else (f"--torchbasics-dtype={dtype}",)
    run(name, family, test, says, code=code, summary=summary, cells={outcome: 1}, arguments=arguments)


def command(
    name: str,
    family: str,
    write: Callable[[Path], object],
    words: str,
    says: str | tuple[str, ...],
    *,
    code: int,
) -> None:
    """A row that gives a command to what `write` wrote."""
    told = (says,) if isinstance(says, str) else says
    _add(Command(name, family, code, told, write, tuple(words.split())))
