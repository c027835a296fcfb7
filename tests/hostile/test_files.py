"""Hostile files through every command: one line with the path, the documented exit code, nothing written elsewhere."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.environment import environment

from .making import REFUSED, commands, mutants, small_run, torchbasics

#: Commands that go on without what cannot be read, and say so: no earlier run, an annotation.
GO_ON = ("ci compare", "ci annotate", "ci keep")
#: What may be read: only the name of the folder is right, or there is nothing in it for that command.
HARMLESS = {"report --history": ("a run id that climbs out of the folder",)}


@pytest.mark.skipif(sys.platform != "linux", reason="pipes, devices and a limit of the memory, as Linux has them")
def test_every_command_refuses_every_hostile_file_in_one_line(tmp_path: Path) -> None:
    words = [sys.executable, "-B", "-m", "tests.hostile.worker", str(tmp_path)]
    here = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**environment(), **here})
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("the memory is limited") is True
    assert len(found) >= 45
    for file, endings in found.items():
        for command, (code, problem, said) in endings.items():
            assert not problem, (file, command, problem)
            if command not in GO_ON and file not in HARMLESS.get(command, ()):
                assert code == REFUSED, (file, command, code, said)
                assert str(tmp_path) in said or "the run id '../../escaped'" in said, (file, command, said)
    assert not (tmp_path.parent / "escaped").exists()


def test_commands_on_runs_with_a_value_of_the_wrong_type_end_as_documented(tmp_path: Path) -> None:
    """A sample of what `tests/fuzz` tries on the readers, whole commands this time."""
    good, run = small_run(tmp_path / "good", "20260102T000000Z-bbbbbbbb"), small_run(tmp_path / "bad")
    record = json.loads((run / "run.json").read_bytes())
    (tmp_path / "none.toml").touch()
    every = list(commands(run, good, tmp_path).items())
    codes: Counter[int] = Counter()
    for number, (what, mutant) in enumerate(random.Random(1).sample(list(mutants(record)), 3 * len(every))):
        (run / "run.json").write_text(json.dumps(mutant))
        name, arguments = every[number % len(every)]
        done = torchbasics(*arguments)
        assert not done.problem, (name, what, done.problem)
        codes[done.code] += 1
    assert codes[REFUSED] > 5, codes
