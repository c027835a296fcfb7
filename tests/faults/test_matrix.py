"""Every fault in a real run: it happened, no acknowledged row is lost, the culprit is named, nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import LONG
from .faults import FAULTS, Fault
from .inside import CASES, VICTIM
from .running import Left, Server, names, verify

OTHERS = set(CASES) - {VICTIM}
#: How the cell ends in which a process dies.
DIED = ("crashed", "timeout")
#: What others leave in the folder for temporary files: pytest's own, and torch's.
FOREIGN = ("pytest-of-", "torchinductor_")


def cells() -> Iterator[tuple[str, str, int]]:
    for name, fault in FAULTS.items():
        phases = fault.phases if LONG or fault.thorough else tuple(set(fault.phases) & {"call"})
        yield from ((name, phase, 0) for phase in phases)
        if fault.workers_code is not None and (LONG or fault.thorough):
            yield from ((name, phase, 2) for phase in (phases if LONG else ("call",)))


@pytest.mark.parametrize(("name", "phase", "workers"), list(cells()))
def test_a_run_that_a_fault_strikes(server: Server, tmp_path: Path, name: str, phase: str, workers: int) -> None:
    fault = FAULTS[name]
    left = server.run(tmp_path, *fault.options, *(["-n2"] if workers else []), fault=name, phase=phase)
    struck(fault, phase, workers, left)
    rows = left.rows()
    assert sorted(rows.index) == list(CASES), left.output
    outcomes = dict(zip(rows.index, rows["outcome"].astype(str), strict=True))
    acknowledged = names(left.said("acknowledged"))
    kept = ("passed", "crashed") if workers else ("passed",)  # another worker may end in its test's last fixture
    assert {case for case in acknowledged - {VICTIM} if outcomes[case] not in kept} == set(), "rows are lost"
    assert VICTIM not in acknowledged or outcomes[VICTIM] != "not_run", "its row is lost"
    ended_as_it_must(fault, phase, workers, outcomes, acknowledged)
    verified(fault, phase, workers, left)
    nothing_is_left(left)
    if phase == "call" and fault.ends in ("dies", "survives"):
        the_next_run_is_clean(server, tmp_path, left)


def struck(fault: Fault, phase: str, workers: int, left: Left) -> None:
    (line,) = left.said("struck")
    assert line.startswith(f"{fault.name} in {phase}"), left.output
    assert left.code in ((fault.workers_code or ()) if workers else fault.code), left.output
    # What comes back tells that it is there; what should not come back has not.
    assert set(left.said("evidence")) <= {"True"}
    assert left.said("evidence") or fault.ends != "survives"


def ended_as_it_must(fault: Fault, phase: str, workers: int, outcomes: dict[str, str], acknowledged: set[str]) -> None:
    victim, others = outcomes[VICTIM], {outcomes[case] for case in OTHERS}
    beside = {"crashed"} if workers else set()  # what the other worker was at when the run ended
    if fault.ends == "dies":
        assert victim in DIED
        if workers and fault.alone:
            assert others == {"passed"}
        else:
            assert others <= {"passed", "not_run", *beside}
    elif fault.ends == "stops":
        assert victim in ("not_run", "error") or VICTIM in acknowledged or (workers and victim in DIED)
        assert others <= {"passed", "not_run", *beside}
    else:
        assert others == {"passed"}
        assert acknowledged >= OTHERS
        assert victim == "passed" if fault.ends == "survives" else victim in ("error", "failed")


def verified(fault: Fault, phase: str, workers: int, left: Left) -> None:
    """`torchbasics verify` finds what the exit code does not tell."""
    found = verify(left.run)
    if fault.ends == "fails":
        assert found == 1
    elif fault.ends == "survives":
        assert (found == 0) == (left.code == 0) or left.rescued or fault.name == "another_plugin_raises"
    else:
        assert found == 4


def nothing_is_left(left: Left) -> None:
    assert left.processes == ()
    temporary = {path for path in left.temporary.iterdir() if not path.name.startswith(FOREIGN)}
    assert temporary == set(left.rescued)
    assert not list(left.results.rglob("*.tmp"))
    beside = {path.name for path in left.results.parent.iterdir()}
    assert beside <= {"results", "witnesses", "tmp", "test_it.py", "pytest.ini", "output0", ".benchmarks"}


def the_next_run_is_clean(server: Server, folder: Path, left: Left) -> None:
    before = set((left.results / "runs").glob("*"))
    after = server.run(folder)
    assert after.code == 0, after.output
    (run,) = set((left.results / "runs").glob("*")) - before
    assert verify(run) == 0


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_cell_in_flight_is_named_outside_of_its_check_too(server: Server, tmp_path: Path, phase: str) -> None:
    left = server.run(tmp_path, fault="sigkill", phase=phase)
    assert left.code == -9
    assert left.rows().loc[VICTIM, "outcome"] == "crashed"


def test_a_file_that_cannot_be_collected_stops_the_run(server: Server, tmp_path: Path) -> None:
    (tmp_path / "test_zz.py").write_text("1 / 0\n")
    left = server.run(tmp_path)
    assert left.code == 2
    assert "ZeroDivisionError" in left.output
    assert set(left.rows()["outcome"]) == {"not_run"}
    assert verify(left.run) == 4
    (tmp_path / "test_zz.py").unlink()
    assert server.run(tmp_path).code == 0
