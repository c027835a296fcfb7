"""merge(): a union by run id that no order changes, and holes that become rows."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.journal import write_rows
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.merge import Contradiction, merge
from pytest_torchbasics.results.plan import Expected, Plan, read_plan
from pytest_torchbasics.results.store import RunFolder

from .making import begun_run, check_cell, checked, timed, timing_cell, write_run

ROWS = [checked(check_cell("a")), timed(timing_cell("b"), 1e-3)]


def contents(out: Path) -> dict[str, bytes]:
    """Every file of the runs that count, and the name of the latest."""
    files = sorted(path for path in (out / "runs").rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in [*files, out / "LATEST"]}


def leg(root: Path, name: str, shard: str = "", attempt: int = 1, seconds: float = 1.0, **more: Any) -> Path:
    return write_run(root, [timed(timing_cell("b"), seconds)], leg=name, shard=shard, attempt=attempt, **more)


def test_artifacts_of_a_fleet_become_one_results_folder(tmp_path: Path) -> None:
    first = leg(tmp_path / "artifacts" / "results-cpu-s1", "cpu", "1/2")
    second = leg(tmp_path / "artifacts" / "deep" / "results-cpu-s2", "cpu", "2/2")
    merged = merge([tmp_path / "artifacts"], tmp_path / "out")
    assert merged.runs == tuple(sorted([first.name, second.name]))
    assert merged.rows == len(load(tmp_path / "out")) == 2
    assert (tmp_path / "out" / "runs" / first.name / "samples.parquet").read_bytes() == (
        first / "samples.parquet"
    ).read_bytes()
    assert not list((tmp_path / "out").glob(".merging-*"))
    assert merge([second / "run.json"], tmp_path / "one").runs == (second.name,)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    legs=st.lists(st.tuples(st.sampled_from("xy"), st.sampled_from(["", "1/2", "2/2"]), st.integers(1, 3)), max_size=5),
    data=st.data(),
)
def test_no_order_grouping_or_repetition_changes_the_outcome(
    tmp_path_factory: pytest.TempPathFactory, legs: list[tuple[str, str, int]], data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("merge")
    sources = [leg(tmp_path / str(i), *named, run_id=f"20260101T00000{i}Z-{i:08x}") for i, named in enumerate(legs)]
    sources.append(write_run(tmp_path / "plain", ROWS, run_id="20260102T000000Z-aaaaaaaa"))
    merge(sources, tmp_path / "at-once")
    expected = contents(tmp_path / "at-once")
    order = data.draw(st.permutations(sources))
    cut = data.draw(st.integers(0, len(order)))
    parts = []
    for name, part in (("left", order[:cut]), ("right", order[cut:])):
        if part:
            merge(part, tmp_path / name)
            parts.append(tmp_path / name)
    merge(parts, tmp_path / "grouped")
    assert contents(tmp_path / "grouped") == expected
    for source in order:
        merge([source], tmp_path / "one-by-one")
    assert contents(tmp_path / "one-by-one") == expected
    again = merge([*order, tmp_path / "at-once"], tmp_path / "at-once")
    assert contents(tmp_path / "at-once") == expected
    assert again.duplicates > 0


def test_the_highest_attempt_of_a_leg_and_shard_counts_and_nothing_is_lost(tmp_path: Path) -> None:
    old = leg(tmp_path / "1", "gpu", "1/2", 1, 5.0)
    new = leg(tmp_path / "2", "gpu", "1/2", 2, 1.0)
    speed = leg(tmp_path / "3", "gpu", "1/2", 2, 2.0)
    other = leg(tmp_path / "4", "gpu", "2/2", 1, 3.0)
    merge([old], tmp_path / "out")
    merged = merge([new, other, speed], tmp_path / "out")
    assert set(merged.runs) == {new.name, speed.name, other.name}
    assert merged.superseded == (old.name,)
    assert load(tmp_path / "out" / "superseded" / old.name)["median_s"].tolist() == [5.0]


def test_another_run_of_the_ci_supersedes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = []
    for number, attempt in (("100", 2), ("101", 1)):
        monkeypatch.setenv("GITHUB_RUN_ID", number)
        sources.append(leg(tmp_path / number, "gpu", "", attempt))
    assert len(merge(sources, tmp_path / "out").runs) == 2


def test_one_run_with_two_contents_is_refused_by_name(tmp_path: Path) -> None:
    sources = [leg(tmp_path / str(i), "x", "", 1, seconds, run_id="same") for i, seconds in enumerate((1.0, 2.0))]
    merge(sources[:1], tmp_path / "out")
    for given_ in (sources, sources[1:]):
        with pytest.raises(Contradiction, match="the run same is there twice with different rows") as caught:
            merge(given_, tmp_path / "out")
        assert str(sources[1]) in str(caught.value)
    assert load(tmp_path / "out")["median_s"].tolist() == [1.0]


def test_a_later_state_of_a_run_replaces_an_earlier_one(tmp_path: Path) -> None:
    running = begun_run(tmp_path / "a", ROWS[:1], ROWS[1].cell)
    whole = write_run(tmp_path / "b", ROWS, run_id=running.name)
    merged = merge([running], tmp_path / "out")
    assert merged.unfinished == ((running.name, "crashed"),)
    assert load(tmp_path / "out")["outcome"].tolist() == ["passed", "crashed"]
    for sources in ([whole, running], [running]):
        assert merge(sources, tmp_path / "out").unfinished == ()
        assert load(tmp_path / "out")["outcome"].tolist() == ["passed", "passed"]


PLAN = Plan((Expected("cpu", "1/2", "cpu"), Expected("cpu", "2/2", "cpu"), Expected("gpu", "1/2", "cuda")))


def test_what_a_plan_expects_and_never_arrived_is_rows(tmp_path: Path) -> None:
    source = leg(tmp_path / "in", "cpu", "1/2")
    merged = merge([source], tmp_path / "out", PLAN)
    assert merged.missing == (("cpu", "2/2"), ("gpu", "1/2"))
    frame = load(tmp_path / "out").set_index("leg")
    assert frame.loc["gpu", ["case", "device", "outcome", "reason"]].tolist() == [
        "b",  # what the other leg of the shard measured
        "cuda",
        "not_run",
        "the leg gpu, shard 1/2, never arrived",
    ]
    assert frame.loc[frame["shard"] == "2/2", "case"].tolist() == ["(the whole leg)"]
    assert contents(tmp_path / "out")["LATEST"].decode().strip() == source.name
    before = contents(tmp_path / "out")
    merge([source], tmp_path / "out", PLAN)
    assert contents(tmp_path / "out") == before


def rows_of(out: Path, leg_: str) -> list[dict[str, Any]]:
    """The rows of a leg, as they stand in its table."""
    frame = load(out, long=True)
    found: list[dict[str, Any]] = frame[frame["leg"] == leg_].astype(object).to_dict("records")
    return found


def test_a_leg_of_which_nothing_is_known_is_one_row(tmp_path: Path) -> None:
    plan = Plan((Expected("gpu", "3/3", "cuda"), Expected("tpu", "")))
    merge([leg(tmp_path / "in", "cpu", "1/3")], tmp_path / "out", plan)
    for name, device in (("gpu", "cuda"), ("tpu", "")):
        (row,) = rows_of(tmp_path / "out", name)
        cell = {"kind": "check", "case": "(the whole leg)", "check": "", "phase": "", "mode": "", "device": device}
        assert {key: row[key] for key in cell} == cell
        assert (row["dtype"], row["threads"], row["outcome"]) == ("", 0, "not_run")
        assert re.fullmatch("0-missing-[0-9a-f]{12}", row["run_id"])


def test_of_a_leg_that_is_there_in_part_what_is_missing_is_rows(tmp_path: Path) -> None:
    check, time, both = check_cell("a"), timing_cell("b"), ("check", "timing")
    checks, nothing = write_run(tmp_path / "in", ROWS[:1], leg="gpu"), write_run(tmp_path / "no", [], leg="gpu")
    whole = [("check", "(the whole leg)"), ("timing", "(the whole leg)")]
    for number, (source, cells, kinds, reason, rows) in enumerate(
        [
            (checks, (check, time), both, "the leg gpu never arrived (timing)", [("timing", "b")]),
            (checks, (check,), both, "the leg gpu never arrived (timing)", whole[1:]),
            (
                nothing,
                (check, time),
                both,
                "the leg gpu never arrived (check and timing)",
                [("check", "a"), ("timing", "b")],
            ),
            (nothing, (), both, "the leg gpu never arrived (check and timing)", whole),
        ]
    ):
        out = tmp_path / str(number)
        assert merge([source], out, Plan((Expected("gpu", "", "cuda", cells, kinds),))).missing == (("gpu", ""),)
        missing = [row for row in rows_of(out, "gpu") if row["outcome"] == "not_run"]
        assert [(row["kind"], row["case"]) for row in missing] == rows
        assert {(row["reason"], row["reason_code"]) for row in missing} == {(reason, "never_arrived")}
    assert (
        merge([checks], tmp_path / "all", Plan((Expected("gpu", "", "cuda", (check, time), ("check",)),))).missing == ()
    )


@pytest.mark.parametrize("told", ["plan", "machine"])
def test_what_is_missing_is_of_the_run_of_the_ci_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str
) -> None:
    sources = []
    for number, name in (("1", "cpu"), ("2", "gpu")):
        monkeypatch.setenv("GITHUB_RUN_ID", number)
        sources.append(leg(tmp_path / number, name, run_id=f"2026010{number}T000000Z-aaaaaaaa"))
    monkeypatch.setenv("GITHUB_RUN_ID", "1" if told == "machine" else "3")
    legs = (Expected("cpu", "", "cpu"), Expected("gpu", "", "cuda"))
    assert merge(sources, tmp_path / "out", Plan(legs, "1" if told == "plan" else "")).missing == (("gpu", ""),)


def test_holes_alone_can_be_merged(tmp_path: Path) -> None:
    plan = Plan((Expected("gpu", "", "cuda"),))
    merge([leg(tmp_path / "in", "cpu")], tmp_path / "first", plan)
    (hole,) = (tmp_path / "first" / "runs").glob("0-missing-*")
    merged = merge([hole], tmp_path / "out", plan)
    assert (merged.missing, merged.unfinished, merged.superseded, len(merged.runs)) == ((("gpu", ""),), (), (), 1)
    kept = tmp_path / "out" / "runs" / hole.name
    data = (kept / "rows.parquet").read_bytes()
    assert json.loads((kept / "run.json").read_text()) == {
        "schema": 1,
        "run_id": hole.name,
        "status": "incomplete",
        "placeholder": True,
        "kinds": [],
        "ci_run": "",
        "leg": "gpu",
        "shard": "",
        "planned": 1,
        "ended": 0,
        "counts": {"not_run": 1},
        "files": {"rows.parquet": {"sha256": hashlib.sha256(data).hexdigest(), "rows": 1, "bytes": len(data)}},
    }
    assert merged.rows == 1


def test_a_leg_that_arrives_later_fills_its_hole(tmp_path: Path) -> None:
    merge([leg(tmp_path / "in", "cpu", "1/2")], tmp_path / "out", PLAN)
    late = [leg(tmp_path / "late", "gpu", "1/2"), leg(tmp_path / "late", "cpu", "2/2")]
    assert merge(late[:1], tmp_path / "out").missing == ()
    assert load(tmp_path / "out")["outcome"].value_counts()["not_run"] == 1
    merge(late, tmp_path / "out")
    assert set(load(tmp_path / "out")["outcome"]) == {"passed"}


def test_a_plan_may_name_the_cells(tmp_path: Path) -> None:
    cells = [vars(check_cell("a", dtype=dtype)) for dtype in ("float32", "float16")]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"schema": 1, "legs": [{"leg": "gpu", "cells": cells, "runs_on": ["x"]}]}))
    merge([leg(tmp_path / "in", "cpu")], tmp_path / "out", read_plan(path))
    frame = load(tmp_path / "out")
    assert sorted(frame.loc[frame["leg"] == "gpu", "dtype"].astype(str)) == ["float16", "float32"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must be an object with a list of 'legs'"),
        ({"schema": 1, "legs": []}, "expects nothing"),
        ({"schema": 2, "legs": [{"leg": "a"}]}, "reads up to 1"),
        ({"schema": 1, "legs": [3]}, "must be an object, found 3"),
        ({"schema": 1, "legs": [{"shard": "1/2"}]}, "has no 'leg'"),
        ({"schema": 1, "legs": [{"leg": "a", "shard": 1}]}, "'shard' must be text, found 1"),
        ({"schema": 1, "legs": [{"leg": "a"}, {"leg": "a"}]}, "expects the leg 'a' shard '' twice"),
        ({"schema": 1, "legs": [{"leg": "a", "cells": [{"case": "x"}]}]}, "plan.json"),
    ],
)
def test_a_plan_that_is_none_is_refused(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ResultError, match=message):
        read_plan(path)


def test_nothing_to_merge_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for sources, named in (([tmp_path / "empty"] * 2, f"{tmp_path}/empty, {tmp_path}/empty"), ([], "nothing")):
        with pytest.raises(ResultError, match=re.escape(f"no run was found in {named}") + "$"):
            merge(sources, tmp_path / "out")
    with pytest.raises(ResultError, match=re.escape(f"{tmp_path}/no: is not there")):
        merge([tmp_path / "no"], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_run_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    run = leg(tmp_path / "in", "x")
    record = json.loads((run / "run.json").read_text())
    for name in ("../../evil", "a/b", "..", "con"):
        (run / "run.json").write_text(json.dumps({**record, "run_id": name}))
        with pytest.raises(ResultError, match=re.escape(f"the run id {name!r} cannot be used as a name")):
            merge([run], tmp_path / "out")


def test_altered_files_are_refused(tmp_path: Path) -> None:
    run = leg(tmp_path / "in", "x")
    with (run / "rows.parquet").open("ab") as file:
        file.write(b"x")
    why = f"{run}: its files are not those that the run wrote; merge a copy without its rows.parquet"
    with pytest.raises(ResultError, match=f"^{re.escape(why)}$"):
        merge([run], tmp_path / "out")


def test_sources_that_are_given_twice_and_legs_that_are_expected_are_counted(tmp_path: Path) -> None:
    runs = [leg(tmp_path / "in", name, "1/2") for name in ("cpu", "gpu")]
    merged = merge([*runs, runs[0]], tmp_path / "out", PLAN)
    assert (merged.duplicates, merged.expected) == (1, 3)
    merged = merge(runs, tmp_path / "again")
    assert (merged.duplicates, merged.expected, merged.missing) == (0, 0, ())


def test_a_run_that_has_lost_its_journal_is_the_same_run_by_its_table(tmp_path: Path) -> None:
    run = leg(tmp_path / "in", "x")
    other = shutil.copytree(run, tmp_path / "copy" / run.name)
    (other / "rows.jsonl").unlink()
    assert merge([run, other], tmp_path / "out").runs == (run.name,)
    assert merge([other, run], tmp_path / "out").runs == (run.name,)


def test_two_tables_of_one_run_are_refused_by_their_names(tmp_path: Path) -> None:
    frame = load(leg(tmp_path / "in", "x"))
    tables = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for number, table in enumerate(tables):
        frame.assign(median_s=1.0 + number).to_csv(table, index=False)
    with pytest.raises(Contradiction, match=re.escape(f"with different rows: {tables[0]} and {tables[1]}. ")):
        merge(tables, tmp_path / "out")


def test_runs_in_hidden_folders_are_not_looked_for(tmp_path: Path) -> None:
    run = leg(tmp_path / "in", "x")
    leg(tmp_path / "in" / ".trash", "y")
    assert merge([tmp_path / "in"], tmp_path / "out").runs == (run.name,)


def test_a_folder_of_too_many_runs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_torchbasics.results.merge.MOST_RUNS", 2)
    for name in "xy":
        leg(tmp_path / "in", name)
    assert len(merge([tmp_path / "in"], tmp_path / "out").runs) == 2
    leg(tmp_path / "in", "z")
    with pytest.raises(ResultError) as caught:
        merge([tmp_path / "in"], tmp_path / "again")
    assert str(caught.value) == f"{tmp_path}/in: holds more than 2 runs; merge a part of it"


def test_two_journals_of_one_run_that_never_finished_are_refused_by_name(tmp_path: Path) -> None:
    runs = [begun_run(tmp_path / str(i), ROWS[:i], ROWS[1].cell, run_id="same") for i in (0, 1)]
    with pytest.raises(Contradiction) as caught:
        merge(runs, tmp_path / "out")
    assert f"with different rows: {runs[0]} and {runs[1]}. " in str(caught.value)
    assert merge([runs[0], runs[0]], tmp_path / "out").unfinished == (("same", "crashed"),)


def test_a_run_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    run = leg(tmp_path / "in", "x")
    merge([run], tmp_path / "out")
    kept = tmp_path / "out" / "runs" / run.name
    before = {path: path.stat().st_ino for path in (kept, *kept.iterdir())}
    merge([run], tmp_path / "out")
    assert {path: path.stat().st_ino for path in (kept, *kept.iterdir())} == before


def test_a_run_that_goes_on_in_the_folder_itself_is_left_to_its_process(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "out", record={})
    folder.write_plan([row.cell for row in ROWS])
    write_rows(folder.journal_path(), folder.run_id, ROWS[:1])
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    merged = merge([tmp_path / "out"], tmp_path / "out")
    assert (merged.rows, merged.unfinished) == (0, ((folder.run_id, "running"),))
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def test_a_disk_that_is_full_is_told_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = leg(tmp_path / "in", "x")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pytest_torchbasics.results.merge.shutil.copyfile", full)
    with pytest.raises(ResultError) as caught:
        merge([run], tmp_path / "out")
    assert str(caught.value) == f"{tmp_path}/out/runs/{run.name}: cannot be written: No space left on device"


def test_tables_of_several_runs_become_runs(tmp_path: Path) -> None:
    runs = [leg(tmp_path / "in", name, seconds=seconds) for name, seconds in (("x", 1.0), ("y", 2.0))]
    frame = load(tmp_path / "in")
    frame.to_csv(tmp_path / "all.csv", index=False)
    merged = merge([tmp_path / "all.csv"], tmp_path / "out")
    assert merged.runs == tuple(sorted(run.name for run in runs))
    found = load(tmp_path / "out")
    columns = ["case", "median_s", "low_s", "n", "leg", "commit", "started_at", "machine_key"]
    pd.testing.assert_frame_equal(found[columns], frame[columns], check_categorical=False, check_dtype=False)


def test_merging_copies_only_what_a_run_holds(tmp_path: Path) -> None:
    run = leg(tmp_path / "in", "x")
    (run / "virus.sh").write_text("rm -rf /")
    (run / "rows-link.jsonl").symlink_to("/etc/hostname")
    merge([run], tmp_path / "out")
    names = {path.name for path in (tmp_path / "out" / "runs" / run.name).iterdir()}
    assert names == {"run.json", "rows.jsonl", "rows.parquet", "samples.parquet"}


def test_every_permutation_of_attempts_ends_the_same(tmp_path: Path) -> None:
    sources = [leg(tmp_path / str(i), "x", "", i, float(i)) for i in (1, 2, 3)]
    for place, order in enumerate(itertools.permutations(sources)):
        out = tmp_path / f"out{place}"
        for source in order:
            merge([source], out)
        assert load(out)["median_s"].tolist() == [3.0]
        assert {path.name for path in (out / "superseded").iterdir()} == {run.name for run in sources[:2]}
        shutil.rmtree(out)


def test_yesterdays_leg_is_not_todays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan((Expected("cpu", "", "cpu"), Expected("gpu", "", "cuda")))
    monkeypatch.setenv("GITHUB_RUN_ID", "1")
    old = leg(tmp_path / "old", "gpu", run_id="20260101T000000Z-aaaaaaaa")
    monkeypatch.setenv("GITHUB_RUN_ID", "2")
    new = leg(tmp_path / "new", "cpu", run_id="20260102T000000Z-aaaaaaaa")
    assert merge([old, new], tmp_path / "out", plan).missing == (("gpu", ""),)
    monkeypatch.delenv("GITHUB_RUN_ID")  # where it is merged may not know the number: the runs do
    assert merge([old, new], tmp_path / "again", plan).missing == (("gpu", ""),)
    late = write_run(tmp_path / "late", ROWS, leg="gpu", run_id="20260103T000000Z-aaaaaaaa")
    record = json.loads((late / "run.json").read_text())
    (late / "run.json").write_text(json.dumps({**record, "ci_run": "2"}))
    merged = merge([late], tmp_path / "again")
    assert len(merged.removed) == 1
    assert "not_run" not in set(load(tmp_path / "again")["outcome"].astype(str))


def test_a_second_attempt_of_the_checks_leaves_the_times(tmp_path: Path) -> None:
    times = leg(tmp_path / "1", "gpu", "", 1)
    checks = [write_run(tmp_path / str(i), ROWS[:1], leg="gpu", attempt=i) for i in (1, 2)]
    merged = merge([times, *checks], tmp_path / "out")
    assert set(merged.runs) == {times.name, checks[1].name}


def test_a_leg_that_never_brought_its_times_is_missing(tmp_path: Path) -> None:
    plan = Plan((Expected("gpu", "", "cuda", kinds=("check", "timing")),))
    checks = write_run(tmp_path / "in", ROWS[:1], leg="gpu")
    merged = merge([checks], tmp_path / "out", plan)
    assert merged.missing == (("gpu", ""),)
    frame = load(tmp_path / "out")
    assert frame.loc[frame["outcome"] == "not_run", "reason"].tolist() == ["the leg gpu never arrived (timing)"]
    merge([leg(tmp_path / "late", "gpu")], tmp_path / "out")
    assert "not_run" not in set(load(tmp_path / "out")["outcome"].astype(str))


def test_the_folder_of_a_run_is_preferred_to_a_table_of_it(tmp_path: Path) -> None:
    run = leg(tmp_path / "in", "x")
    load(run).to_csv(tmp_path / "run.csv", index=False)
    for sources in ([run, tmp_path / "run.csv"], [tmp_path / "run.csv", run]):
        merge(sources, tmp_path / "out")
        assert (tmp_path / "out" / "runs" / run.name / "samples.parquet").is_file()
        shutil.rmtree(tmp_path / "out")
