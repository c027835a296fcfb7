"""The history keeps runs by machine, leg and shard; each leg is compared with its last run on the same machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_torchbasics.pipeline import history as module
from pytest_torchbasics.pipeline.changes import changes
from pytest_torchbasics.pipeline.history import baselines, keep
from pytest_torchbasics.results.errors import ResultError
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.store import RunFolder, status_of
from tests.results.making import OTHER_MACHINE, check_cell, checked, timed, timing_cell, write_run


def checks(root: Path, day: int, outcome: str = "passed", **more: Any) -> Path:
    given = {"leg": "cpu", "shard": "1/1", "run_id": f"202601{day:02}T000000Z-aaaaaaaa", **more}
    return write_run(root, [checked(check_cell("linear"), outcome, "is wrong" * (outcome != "passed"))], **given)


def times(root: Path, day: int, seconds: float, **more: Any) -> Path:
    given = {"leg": "cpu", "shard": "1/1", "run_id": f"202601{day:02}T000001Z-bbbbbbbb", **more}
    return write_run(root, [timed(timing_cell("linear"), seconds)], **given)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Three days of a leg, each with its checks and its times."""
    for day in (1, 2, 3):
        checks(tmp_path / "in", day)
        times(tmp_path / "in", day, float(day))
    assert len(keep([tmp_path / "in"], tmp_path / "history")) == 6
    return tmp_path / "history"


def test_what_is_kept_is_whole(kept: Path) -> None:
    runs = [path.parent for path in kept.rglob("run.json")]
    assert {status_of(run) for run in runs} == {"complete"}
    assert len(load(kept)) == 6
    assert not list(kept.rglob("*.jsonl"))


def test_keeping_again_changes_nothing(kept: Path) -> None:
    before = sorted(kept.rglob("*"))
    keep([kept.parent / "in"], kept)
    assert sorted(kept.rglob("*")) == before


def test_the_oldest_ones_go(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 4)
    checks(kept.parent / "more", 4)
    keep([kept.parent / "more"], kept)
    assert sorted(path.parent.name[:8] for path in kept.rglob("run.json")) == [
        "20260102", "20260103", "20260103", "20260104"
    ]  # fmt: skip


def test_what_is_no_leg_or_not_complete_is_not_kept(tmp_path: Path) -> None:
    checks(tmp_path / "in", 1, leg="")
    row = checked(check_cell("a"))
    write_run(tmp_path / "in", [row], plan=[row.cell, check_cell("b")], leg="cpu", shard="1/1")
    assert keep([tmp_path / "in"], tmp_path / "history") == []


def test_the_last_checks_and_the_last_times_are_the_baseline(kept: Path) -> None:
    head = load([checks(kept.parent / "new", 9), times(kept.parent / "new", 9, 5.0)])
    base = baselines(head, kept)["cpu"].rows
    assert base is not None
    assert sorted(set(base["run_id"].astype(str))) == ["20260103T000000Z-aaaaaaaa", "20260103T000001Z-bbbbbbbb"]
    assert base["median_s"].max() == 3.0


def test_a_run_is_not_its_own_baseline(kept: Path) -> None:
    base = baselines(load(kept.parent / "in" / "runs" / "20260103T000001Z-bbbbbbbb"), kept)["cpu"].rows
    assert base is not None
    assert set(base["run_id"].astype(str)) == {"20260103T000000Z-aaaaaaaa", "20260102T000001Z-bbbbbbbb"}


@pytest.mark.parametrize("other", [{"record": OTHER_MACHINE}, {"shard": "1/2"}, {"leg": "cuda"}])
def test_another_machine_shard_or_leg_has_no_baseline_here(kept: Path, other: dict[str, Any]) -> None:
    head = load(times(kept.parent / "new", 9, 5.0, **other))
    assert [found.rows for found in baselines(head, kept).values()] == [None]
    assert changes(head, kept) == f"Not compared: {other.get('leg', 'cpu')}: no earlier run on this machine\n"


def test_the_page_has_a_section_for_each_leg(kept: Path) -> None:
    new = kept.parent / "new"
    page = changes(load([checks(new, 9, "failed"), times(new, 9, 30.0), times(new, 9, 1.0, leg="b", run_id="x")]), kept)
    assert "new failure" in page
    assert "suspect slower" in page
    assert page.endswith("Not compared: b: no earlier run on this machine\n")


def test_what_has_no_room_is_named_the_largest_first(kept: Path) -> None:
    for day in (1, 2):
        times(kept.parent / "b", day, 1.0, leg="b")
    keep([kept.parent / "b"], kept)
    head = load([times(kept.parent / "new", 9, 5.0), times(kept.parent / "new2", 9, 2.0, leg="b")])
    whole = changes(head, kept)
    size = len(whole.encode())
    assert changes(head, kept, max_bytes=size) == whole
    less = changes(head, kept, max_bytes=size - 1)
    assert less.endswith("Not compared: cpu: no room\n")
    assert len(less.encode()) < size
    assert changes(head, kept, max_bytes=10) == "Not compared: cpu, b: no room\n"


def test_an_earlier_run_that_cannot_be_read_is_named_and_stops_nothing(kept: Path) -> None:
    path = max(kept.rglob("rows.parquet"))
    path.write_bytes(b"PAR1 of another time PAR1")
    page = changes(load(times(kept.parent / "new", 9, 5.0)), kept)
    assert page.startswith("Not compared: cpu: an earlier run cannot be read")
    assert str(path.parent.name) in page


def test_a_leg_that_never_arrived_is_not_compared(kept: Path) -> None:
    head = load(times(kept.parent / "new", 9, 5.0))
    head["machine_key"] = None
    assert baselines(head, kept) == {}


def test_runs_of_no_leg_are_none_to_compare(tmp_path: Path) -> None:
    assert changes(load(checks(tmp_path, 1, leg="")), tmp_path / "history") == "No run of a leg is here to compare.\n"


def test_a_record_that_would_lead_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.open(checks(tmp_path / "in", 1))
    folder.write({**folder.read(), "run_id": "../.."})
    with pytest.raises(ResultError, match=r"the run id .* cannot be used as a name"):
        keep([tmp_path / "in"], tmp_path / "history")
