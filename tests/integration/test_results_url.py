"""`--results=URL`: a run is made on this machine's disk and published when it ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_torchbasics.cli import main
from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.remote import mirror_of

from .conftest import Run


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path / "cache"))


TEST = """
import pytest
from cases import CASES

@pytest.mark.cases(CASES)
def test_correct(check):
    check()
"""


def test_a_run_is_published_when_it_ends(run: Run, pytester: pytest.Pytester, tmp_path: Path) -> None:
    pytester.makepyfile(test_it=TEST)
    url = f"file://{tmp_path}/storage"
    result = run("-k", "linear", "--checks=shape", f"--results={url}")
    assert result.ret == 0
    assert len(load(url)) == 1
    (published,) = (tmp_path / "storage" / "runs").iterdir()
    assert (published / "report.html").is_file()
    assert mirror_of(url).is_dir()


def test_a_url_that_cannot_be_written_is_found_before_anything_runs(
    run: Run, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(test_it=TEST)
    (tmp_path / "storage").write_text("a file")
    result = run("-k", "linear", "--checks=shape", f"--results=file://{tmp_path}/storage")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*file://*/storage cannot be reached*"])
    result.stdout.no_fnmatch_line("*passed*")


def test_a_run_that_cannot_be_published_is_red_and_kept(
    run: Run, pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: object, url: str) -> None:
        raise ResultError(f"{url} cannot be reached: the network is gone")

    monkeypatch.setattr("pytest_torchbasics.results.remote.publish", refuse)
    pytester.makepyfile(test_it=TEST)
    url = f"file://{tmp_path}/storage"
    result = run("-k", "linear", "--checks=shape", f"--results={url}")
    assert result.ret == 3
    result.stdout.fnmatch_lines(["*the results could not be finished: file://*/storage cannot be reached*"])
    assert len(load(mirror_of(url))) == 1


def test_a_run_that_is_killed_is_found_under_its_url_here_and_merge_publishes_it(
    run: Run, pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/storage"
    pytester.makepyfile(test_it=TEST)
    assert run("-k", "linear", "--checks=shape", f"--results={url}").ret == 0
    pytester.makepyfile(test_it=TEST.replace("check()", "check(); __import__('os')._exit(0)"))
    assert run("--checks=shape", f"--results={url}", apart=True).ret == 0
    assert len(list((tmp_path / "storage" / "runs").iterdir())) == 1
    assert sorted(load(url)["outcome"]) == ["crashed", "not_run", "passed"]
    done = CliRunner().invoke(main, ["merge", url, "--out", url])
    assert done.exit_code == 4, done.output
    assert len(list((tmp_path / "storage" / "runs").iterdir())) == 2
    monkeypatch.setenv("TORCHBASICS_CACHE", str(tmp_path / "another machine"))
    assert sorted(load(url)["outcome"]) == ["crashed", "not_run", "passed"]
    assert CliRunner().invoke(main, ["verify", url]).exit_code == 4
