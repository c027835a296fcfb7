"""What the plugin costs a project that uses none of it, beside a run without it and a run with pytest-torch.

    python benchmarks/overhead.py [--rounds 15] [--tests 2000]

The variants are run in turn, in random order, each in a process of its own. Printed are medians over the rounds of the
wall time of a run with one empty test, of what the plugin adds to it, and of what it adds to each of many empty tests.
The differences are taken within a round, so that a busy machine slows both sides.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLUGINS = {"no plugin": None, "pytest-torchbasics": "pytest_torchbasics.plugin", "pytest-torch": "pytest_torch.plugin"}
LIMIT_RUN_MS, LIMIT_TEST_MS = 10.0, 0.05


def seconds(folder: Path, plugin: str | None, more: list[str]) -> float:
    """Wall time of one run of pytest."""
    chosen = ["-p", plugin] if plugin else []
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": ""}
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen, *more],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - begun


def measure(
    tests: int, rounds: int, plugins: dict[str, str | None], more: list[str] | None = None
) -> dict[str, list[float]]:
    """Times of each variant, in the order of the rounds."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        bodies = "\n".join(f"def test_{i}():\n    pass\n" for i in range(tests))
        (Path(folder) / "test_empty.py").write_text(bodies)
        times: dict[str, list[float]] = {name: [] for name in plugins}
        for round_ in range(rounds + 1):  # the first one warms the file caches
            for name in random.sample(list(plugins), len(plugins)):
                found = seconds(Path(folder), plugins[name], more or [])
                if round_:
                    times[name].append(found)
        return times


def added(times: dict[str, list[float]], name: str) -> float:
    """The median difference to the run without a plugin, in seconds."""
    return statistics.median(a - b for a, b in zip(times[name], times["no plugin"], strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tests", type=int, default=2000)
    arguments = parser.parse_args()
    plugins = {
        name: module
        for name, module in PLUGINS.items()
        if module is None or importlib.util.find_spec(module.split(".")[0]) is not None
    }
    one = measure(1, arguments.rounds, plugins)
    many = measure(arguments.tests, arguments.rounds, plugins)
    print(f"{'':20} {'run, ms':>10} {'added, ms':>10} {'added a test, ms':>18}")
    for name in plugins:
        run = statistics.median(one[name]) * 1e3
        per_test = (added(many, name) - added(one, name)) / (arguments.tests - 1) * 1e3
        print(f"{name:20} {run:10.1f} {added(one, name) * 1e3:10.1f} {per_test:18.4f}")
    if importlib.util.find_spec("xdist") is not None:
        parallel = measure(1, max(3, arguments.rounds // 3), plugins, ["-p", "xdist", "-n1"])
        for name in plugins:
            run, more = statistics.median(parallel[name]) * 1e3, added(parallel, name) * 1e3
            print(f"{name:20} {run:10.1f} {more:10.1f}  with -n1")
    print(f"{'allowed':20} {'':10} {LIMIT_RUN_MS:10.1f} {LIMIT_TEST_MS:18.4f}")
    per_test = (added(many, "pytest-torchbasics") - added(one, "pytest-torchbasics")) / (arguments.tests - 1)
    return int(added(one, "pytest-torchbasics") * 1e3 > LIMIT_RUN_MS or per_test * 1e3 > LIMIT_TEST_MS)


if __name__ == "__main__":
    sys.exit(main())
