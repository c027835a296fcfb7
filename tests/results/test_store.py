"""The run folder: refused before anything is measured, complete only by a positive record."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_torchbasics.results import ResultError, files
from pytest_torchbasics.results.environment import env_id, environment, machine_key
from pytest_torchbasics.results.journal import Journal
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.process import identity, is_alive
from pytest_torchbasics.results.store import RunFolder, finalise, new_run_id, status_of

from .making import RECORD, check_cell, checked, realistic_rows, timed, timing_cell, write_run

ROWS = [checked(check_cell("a")), timed(timing_cell("b"), 1e-3)]
PLAN = [row.cell for row in ROWS]


def test_run_ids_are_unique_and_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(50)]
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", run) for run in ids)


def test_a_run_whose_plan_ended_is_complete(tmp_path: Path) -> None:
    path = write_run(tmp_path, ROWS)
    record = json.loads((path / "run.json").read_text())
    assert (record["status"], record["planned"], record["ended"]) == ("complete", 2, 2)
    assert record["counts"] == {"passed": 2}
    assert record["files"]["rows.parquet"]["rows"] == 2
    assert status_of(path) == "complete"
    assert (tmp_path / "LATEST").read_text().strip() == record["run_id"]
    assert (path / "rows.jsonl").exists()


def test_a_planned_cell_that_is_absent_is_a_row_and_no_green(tmp_path: Path) -> None:
    path = write_run(tmp_path, ROWS[:1], plan=PLAN)
    assert status_of(path) == "incomplete"
    frame = load(path)
    assert frame["outcome"].tolist() == ["passed", "not_run"]
    assert frame["reason"].tolist()[1] == "the run ended before it was reached"


def test_a_cell_planned_by_two_tests_must_end_twice(tmp_path: Path) -> None:
    path = write_run(tmp_path, ROWS[:1], plan=[PLAN[0], PLAN[0]])
    assert status_of(path) == "incomplete"
    assert load(path)["outcome"].tolist() == ["passed", "not_run"]


def test_a_run_without_a_plan_is_never_complete(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, record=RECORD)
    book = Journal(folder.journal_path())
    book.end(ROWS[0])
    book.close()
    assert finalise(folder) == "incomplete"
    assert finalise(folder, "complete") == "incomplete"


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    path = write_run(tmp_path, ROWS[:1], plan=PLAN, status="interrupted")
    assert status_of(path) == "interrupted"
    assert load(path)["reason"].tolist()[1] == "the run was interrupted before it was reached"


def test_a_cell_in_flight_is_crashed_and_names_its_worker(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, record=RECORD)
    folder.write_plan(PLAN)
    for worker, row in zip(("gw0", "gw1"), ROWS, strict=True):
        book = Journal(folder.journal_path(worker))
        book.header(folder.run_id, worker)
        book.start(row.cell, row.nodeid)
        if worker == "gw0":
            book.end(row)
        book.close()
    assert finalise(folder) == "crashed"
    frame = load(folder.path)
    assert frame["outcome"].tolist() == ["passed", "crashed"]
    assert frame["reason"].tolist()[1] == "worker gw1 died while this ran"
    assert frame["nodeid"].tolist()[1] == ROWS[1].nodeid


def test_a_cell_that_never_ran_is_of_the_test_that_planned_it(tmp_path: Path) -> None:
    row = checked(check_cell("relu"))
    folder = RunFolder.create(tmp_path, record=RECORD)
    folder.write_plan([row.cell, row.cell], ["suites/a.py::test_it[relu]", row.nodeid])
    book = Journal(folder.journal_path())
    book.end(row)
    book.close()
    assert finalise(folder) == "incomplete"
    frame = load(folder.path)
    assert frame["outcome"].tolist() == ["passed", "not_run"]
    assert frame["nodeid"].tolist() == [row.nodeid, "suites/a.py::test_it[relu]"]


def test_a_test_that_is_run_again_has_its_last_row(tmp_path: Path) -> None:
    again = [checked(check_cell("a"), "failed", "flaky"), checked(check_cell("a"))]
    path = write_run(tmp_path, again, plan=[check_cell("a")])
    assert load(path)["outcome"].tolist() == ["passed"]
    assert status_of(path) == "complete"


def test_samples_are_kept_in_order_in_their_own_file(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = write_run(tmp_path, ROWS)
    table = pq.read_table(path / "samples.parquet")
    assert table["samples_ns"].to_pylist() == [list(ROWS[1].samples_ns)]
    assert str(table.schema.field("samples_ns").type) == "list<element: int64>"


KILLED = """
import os, signal, sys
from tests.results.making import *
folder = RunFolder.create(sys.argv[1], record=RECORD)
rows = [checked(check_cell("a")), checked(check_cell("b")), checked(check_cell("c"))]
folder.write_plan([row.cell for row in rows])
book = Journal(folder.journal_path())
book.header(folder.run_id)
book.start(rows[0].cell, rows[0].nodeid); book.end(rows[0])
book.start(rows[1].cell, rows[1].nodeid)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_is_read_from_its_journal_and_can_be_finished(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -9
    (path,) = (tmp_path / "runs").iterdir()
    assert json.loads((path / "run.json").read_text())["status"] == "running"
    assert status_of(path) == "crashed"
    for source in (path, path / "rows.jsonl"):
        assert load(source)["outcome"].tolist() == ["passed", "crashed", "not_run"]
    assert finalise(RunFolder.open(path)) == "crashed"
    assert load(path)["outcome"].tolist() == ["passed", "crashed", "not_run"]


def test_a_run_that_goes_on_has_no_crash(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, record=RECORD)
    folder.write_plan(PLAN)
    book = Journal(folder.journal_path())
    book.start(PLAN[0], "x")
    assert status_of(folder) == "running"
    assert load(folder.path)["outcome"].tolist() == ["not_run", "not_run"]
    book.close()


def test_a_process_id_given_to_another_process_is_not_alive() -> None:
    me = identity()
    assert is_alive(me)
    if me["pid_started"] is not None:
        assert not is_alive({**me, "pid_started": me["pid_started"] + 1})
    assert not is_alive({**me, "boot": "another"})
    assert not is_alive({**me, "pid": "1"})


def test_a_file_in_the_way_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(ResultError, match=r"results: is a file; results need a folder .* nothing was measured"):
        RunFolder.create(tmp_path / "results", record=RECORD)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        tmp_path.chmod(0o700)
        pytest.skip("this user may write everywhere")
    with pytest.raises(ResultError, match="nothing was measured"):
        RunFolder.create(tmp_path / "results", record=RECORD)


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_torchbasics.results import store

    monkeypatch.setattr(store, "FREE_BYTES", 1 << 62)
    with pytest.raises(ResultError, match="MiB of disk are free"):
        RunFolder.create(tmp_path, record=RECORD)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "con", ".hidden", "a" * 65, "a\n", "-rf"])
