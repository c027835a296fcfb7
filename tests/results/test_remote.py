"""Results folders behind URLs: mirrored, published, and never written outside of the mirror."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.remote import fetched, is_url, mirror_of, publish, publish_all
from pytest_torchbasics.results.store import RunFolder
from tests.cli.test_commands import torchbasics

from .making import timed, timing_cell, write_run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"memory://fleet-{tmp_path.name}/results"


def run(root: Path, seconds: float = 1.0, **more: Any) -> RunFolder:
    return RunFolder.open(write_run(root, [timed(timing_cell("a"), seconds)], **more))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/x", True),
        ("gs://b", True),
        ("file:///x", True),
        ("results", False),
        (r"C:\x", False),
        ("C:/x", False),
    ],
)
def test_what_is_a_url(text: str, expected: bool) -> None:
    assert is_url(text) is expected


def test_runs_of_two_machines_are_read_as_one_folder(tmp_path: Path, url: str) -> None:
    for place, seconds in (("a", 1.0), ("b", 2.0)):
        publish(run(tmp_path / place, seconds), url)
    assert sorted(load(url)["median_s"]) == [1.0, 2.0]


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(run(tmp_path), url)
    fetched(url)
    asked = []
    files = fsspec.filesystem("memory")
    original = type(files).get_file

    def counting(self: object, source: str, target: str, **more: object) -> None:
        asked.append(source)
        original(self, source, target, **more)

    monkeypatch.setattr(type(files), "get_file", counting)
    fetched(url)
    assert [os.path.basename(name) for name in asked] == ["run.json"]


def test_only_what_is_lacking_is_published(tmp_path: Path, url: str) -> None:
    first = run(tmp_path, run_id="first")
    publish_all(tmp_path, url)
    before = {name: entry["created"] for name, entry in fsspec.filesystem("memory").find(url, detail=True).items()}
    run(tmp_path, run_id="second")
    publish_all(tmp_path, url)
    after = {name: entry["created"] for name, entry in fsspec.filesystem("memory").find(url, detail=True).items()}
    assert first.run_id == "first"
    assert {name: after[name] for name in before} == before
    assert any("second/run.json" in name for name in after)


def test_names_in_the_storage_lead_nowhere(tmp_path: Path, url: str) -> None:
    publish(run(tmp_path), url)
    files = fsspec.filesystem("memory")
    base = url.removeprefix("memory://")
    for name in ("runs/.evil/run.json", "runs/a b/rows.parquet"):
        files.pipe_file(f"/{base}/{name}", b"x")
        with pytest.raises(ResultError, match="cannot be used as a name"):
            fetched(url)
        files.rm(f"/{base}/{name}")
    files.pipe_file(f"/{base}/runs/x/script.sh", b"x")
    root = fetched(url)
    assert not list(root.rglob("script.sh"))


def test_what_cannot_be_reached_is_one_error(url: str) -> None:
    with pytest.raises(ResultError, match="holds no run"):
        load(url)
    with pytest.raises(ResultError, match="nosuch://x cannot be reached"):
        load("nosuch://x")
    assert torchbasics("show", "--results", "nosuch://x").code == 2


def test_commands_take_urls(tmp_path: Path, url: str) -> None:
    run(tmp_path / "in")
    assert torchbasics("merge", tmp_path / "in", "--out", url).code == 0
    run(tmp_path / "more", 2.0)
    assert torchbasics("merge", tmp_path / "more", "--out", url).code == 0
    assert len(load(url)) == 2
    assert torchbasics("show", url).code == 0
    assert torchbasics("show", "latest", "--results", url).code == 0
    assert torchbasics("compare", url, url).code == 0


def test_a_merge_into_a_url_knows_what_is_there_and_takes_away_what_was_replaced(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(tmp_path / "1", leg="gpu", attempt=1)
    assert torchbasics("merge", tmp_path / "1", "--out", url).code == 0
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path / "another machine"))
    second = run(tmp_path / "2", 2.0, leg="gpu", attempt=2)
    assert torchbasics("merge", tmp_path / "2", "--out", url).code == 0
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path / "third"))
    frame = load(url)
    assert set(frame["run_id"]) == {second.run_id}
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path / "cache"))  # whose mirror has the first one
    assert set(load(url)["run_id"]) == {second.run_id}
    assert first.run_id != second.run_id


def test_what_was_never_published_stays_in_the_mirror(tmp_path: Path, url: str) -> None:
    publish(run(tmp_path / "a"), url)
    kept = run(mirror_of(url), 5.0)
    assert kept.run_id in set(load(url)["run_id"])
