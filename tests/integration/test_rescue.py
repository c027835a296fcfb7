"""What the end of a run does with journals of other processes that were deleted, without a run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_torchbasics.integration.recording import FOLDER
from pytest_torchbasics.integration.summary import RESULTS_LOST, Conclusion


def test_rows_that_cannot_be_rescued_are_told_and_end_no_run_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journals = {name: tmp_path / f"{name}.jsonl" for name in ("gw0", "gw1", "there")}
    for path in journals.values():
        path.write_text("{}\n")
    cleanups: list[Callable[[], None]] = []
    folder = SimpleNamespace(journal_path=lambda name: journals.get(name, tmp_path / "absent"))
    config: Any = SimpleNamespace(stash={FOLDER: folder}, add_cleanup=cleanups.append)
    session: Any = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    conclusion = Conclusion(config)
    for name in (*journals, "nothing of ours"):
        conclusion.hold(name)
    for name in ("gw0", "gw1"):
        journals[name].unlink()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "no such folder"))
    conclusion._rescue(session)
    for cleanup in cleanups:
        cleanup()
    assert session.exitstatus == RESULTS_LOST
    assert [line.split(" was deleted, and its rows are lost: ")[0] for line in conclusion.lines] == [
        str(journals["gw0"]),
        str(journals["gw1"]),
    ]
