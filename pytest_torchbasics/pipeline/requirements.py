"""What plans, merges and reports need beside this package: `python -m pytest_torchbasics.pipeline.requirements`.

One line each, for pip; imports nothing that is not there before they are installed.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys

#: What only the legs need.
TEST_SIDE = ("torch", "torchvision", "pytest", "pytest-benchmark")


def reader_requirements() -> list[str]:
    """What the installed distribution requires, without extras, and without what only the legs need."""
    found = importlib.metadata.requires("pytest-torchbasics") or []
    plain = [requirement for requirement in found if not re.search(r";.*\bextra\b", requirement)]
    return [requirement for requirement in plain if _name(requirement) not in TEST_SIDE]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()


if __name__ == "__main__":
    sys.stdout.write("".join(f"{requirement}\n" for requirement in reader_requirements()))
