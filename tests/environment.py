"""The environment of processes that tests start."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """This process's environment as a user's: not an xdist worker's, and one thread."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**kept, "OMP_NUM_THREADS": "1"}
