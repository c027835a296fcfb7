"""`--resume`: what ended is kept, the rest runs, and the run is one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pytest_torchbasics.results.load import load

from .running import Left, Server, verify
from .test_isolation import PROJECT


def run(server: Server, folder: Path, *names: str, then: str = "os._exit(0)", options: tuple[str, ...] = ()) -> Left:
    project = f"NAMES = {names}\n{PROJECT}".replace("os._exit(0)", then)
    return server.run(folder, *options, project=project)


def rows_of(left: Left) -> pd.DataFrame:
    return load(left.results).set_index("case")


def test_a_run_that_died_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    left = run(server, tmp_path, "ok-1", "exits", "ok-2")
    assert left.code == 0, left.output
    rows = rows_of(left)
    assert rows["outcome"].astype(str).to_dict() == {"ok-1": "passed", "exits": "crashed", "ok-2": "not_run"}
    before = rows.loc["ok-1", "started_at"]
    left = run(server, tmp_path, "ok-1", "exits", "ok-2", then="return x", options=("--resume=latest",))
    assert left.code == 0, left.output
    rows = rows_of(left)
    assert rows["outcome"].astype(str).to_dict() == dict.fromkeys(("ok-1", "exits", "ok-2"), "passed")
    assert rows.loc["ok-1", "started_at"] == before, "what had ended ran again"
    assert "1 deselected" in left.output
    assert len(list((left.results / "runs").iterdir())) == 1
    assert verify(left.results) == 0
    left = run(server, tmp_path, "ok-1", "exits", "ok-2", options=("--resume=latest",))
    assert left.code == 0, left.output


def test_the_latest_run_is_the_one_that_died_though_an_older_one_finished(server: Server, tmp_path: Path) -> None:
    (finished,) = (run(server, tmp_path, "ok-1").results / "runs").iterdir()
    finished.rename(finished.with_name("20200101T000000Z-00000000"))  # or both began in one second
    run(server, tmp_path, "ok-1", "exits")
    left = run(server, tmp_path, "ok-1", "exits", then="return x", options=("--resume=latest",))
    assert left.code == 0, left.output
    assert "1 deselected" in left.output
    assert len(list((left.results / "runs").iterdir())) == 2
    assert verify(left.results) == 0


def test_a_run_is_gone_on_with_under_isolate_after_it_died_without(server: Server, tmp_path: Path) -> None:
    names = ("exits", "ok-1")
    run(server, tmp_path, *names, options=("--isolate",))
    left = run(server, tmp_path, *names, options=("--resume=latest",))
    assert rows_of(left)["outcome"].astype(str).to_dict() == {"exits": "crashed", "ok-1": "passed"}
    left = run(server, tmp_path, *names, then="return x", options=("--resume=latest", "--isolate"))
    assert left.code == 0, left.output
    assert set(rows_of(left)["outcome"].astype(str)) == {"passed"}, "the last attempt counts"
    assert verify(left.results) == 0


def test_what_failed_before_keeps_the_run_red(server: Server, tmp_path: Path) -> None:
    run(server, tmp_path, "wrong", "exits", "ok-1")
    left = run(server, tmp_path, "wrong", "exits", "ok-1", then="return x", options=("--resume=latest",))
    assert left.code == 1, left.output
    assert "1 cell had failed before the run was gone on with" in left.output
    outcomes = rows_of(left)["outcome"].astype(str).to_dict()
    assert outcomes == {"wrong": "failed", "exits": "passed", "ok-1": "passed"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--resume=20200101T000000Z-00000000",), "is no run folder"),
        (("--resume=latest", "-n2"), "go on without -n"),
        (("--resume=latest", "--torchbasics-dtype=float64"), "are not in the plan"),
        (("--resume=latest", "--results="), "give --results=DIR"),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(
    server: Server, tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    run(server, tmp_path, "ok-1")
    left = run(server, tmp_path, "ok-1", options=options)
    assert left.code == 4, left.output
    assert says in left.output
    assert len(rows_of(left)) == 1


def test_a_run_of_other_versions_is_not_gone_on_with(server: Server, tmp_path: Path) -> None:
    left = run(server, tmp_path, "ok-1", "exits", "ok-2")
    (record,) = left.results.glob("runs/*/run.json")
    text = record.read_text()
    record.write_text(text.replace('"env_id": "', '"env_id": "0'))
    assert record.read_text() != text
    left = run(server, tmp_path, "ok-1", "exits", "ok-2", options=("--resume=latest",))
    assert left.code == 4, left.output
    assert "one run has one environment" in left.output


def test_a_shard_that_has_no_case_is_green_and_says_so(server: Server, tmp_path: Path) -> None:
    codes = {}
    for share in range(1, 6):
        left = run(server, tmp_path, "ok-1", options=(f"--shard={share}/5", "--deselect=test_it.py::test_of_others"))
        codes[left.code] = codes.get(left.code, 0) + 1
        assert "no case is in this shard" in left.output or "1 passed" in left.output
    assert codes == {0: 5}
    assert verify(left.results) == 0
