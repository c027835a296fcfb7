"""`torchbasics history`: every format, and its exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.results.making import timed, timing_cell, write_run

from .test_commands import torchbasics


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        write_run(
            tmp_path,
            [timed(timing_cell("a"), 1.0 if number < 6 else 2.0), timed(timing_cell("b"), 1.0)],
            run_id=f"20260101T0000{number:02d}Z-aaaaaaaa",
        )
    return tmp_path


def test_a_case_is_followed_over_all_runs(folder: Path) -> None:
    done = torchbasics("history", "a", "--results", folder)
    assert done.code == 0
    assert "▲ +100 %" in done.out
    assert "from run" in done.out
    assert "1 histories · 1 changes" in done.out
    assert "0 changes" in torchbasics("history", "b", "--results", folder).out
    table = json.loads(torchbasics("history", "a", folder, "--format=json").out)
    assert [row["level"] for row in table] == [0] * 6 + [1] * 6
    assert [row["step"] for row in table].count(2.0) == 1


def test_what_is_not_there_is_exit_2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["c"], ["a", "--metric=nope"], ["a", "-k", "backward"], ["a", folder / "no"]):
        assert torchbasics("history", *words, "--results", folder).code == 2
    monkeypatch.setitem(sys.modules, "ruptures", None)
    done = torchbasics("history", "a", "--results", folder)
    assert (done.code, "pip install 'pytest-torchbasics[history]'" in done.last_line) == (2, True)
