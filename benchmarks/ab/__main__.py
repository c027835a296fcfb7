"""False alarms and detection of `torchbasics ab`, beside its peers, in one run:

    python -m benchmarks.ab [--sessions 0=8,0.02=2,0.05=4,0.1=8] [--peers 0=2,0.02=1,0.05=1,0.1=1] [--neighbours 1]

Both sides are this code, in processes of their own; of the head, each call does a known share more of the same work. A
session of `ab`, pytest-benchmark and torch's Compare has 64 cells, one of pyperf, which starts processes for every
value, 8. The peers' rules are those of their own commands, with the threshold of 5 % that `ab` works with.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.neighbours import neighbours

from .tools import TOOLS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=_plan, default="0=8,0.02=2,0.05=4,0.1=8", help="of ab, by planted share")
    parser.add_argument("--peers", type=_plan, default="0=2,0.02=1,0.05=1,0.1=1", help="of each peer")
    parser.add_argument("--neighbours", type=int, default=1, help="processes that compute meanwhile")
    parser.add_argument("--tools", default=",".join(TOOLS))
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH", ""))))
    print(f"{os.cpu_count()} CPUs, {options.neighbours} busy neighbours, load {os.getloadavg()[0]:.1f}; shares in %")
    print(f"{'tool':<17} planted  cells  slower  faster  unchanged  else  seconds of a session")
    shares = sorted({*options.sessions, *options.peers})
    with tempfile.TemporaryDirectory() as folder, neighbours(options.neighbours):
        for planted in shares:
            for tool in options.tools.split(","):
                sessions = (options.sessions if tool == next(iter(TOOLS)) else options.peers).get(planted, 0)
                if sessions:
                    _told(tool, planted, sessions, Path(folder))


def _told(tool: str, planted: float, sessions: int, folder: Path) -> None:
    found: Counter[str] = Counter()
    begun = time.monotonic()
    for session in range(sessions):
        found.update(TOOLS[tool](folder, planted, session))
    seconds = (time.monotonic() - begun) / sessions
    cells = found.total()
    slower, faster, same = (100 * found[word] / cells for word in ("slower", "faster", "unchanged"))
    rest = 100 - slower - faster - same
    told = f"{slower:>7.1f} {faster:>7.1f} {same:>10.1f} {rest:>5.1f}"
    print(f"{tool:<17} {planted:>7.0%} {cells:>6} {told} {seconds:>8.0f}", flush=True)


def _plan(text: str) -> dict[float, int]:
    pairs = (word.split("=") for word in text.split(",") if word)
    return {float(share): int(sessions) for share, sessions in pairs}


if __name__ == "__main__":
    main()
