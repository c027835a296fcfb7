"""Raw times are read back as they were measured, from files and journals; a file that asks for too much is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_torchbasics.results import samples
from pytest_torchbasics.results.columns import columns_of
from pytest_torchbasics.results.errors import ResultError
from pytest_torchbasics.results.journal import Journal
from pytest_torchbasics.results.load import load
from pytest_torchbasics.results.samples import load_samples, run_records
from pytest_torchbasics.results.store import RunFolder
from pytest_torchbasics.results.table import rows_table
from pytest_torchbasics.results.wide import wide_frame
from tests.results.making import RECORD, check_cell, checked, timed, timing_cell, write_run


def test_samples_come_back_in_their_order(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path, [timed(timing_cell("linear"), seconds), checked(check_cell("linear"))])
        for seconds in (1.0, 2.0)
    ]
    found = load_samples(runs)
    assert found["run_id"].tolist() == [run.name for run in runs]
    assert found["case"].tolist() == ["linear", "linear"]
    assert found["samples_ns"][0].tolist() == [int(1e9 * (1 + number / 1000)) for number in range(20)]


def test_a_run_that_did_not_end_has_its_samples_in_the_journal(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path, record=RECORD)
    journal = Journal(folder.journal_path())
    journal.header(folder.run_id)
    row = timed(timing_cell("linear"), 1.0)
    journal.start(row.cell, row.nodeid)
    journal.end(row)
    journal.close()
    assert len(load_samples([folder.path])["samples_ns"][0]) == 20


def test_runs_without_samples_and_files_have_none(tmp_path: Path) -> None:
    run = write_run(tmp_path, [checked(check_cell("linear"))])
    for paths in ([], [run], [run / "rows.parquet"]):
        found = load_samples(paths)
        assert len(found) == 0
        assert list(found.columns) == list(samples.COLUMNS)


def test_damage_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path, [timed(timing_cell("linear"), 1.0)])
    path = run / "samples.parquet"
    table = pq.read_table(path)
    monkeypatch.setattr(samples, "SAMPLES", 10)
    with pytest.raises(ResultError, match="values; at most 10 are read"):
        load_samples([run])
    monkeypatch.undo()
    pq.write_table(table.drop_columns(["samples_ns"]), path)
    with pytest.raises(ResultError, match="lacks the columns samples_ns"):
        load_samples([run])
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(ResultError, match="not one of torchbasics"):
        load_samples([run])
    path.write_bytes(b"PAR1 no such thing PAR1")
    with pytest.raises(ResultError, match="cannot be read as Parquet"):
        load_samples([run])
    path.unlink()
    with pytest.raises(ResultError, match="is gone"):
        load_samples([run])


def not_there(names: list[str]) -> pa.Table:
    """Columns whose only value is a word that the dictionary lacks: Arrow reads such files as if they were whole."""
    column = pa.DictionaryArray.from_arrays(pa.array([7], pa.int32()), pa.array(["a"]), safe=False)
    return pa.table(dict.fromkeys(names, column))


def test_an_index_of_no_word_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path, [timed(timing_cell("linear"), 1.0)])
    monkeypatch.setattr(pq.ParquetFile, "read", lambda self, names: not_there(names))
    with pytest.raises(ResultError, match=r"cannot be read as Parquet: .*7"):
        load_samples([run])
    with pytest.raises(ResultError, match=r"cannot be read as Parquet: .*7"):
        load(run)


def test_a_broken_column_of_a_newer_version_is_damage(tmp_path: Path) -> None:
    table = rows_table([timed(timing_cell("linear"), 1.0)], RECORD).append_column("novel", not_there(["novel"])[0])
    with pytest.raises(ResultError, match=r"cannot be read as Parquet: .*7"):
        wide_frame([columns_of(table, tmp_path / "rows.parquet")])


def test_records_are_those_of_the_runs_without_their_plans(tmp_path: Path) -> None:
    run = write_run(tmp_path, [checked(check_cell("linear"))])
    for paths in ([run], [run / "rows.parquet"]):
        records = run_records(paths)
        assert list(records) == [run.name]
        assert records[run.name]["environment"]["torch"]["version"] == "2.14.1+cpu"
        assert "plan" not in records[run.name]
    (tmp_path / "alone.parquet").write_bytes((run / "rows.parquet").read_bytes())
    assert run_records([tmp_path / "alone.parquet"]) == {}
