"""False alarms and detection of `torchbasics ab`: `python -m benchmarks.ab [--sessions N] [--neighbours N]`.

Both sides are this code; of the head, each case does a known share more of the same work (100 rounds become 105).
Beside it the rule that its peers use, on the same blocks: one median by another, 5 % apart.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

CASES = """
import os
import pytest, torch
from torch.nn import functional as F
from pytest_torchbasics import Tensor, op

MORE = 1 + float(os.environ.get("PLANTED", "0"))

def repeated(function, rounds):
    rounds = round(rounds * MORE)

    def call(*inputs):
        for _ in range(rounds):
            result = function(*inputs)
        return result

    return call

WORK = {
    "add": (torch.add, [Tensor(256), Tensor(256)], 100),
    "matmul": (torch.matmul, [Tensor(48, 48), Tensor(48, 48)], 100),
    "softmax": (lambda x: torch.softmax(x, -1), [Tensor(64, 128)], 100),
    "conv": (F.conv2d, [Tensor(1, 8, 16, 16), Tensor(8, 8, 3, 3)], 40),
    "norm": (lambda x: F.layer_norm(x, (128,)), [Tensor(32, 128)], 100),
    "gelu": (F.gelu, [Tensor(4096)], 100),
    "sort": (lambda x: x.sort().values, [Tensor(512)], 40),
    "cumsum": (lambda x: x.cumsum(-1), [Tensor(64, 64)], 100),
}
CASES = [
    op(f"{name}-{copy}", repeated(function, rounds), *inputs)
    for name, (function, inputs, rounds) in WORK.items()
    for copy in range(4)
]

@pytest.mark.cases(CASES)
def test_speed(measure):
    measure()
"""
PLANTED = (0.0, 0.02, 0.05, 0.10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=4, help="for each planted slowdown; of 32 cells each")
    parser.add_argument("--neighbours", type=int, default=1, help="processes that multiply matrices all the time")
    options = parser.parse_args()
    print(f"{options.neighbours} neighbours; shares of cells in %")
    heads = (("planted", 8), ("slower", 8), ("faster", 8), ("unchanged", 10), ("inconclusive", 13), ("5 % rule", 9))
    print(" ".join(f"{name:>{width}}" for name, width in (*heads, ("seconds", 8))))
    with tempfile.TemporaryDirectory() as folder, _neighbours(options.neighbours):
        (Path(folder) / "test_planted.py").write_text(CASES)
        (Path(folder) / "pytest.ini").write_text("[pytest]\n")
        for planted in PLANTED:
            found: Counter[str] = Counter()
            begun = time.monotonic()
            for session in range(options.sessions):
                found += _session(Path(folder), planted, session)
            seconds = (time.monotonic() - begun) / options.sessions
            cells = sum(found[word] for word in ("slower", "faster", "unchanged", "inconclusive"))
            words = (("slower", 8), ("faster", 8), ("unchanged", 10), ("inconclusive", 13), ("rule", 9))
            shares = " ".join(f"{100 * found[word] / cells:>{width}.1f}" for word, width in words)
            print(f"{planted:>8.0%} {shares} {seconds:>8.1f}   ({cells} cells)", flush=True)


def _session(folder: Path, planted: float, seed: int) -> Counter[str]:
    """How many cells have each verdict, and how many the peers' rule would flag."""
    from pytest_torchbasics.ab.session import Session
    from pytest_torchbasics.ab.sides import opened

    arguments = ["test_planted.py", "--torchbasics-phase=forward", "--torchbasics-device=cpu", "-p", "no:playwright"]
    with contextlib.ExitStack() as stack:
        base = stack.enter_context(opened("base", ".", arguments, {"PLANTED": "0"}, folder))
        head = stack.enter_context(opened("head", ".", arguments, {"PLANTED": str(planted)}, folder))
        contests = Session(base, head, seed=seed).run()
    found = Counter(contest.decisions["median"].verdict for contest in contests)
    for contest in contests:
        sides = [sorted(contest.seconds[side]["median"][:8]) for side in ("base", "head")]
        found["rule"] += sides[1][4] / sides[0][4] > 1.05
    return found


@contextlib.contextmanager
def _neighbours(count: int) -> Iterator[None]:
    processes = [multiprocessing.get_context("spawn").Process(target=_busy, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _busy() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    matrix = torch.ones(256, 256)
    while True:
        torch.mm(matrix, matrix)


if __name__ == "__main__":
    main()
