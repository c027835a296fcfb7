"""Every way to look green that is known ends with another exit code than 0, or is told by `torchbasics verify`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pytest_torchbasics.results.load import load

from ..cli.test_commands import torchbasics
from ..faults.running import Left, Server
from .corpus import FAMILIES, ROWS, Command, Run

RUNS = {name: row for name, row in ROWS.items() if isinstance(row, Run)}
COMMANDS = {name: row for name, row in ROWS.items() if isinstance(row, Command)}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_tested_nothing_or_found_a_fault_is_red(server: Server, tmp_path: Path, name: str) -> None:
    row = RUNS[name]
    if pytest.version_tuple < row.lowest:
        pytest.skip(f"pytest {'.'.join(map(str, row.lowest))} was the first to refuse it")
    for file, text in row.files.items():
        (tmp_path / f"{file}.py").write_text(text)
    left = server.run(tmp_path, *row.arguments, project=row.files["test_it"], device=row.device)
    assert left.code == row.code, left.output
    for said in row.says:
        assert said in left.output, left.output
    assert summary(left.output) == dict(row.summary), left.output
    assert outcomes(left) == dict(row.cells)
    assert torchbasics("verify", left.results).code == row.verify
    assert not row.witness or (tmp_path / row.witness).exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_compared_nothing_or_lacks_something_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    row = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    row.write(tmp_path)
    done = torchbasics(*row.words)
    assert done.code == row.code, done
    for said in row.says:
        assert said in done.err, done
    assert "Traceback" not in done.err


def summary(output: str) -> dict[str, int]:
    """What pytest's last line counts, without warnings; empty if there is none, or nothing ran."""
    try:
        counted = pytest.RunResult.parse_summary_nouns(output.splitlines())
    except ValueError:
        return {}
    return {noun: count for noun, count in counted.items() if noun != "warnings"}


def outcomes(left: Left) -> dict[str, int]:
    """How many rows of which outcome a run left."""
    return {} if left.run is None else dict(Counter(load(left.run)["outcome"].astype(str)))


def test_every_family_has_rows_and_every_row_is_red() -> None:
    counted = Counter(row.family for row in ROWS.values())
    assert set(counted) == set(FAMILIES)
    assert {name: row for name, row in ROWS.items() if not row.red} == {}


def test_every_row_shows_that_its_fault_was_there() -> None:
    assert [name for name, row in ROWS.items() if not row.says and not getattr(row, "witness", "")] == []
