"""Processes that compute all the time, beside what is measured."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Processes that multiply matrices until the block ends."""
    code = "import numpy as np\na = np.ones((400, 400))\nwhile True:\n    a @ a"
    environment = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")}
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()
