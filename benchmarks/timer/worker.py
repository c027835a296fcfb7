"""One fresh process: a tool measures a work without and with planted slowdowns, in random order.

    python -m benchmarks.timer.worker TOOL WORK DEVICE SEED SLOWDOWN...

Prints a line of JSON: the known length, and for each slowdown the reported time and its cost.
"""

from __future__ import annotations

import json
import random
import sys

import torch

from .tools import asked
from .works import made


def main() -> None:
    """Measure, and print what was found."""
    tool, name, device, seed, *slowdowns = sys.argv[1:]
    torch.set_num_threads(1)
    order = random.Random(int(seed)).sample(slowdowns, len(slowdowns))
    found: dict[str, dict[str, float]] = {}
    seconds = None
    for slowdown in order:
        work = made(name, float(slowdown), device)
        seconds = work.seconds
        answer = asked(tool, work, device)
        if answer is not None:
            found[slowdown] = {"value": answer.value, "cost": answer.cost}
    print(json.dumps({"seconds": seconds, "found": found}))


if __name__ == "__main__":
    main()
