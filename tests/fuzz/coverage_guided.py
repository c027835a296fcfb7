"""`python -m tests.fuzz.coverage_guided TARGET [-max_total_time=60 ...]`: atheris, led by what the reader executes.

The targets are those of the other fuzz tests; what follows is libFuzzer's. It ends with a code other than 0, and
writes the input to `crash-...` in the current folder, when a reader raises something other than `ResultError`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pytest_torchbasics.results", "pytest_torchbasics.pipeline"]):
    from . import targets

from tests.hostile.guard import guarded


def main(name: str, arguments: list[str]) -> None:
    """Fuzz a target, beginning with its valid file, in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made)
        seeds = targets.make_seeds(root / "seeds")
        for part in ("run", "corpus"):
            (root / part).mkdir()
        targets.lay_out(root / "run", seeds)
        (root / "corpus" / "valid").write_bytes(seeds[name])

        def one(data: bytes) -> None:
            with guarded(root):
                targets.read(name, data, root / "run")

        atheris.Setup([sys.argv[0], *arguments, str(root / "corpus")], one)
        atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in targets.TARGETS:
        sys.exit(f"name one of: {', '.join(targets.TARGETS)}")
    main(sys.argv[1], sys.argv[2:])
