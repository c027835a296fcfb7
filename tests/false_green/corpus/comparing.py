"""Gates that compared nothing, or something else: the commands on results that are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tests.results.making import OTHER_MACHINE, begun_run, check_cell, checked, timed, timing_cell, write_run

from .row import OUT_OF_SCOPE, command

Write = Callable[[Path], object]
ALL = "--fail-on=regression,suspect,missing,new-failure"
BASE = (timed(timing_cell("linear"), 1.0), timed(timing_cell("conv"), 1.0))
SLOW = timed(timing_cell("linear"), 20.0)


def sides(base: Sequence, head: Sequence, **more: object) -> Write:
    """Write two runs; what is given beside them is told of the head."""

    def write(folder: Path) -> None:
        write_run(folder / "base", base)
        write_run(folder / "head", head, **more)

    return write


def noisy(folder: Path) -> None:
    """Write five runs a side, of which the last one could show anything."""
    for side, seconds in (("base", (1.0, 1.5, 0.7, 1.2, 0.9)), ("head", (1.1, 0.8, 1.6, 0.7, 1.3))):
        for second in seconds:
            write_run(folder / side, [timed(timing_cell("linear"), second)])


def row(name: str, write: Write, words: str, says: str, code: int) -> None:
    command(name, "comparing", write, f"compare base head {words}", says, code=code)


def absent(row, outcome: str):
    return replace(row, outcome=outcome, reason="why not", metrics=(), samples_ns=())


row("a-slower-case", sides(BASE, [SLOW, BASE[1]]), ALL, "1 cell is suspect", 1)
row(
    "a-slower-case-under-another-name",
    sides(BASE, [timed(timing_cell("linear2"), 20.0), BASE[1]]),
    ALL,
    "1 cell is missing",
    1,
)
row("a-case-that-is-gone", sides(BASE, BASE[:1]), ALL, "1 cell is missing", 1)
for outcome in ("skipped", "not_applicable", "unsupported", "xfailed"):
    row(f"a-case-that-is-{outcome}", sides(BASE, [absent(BASE[0], outcome), BASE[1]]), ALL, "1 cell is missing", 1)
for outcome in ("failed", "error", "timeout"):
    row(
        f"a-case-that-ends-as-{outcome}",
        sides(BASE, [absent(BASE[0], outcome), BASE[1]]),
        ALL,
        "1 cell is new-failure",
        1,
    )
row("nothing-in-common", sides(BASE, [timed(timing_cell("other"), 1.0)]), ALL, "no matching data", 2)
row(
    "nothing-passed",
    sides([absent(r, "skipped") for r in BASE], [absent(r, "skipped") for r in BASE]),
    ALL,
    "no cell passed on both sides",
    2,
)
row(
    "nothing-passed-before",
    sides([absent(r, "failed") for r in BASE], [absent(r, "failed") for r in BASE]),
    ALL,
    "no cell passed on both sides",
    2,
)
row("nothing-selected", sides(BASE, BASE), f"-k zzz {ALL}", "no matching data", 2)
row("another-case-of-the-name", sides(BASE[:1], [replace(SLOW, case_hash="beef")]), ALL, "every case was changed", 3)
row("another-machine", sides(BASE, [SLOW, BASE[1]], record=OTHER_MACHINE), ALL, "different machines", 3)
row("a-run-that-stopped", sides(BASE, BASE[:1], plan=[r.cell for r in BASE]), ALL, "is incomplete", 4)
row("no-such-metric", sides(BASE, BASE), f"--metric=nope {ALL}", "nope", 2)
command(
    "nothing-but-noise",
    "comparing",
    noisy,
    "compare base head --fail-on=inconclusive",
    "1 cell is inconclusive",
    code=1,
)
row("no-baseline", lambda folder: write_run(folder / "head", BASE), ALL, "base", 2)
row("no-such-gate", sides(BASE, BASE), "--fail-on=slower", "'slower' is none of", 2)
for value in ("nan", "-5%", "inf"):
    row(
        f"a-threshold-of-{value.strip('-%')}",
        sides(BASE, [SLOW, BASE[1]]),
        f"--threshold={value} {ALL}",
        "--threshold",
        2,
    )
row("a-screen-of-nan", sides(BASE, [SLOW, BASE[1]]), f"--screen=nan {ALL}", "--screen", 2)


def newer(folder: Path) -> None:
    sides(BASE, BASE)(folder)
    (path,) = (folder / "base").glob("runs/*/run.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))


def altered(folder: Path) -> None:
    sides(BASE, BASE)(folder)
    (path,) = (folder / "base").glob("runs/*/rows.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def died(folder: Path) -> None:
    write_run(folder / "base", BASE)
    begun_run(folder / "head", BASE[:1], BASE[1].cell)


row("a-baseline-of-a-newer-schema", newer, ALL, "schema 99", 2)
row("a-baseline-that-was-altered", altered, ALL, "rows.parquet", 2)
row("a-run-that-died", died, ALL, "is crashed", 4)

OUT_OF_SCOPE["a threshold of 1000 %"] = "it is what was asked for; the mean change of all cells is told all the same"

# --- verify, merge, matrix, ci ----------------------------------------------------------------------------

CHECKED = (checked(check_cell("a")), checked(check_cell("b")))


def merging(name: str, write: Write, words: str, says: str, code: int) -> None:
    command(name, "merging", write, words, says, code=code)


def one(folder: Path) -> None:
    write_run(folder / "in", CHECKED, leg="cpu")


def expecting(*legs: dict[str, str]) -> Write:
    def write(folder: Path) -> None:
        one(folder)
        (folder / "plan.json").write_text(json.dumps({"schema": 1, "legs": list(legs)}))

    return write


def contradicting(folder: Path) -> None:
    for place, outcome in (("in", "passed"), ("in2", "failed")):
        write_run(folder / place, [checked(check_cell("a"), outcome)], run_id="same")


EXPECT = "merge in --out out --expect plan.json"
merging("a-leg-that-never-arrived", expecting({"leg": "cpu"}, {"leg": "gpu"}), EXPECT, "1 legs never arrived: gpu", 4)
merging(
    "a-shard-that-never-arrived",
    expecting({"leg": "cpu", "shard": "1/2"}, {"leg": "cpu", "shard": "2/2"}),
    EXPECT,
    "never arrived",
    4,
)
merging("a-plan-of-nothing", expecting(), EXPECT, "plan.json", 2)
merging("a-plan-that-is-not-there", one, EXPECT, "plan.json", 2)
merging("nothing-to-merge", lambda folder: (folder / "in").mkdir(), "merge in --out out", "in", 2)
merging(
    "a-leg-that-died",
    lambda folder: begun_run(folder / "in", CHECKED[:1], CHECKED[1].cell),
    "merge in --out out",
    "1 runs did not end as planned",
    4,
)
merging("a-run-that-is-there-twice", contradicting, "merge in in2 --out out", "there twice with different rows", 3)
merging("no-run-to-verify", lambda folder: (folder / "in").mkdir(), "verify in", "in", 2)
merging("an-altered-run-to-verify", altered, "verify base", "not those that the run wrote", 2)
merging(
    "a-failed-run-among-others",
    lambda folder: (one(folder), write_run(folder / "in", [checked(check_cell("a"), "failed")])),
    "verify in",
    "1 of 3 cells ended badly",
    1,
)
merging(
    "an-unfinished-run-among-others",
    lambda folder: (one(folder), write_run(folder / "in", CHECKED[:1], plan=[r.cell for r in CHECKED])),
    "verify in",
    "did not run to their end",
    4,
)
merging(
    "a-run-in-which-nothing-ran",
    lambda folder: write_run(folder / "in", [checked(check_cell("a"), "skipped")]),
    "verify in",
    "nothing was measured",
    2,
)


def planned(text: str) -> Write:
    def write(folder: Path) -> None:
        (folder / "pyproject.toml").write_text(text)

    return write


def ci(name: str, text: str, words: str, says: str, code: int) -> None:
    command(name, "ci", planned(text), f"ci {words}", says, code=code)


ci("no-device", "[tool.torchbasics.ci]\ndevices = []\n", "plan", "devices", 2)
ci("no-python", "[tool.torchbasics.ci]\npython = []\n", "plan", "python", 2)
ci("no-torch", "[tool.torchbasics.ci]\ntorch = []\n", "plan", "torch", 2)
ci("a-misspelt-key", '[tool.torchbasics.ci]\ndevice = ["cpu"]\n', "plan", "device", 2)
ci("no-such-profile", "[tool.torchbasics.ci]\n", "plan --profile=slow", "there is no profile 'slow'", 2)
ci("no-such-file", "", "plan --config=no.toml", "is not there", 2)
ci("no-leg-for-this-machine", '[tool.torchbasics.ci]\npython = ["3.99"]\n', "run", "this machine can do no leg", 4)
ci(
    "a-workflow-that-is-out-of-date",
    "[tool.torchbasics.ci]\n",
    "write --check",
    "is not what `torchbasics ci write` writes",
    1,
)
