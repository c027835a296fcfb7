"""A small valid run, every way to put a wrong value into a JSON document, and the commands that read one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from pytest_torchbasics.cli import main
from tests.results.making import RECORD, check_cell, checked, timed, timing_cell, write_run

RUN_ID = "20260101T000000Z-aaaaaaaa"
#: One value of each type, the extremes of each, and what drives a terminal.
WRONG = (None, True, -1, 10**30, 1.5, "", "\x1b[2J\u202e=1+1\n::error::", [], {}, [[{}]], {"a": {"b": []}})
ABSENT = object()
#: What a command may end with: docs/reference.md.
CODES = (0, 1, 2, 3, 4)
#: Endings of a command that reads a file which is none.
REFUSED = 2


def small_run(root: Path, run_id: str = RUN_ID, **more: Any) -> Path:
    """A finished run with a check that failed, one that passed, and a time."""
    gpu = {"type": "cuda", "name": "NVIDIA H100", "memory_bytes": 80 << 30, "driver": "580.1"}
    record = {**RECORD, "gpus": [gpu], "packages": {"torch": "2.14.1"}, "variables": {"OMP_NUM_THREADS": "1"}}
    rows = [
        checked(check_cell("linear")),
        checked(check_cell("linear", "gradient"), "failed", "it differs"),
        timed(timing_cell("linear"), 1e-3),
    ]
    return write_run(root, rows, record=record, run_id=run_id, leg="linux-cpu", shard="1/1", **more)


def mutants(document: Any) -> Iterator[tuple[str, Any]]:
    """The document with one of its values replaced by each wrong one, or left out; each with what was done."""
    for place in _places(document, ()):
        for value in (*WRONG, ABSENT):
            changed = _with(document, place, value)
            if changed is not None:
                yield f"{'.'.join(map(str, place)) or 'all'} = {'absent' if value is ABSENT else repr(value)}", changed


def _places(value: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield place
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*place, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value[:1]):  # the others are like the first
            yield from _places(inner, (*place, number))


def _with(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return None if value is ABSENT else value
    changed = copy.deepcopy(document)
    holder = changed
    for key in place[:-1]:
        holder = holder[key]
    if value is ABSENT:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return changed


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    is_table: bool = False

    @property
    def problem(self) -> str:
        """What a user must never see; empty if all is well."""
        if self.code not in CODES:
            return f"exit {self.code}"
        if "Traceback" in self.err + self.out or "unexpected" in self.err:
            return self.err
        said = [line for line in self.err.splitlines() if line.startswith(("torchbasics: exit", "Error: "))]
        if self.code == REFUSED and len(said) != 1:
            return f"{len(said)} lines say why"
        if self.is_table:  # it keeps every character, and is made printable on its way to a terminal
            return ""
        raw = [hex(ord(c)) for c in self.err + self.out if (ord(c) < 32 and c not in "\n\t\r") or 127 <= ord(c) < 160]
        return f"raw control characters: {raw[:5]}" if raw else ""


def torchbasics(*arguments: object) -> Done:
    """A command, in this process."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr, is_table="csv" in arguments)


def commands(path: Path, good: Path, out: Path) -> dict[str, tuple[object, ...]]:
    """Every command that reads results, for results at `path`; `good` is a run that is as it should be."""
    return {
        "show": ("show", path),
        "show as csv": ("show", path, "--format", "csv", "--long"),
        "matrix": ("matrix", path),
        "matrix --diff": ("matrix", good, "--diff", path, "--format", "json"),
        "compare, as head": ("compare", good, path),
        "compare, as baseline": ("compare", path, good),
        "merge": ("merge", path, "--out", out / "merged"),
        "report": ("report", path, "--base", good, "--out", out / "report"),
        "report --history": ("report", good, "--history", path, "--out", out / "report"),
        "history": ("history", "linear", path),
        "ci annotate": ("ci", "annotate", path),
        "ci compare": ("ci", "compare", good, "--history", path, "--config", out / "none.toml"),
        "ci keep": ("ci", "keep", path, "--history", out / "history"),
    }