def test_a_run_id_that_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultError, match="cannot be used as a name"):
        RunFolder.create(tmp_path, name or " ", record=RECORD)


def test_runs_that_finish_at_once_in_one_folder_disturb_nobody(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: write_run(tmp_path, ROWS), range(8)))
    assert len(set(paths)) == 8
    assert all(status_of(path) == "complete" for path in paths)
    assert len(load(tmp_path)) == 16
    assert (tmp_path / "runs" / (tmp_path / "LATEST").read_text().strip()).is_dir()
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_a_dead_process_left_half_written_is_removed(tmp_path: Path) -> None:
    path = write_run(tmp_path, ROWS)
    (path / ".rows.parquet.1.abcd.tmp").write_bytes(b"PAR1")
    assert finalise(RunFolder.open(path)) == "complete"
    assert not list(path.glob(".*"))


def test_an_altered_file_is_damaged(tmp_path: Path) -> None:
    path = write_run(tmp_path, ROWS)
    data = bytearray((path / "rows.parquet").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "rows.parquet").write_bytes(data)
    assert status_of(path) == "damaged"
    with pytest.raises(ResultError, match="its hash differs"):
        load(path)
    (path / "rows.parquet").unlink()
    assert len(load(path)) == 2


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    files.replace_file(path, b"old")

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ResultError, match="No space left on device"):
        files.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_run_that_had_nothing_to_do_leaves_nothing(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, record=RECORD)
    assert not folder.has_rows()
    folder.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_line_is_a_crashed_cell_with_a_problem(tmp_path: Path) -> None:
    path = write_run(tmp_path, ROWS)
    book = path / "rows.jsonl"
    book.write_bytes(book.read_bytes().replace(b'"outcome":"passed"', b'"outcome":"pasSed"', 1))
    folder = RunFolder.open(path)
    assert finalise(folder) == "crashed"
    assert "checksum does not match" in folder.read()["problems"][0]
    assert load(path)["outcome"].tolist() == ["passed", "crashed"]


def test_the_record_holds_no_secret_and_its_keys_are_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary-4711")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    record = environment()
    text = json.dumps(record, allow_nan=False)
    assert "canary-4711" not in text
    assert record["variables"]["OMP_NUM_THREADS"] == "2"
    assert machine_key(record) == machine_key(environment())
    assert env_id(record) == env_id({**record, "git": {}, "ci": "x"})
    assert machine_key(record) != machine_key({**record, "gpus": [{"name": "H100", "memory_bytes": 1}]})


def test_git_is_null_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment()["git"] == {"commit": None, "branch": None, "dirty": None}


def test_a_realistic_run_is_complete(tmp_path: Path) -> None:
    assert status_of(write_run(tmp_path, realistic_rows())) == "complete"


def test_the_baselines_of_this_project_load_and_are_whole() -> None:
    baselines = Path(__file__).parents[2] / "results" / "baselines"
    frame = load(baselines)
    assert set(frame["outcome"]) <= {"passed", "not_applicable", "xfailed", "skipped", "unsupported"}
    assert frame.loc[frame["kind"] == "timing", "run_id"].nunique() >= 5
    assert {status_of(run) for run in (baselines / "runs").iterdir()} == {"complete"}
