"""A disk that is full after so many bytes of the journal: the rows go elsewhere, all of them, and the run says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import LONG
from .inside import CASES, DISK
from .running import Server, verify

OFFSETS = 40 if LONG else 20


@pytest.fixture(scope="module")
def length(server: Server, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The length of a whole journal, in bytes."""
    left = server.run(tmp_path_factory.mktemp("whole"))
    assert left.code == 0, left.output
    assert left.run is not None
    return (left.run / "rows.jsonl").stat().st_size


@pytest.mark.parametrize("share", [step / OFFSETS for step in range(OFFSETS)])
def test_a_full_disk_loses_no_row(server: Server, tmp_path: Path, length: int, share: float) -> None:
    offset = int(length * share)
    left = server.run(tmp_path, **{DISK: str(offset)})
    assert left.said("full"), "the disk was never full"
    assert left.code == 3, left.output
    assert left.run is not None
    assert (left.run / "rows.jsonl").stat().st_size == offset
    assert len(left.rescued) == 1
    assert str(left.rescued[0]) in left.output.splitlines()[-2]
    rows = left.rows()
    assert sorted(rows.index) == list(CASES)
    assert set(rows["outcome"]) == {"passed"}
    assert len(left.said("acknowledged")) == len(CASES)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 16 MiB."""
    folder = tmp_path / "results"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_fills_up_in_the_middle_of_a_run(server: Server, tmp_path: Path, small_disk: Path) -> None:
    left = server.run(tmp_path, fault="disk_filled", phase="call")
    assert left.said("evidence") == ["True"]
    assert left.code == 3, left.output
    assert "No space left on device" in left.output
    (small_disk / "filler").unlink()
    struck = left.run
    rows = left.rows()
    assert sorted(rows.index) == list(CASES)
    assert set(rows["outcome"]) == {"passed"}
    after = server.run(tmp_path)
    assert after.code == 0, after.output
    (run,) = set((small_disk / "runs").glob("*")) - {struck}
    assert verify(run) == 0
