"""Files that want to do harm: each maker puts one into a folder and gives its path."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pytest_torchbasics.results.journal import Journal, _line
from pytest_torchbasics.results.rows import Row
from pytest_torchbasics.results.schema import METADATA
from tests.results.making import check_cell

from .making import RUN_ID, small_run

Maker = Callable[[Path], Path]
FILES: dict[str, Maker] = {}


def hostile(name: str) -> Callable[[Maker], Maker]:
    """Register a maker."""

    def register(maker: Maker) -> Maker:
        assert name not in FILES, name
        FILES[name] = maker
        return maker

    return register


def raw(name: str, file: str, content: bytes) -> None:
    """Register a file of this content."""

    def maker(folder: Path) -> Path:
        (folder / file).write_bytes(content)
        return folder / file

    hostile(name)(maker)


def record(name: str, content: bytes) -> None:
    """Register a run folder whose run.json has this content."""

    def maker(folder: Path) -> Path:
        (folder / "run.json").write_bytes(content)
        return folder

    hostile(name)(maker)


# Parquet


raw("parquet: empty", "rows.parquet", b"")
raw("parquet: wrong magic", "rows.parquet", b"GIF89a" + bytes(100))
raw("parquet: a footer of 2 GB", "rows.parquet", b"PAR1" + bytes(16) + b"\xff\xff\xff\x7f" + b"PAR1")
raw("parquet: bad thrift", "rows.parquet", b"PAR1" + b"\xff" * 64 + (64).to_bytes(4, "little") + b"PAR1")


@hostile("parquet: truncated")
def _(folder: Path) -> Path:
    path = small_run(folder) / "rows.parquet"
    (folder / "half.parquet").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder / "half.parquet"


@hostile("parquet: one bit of the table of a run is flipped")
def _(folder: Path) -> Path:
    path = small_run(folder) / "rows.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return path


def table(folder: Path, columns: dict[str, pa.Array], metadata: dict[str, str], **more: object) -> Path:
    made = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(made, folder / "rows.parquet", **more)
    return folder / "rows.parquet"


@hostile("parquet: of somebody else")
def _(folder: Path) -> Path:
    return table(folder, {"a": pa.array([1])}, {})


@hostile("parquet: newer schema")
def _(folder: Path) -> Path:
    return table(folder, {"a": pa.array([1])}, {"torchbasics_schema": "99"})


@hostile("parquet: schema is no number")
def _(folder: Path) -> Path:
    return table(folder, {"a": pa.array([1])}, {"torchbasics_schema": "1" * 5000})


@hostile("parquet: without the columns")
def _(folder: Path) -> Path:
    return table(folder, {"a": pa.array([1])}, METADATA)


@hostile("parquet: bomb of one long text")
def _(folder: Path) -> Path:
    """A small file that asks for 1.2 GB."""
    part = pa.table({"case": ["x" * 100_000_000]}).replace_schema_metadata(METADATA)
    with pq.ParquetWriter(
        folder / "rows.parquet", part.schema, compression="zstd", use_dictionary=False, write_statistics=False
    ) as writer:
        for _ in range(12):
            writer.write_table(part)
    return folder / "rows.parquet"


@hostile("parquet: bomb of many rows")
def _(folder: Path) -> Path:
    rows = pa.nulls(30_000_000, pa.int32())
    return table(folder, {"threads": rows}, METADATA)


@hostile("parquet: many columns")
def _(folder: Path) -> Path:
    return table(folder, {f"c{n}": pa.array([n]) for n in range(6_000)}, METADATA)


@hostile("parquet: keys of the wrong type")
def _(folder: Path) -> Path:
    source = pq.read_table(small_run(folder) / "rows.parquet")
    columns = {name: pa.array([[name]] * len(source)) for name in source.column_names}
    return table(folder, columns, METADATA)


@hostile("parquet: keys that are null")
def _(folder: Path) -> Path:
    source = pq.read_table(small_run(folder) / "rows.parquet")
    columns = {name: pa.nulls(len(source), source[name].type) for name in source.column_names}
    return table(folder, columns, METADATA)


# run.json


record("run.json: empty", b"")
record("run.json: not UTF-8", b'{"run_id": "\xff\xfe"}')
record("run.json: truncated", b'{"schema": 1, "run_id": "a"')
record("run.json: a list", b"[]")
record("run.json: null", b"null")
record("run.json: a key twice", b'{"schema": 1, "run_id": "a", "run_id": "b"}')
record("run.json: NaN", b'{"schema": 1, "run_id": "a", "ended": NaN}')
record("run.json: an infinite number", b'{"schema": 1, "run_id": "a", "ended": 1e999999999}')
record("run.json: a number of 5,000 digits", b'{"schema": 1, "run_id": "a", "ended": ' + b"9" * 5000 + b"}")
record(
    "run.json: nested 200,000 deep", b'{"schema": 1, "run_id": "a", "plan": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
)
record("run.json: half a character", b'{"schema": 1, "run_id": "a", "leg": "\\ud800"}')
record("run.json: newer schema", b'{"schema": 99, "run_id": "a"}')
record("run.json: no schema", b'{"run_id": "a"}')
record("run.json: python is a text", b'{"schema": 1, "run_id": "a", "environment": {"python": "3.11"}}')
record("run.json: no cells in the plan", b'{"schema": 1, "run_id": "a", "plan": {"columns": [], "cells": 3}}')
record("run.json: a plan of other columns", b'{"schema": 1, "run_id": "a", "plan": {"columns": ["x"], "cells": [[1]]}}')


@hostile("run.json: too large")
def _(folder: Path) -> Path:
    with (folder / "run.json").open("wb") as file:
        file.truncate(300 << 20)  # a hole, which takes no room
    return folder


@hostile("run.json: the hash is of a hole of 1 TB")
def _(folder: Path) -> Path:
    run = small_run(folder)
    with (run / "rows.parquet").open("r+b") as file:
        file.truncate(1 << 40)
    return run


@hostile("run.json: a folder")
def _(folder: Path) -> Path:
    (folder / "run.json").mkdir()
    return folder


@hostile("run.json: a pipe that nobody writes to")
def _(folder: Path) -> Path:
    os.mkfifo(folder / "run.json")
    return folder


@hostile("run.json: a device that never ends")
def _(folder: Path) -> Path:
    (folder / "run.json").symlink_to("/dev/zero")
    return folder


# Journals


def journal(folder: Path, *lines: bytes) -> Path:
    (folder / "rows.jsonl").write_bytes(b"".join(lines))
    return folder / "rows.jsonl"


@hostile("journal: newer schema")
def _(folder: Path) -> Path:
    return journal(folder, _line("header", {"schema": 99, "run_id": "a"}))


@hostile("journal: a pipe that nobody writes to")
def _(folder: Path) -> Path:
    os.mkfifo(folder / "rows.jsonl")
    return folder / "rows.jsonl"


@hostile("journal: a link to a loop")
def _(folder: Path) -> Path:
    (folder / "rows.jsonl").symlink_to(folder / "rows.jsonl")
    return folder / "rows.jsonl"


@hostile("journal: of another run")
def _(folder: Path) -> Path:
    run = small_run(folder)
    (run / "rows.parquet").unlink()
    other = Journal(run / "rows-gw1.jsonl")
    other.header("20260101T000000Z-00000000")
    other.end(Row(check_cell("stranger"), "passed"))
    other.close()
    return run


# CSV


HEADER = b"kind,case,outcome,threads,median_s\n"
raw("csv: empty", "rows.csv", b"")
raw("csv: NUL bytes", "rows.csv", bytes(1000))
raw("csv: an unclosed quote", "rows.csv", HEADER + b'check,"linear,passed,1,0.1\n' * 3)
raw("csv: ragged", "rows.csv", HEADER + b"check,linear\ncheck,linear,passed,1,0.1,extra\n")
raw("csv: 200,000 columns", "rows.csv", b",".join(b"c%d" % n for n in range(200_000)) + b"\n")
raw("csv: a column twice", "rows.csv", b"kind,case,case,outcome\ncheck,a,b,passed\n")
raw("csv: other columns", "rows.csv", b"a,b\n1,2\n")
raw("csv: threads is no number", "rows.csv", HEADER + b"check,linear,passed,many,0.1\n")
raw("csv: threads is infinite", "rows.csv", HEADER + b"check,linear,passed,inf,0.1\n")
raw("csv: threads needs 70 bits", "rows.csv", HEADER + b"check,linear,passed,1e21,0.1\n")
raw("csv: of another kind", "rows.csv", HEADER + b"\x1b[2J,linear,passed,1,0.1\n")

# JSON of pytest-benchmark

raw("json: a list", "bench.json", b"[]")
raw("json: no benchmarks", "bench.json", b'{"machine_info": {}, "benchmarks": {}}')
raw("json: an entry is a number", "bench.json", b'{"machine_info": {}, "benchmarks": [3]}')
raw(
    "json: half a character",
    "bench.json",
    b'{"machine_info": {}, "benchmarks": [{"stats": {}, "fullname": "\\udfff"}]}',
)

# What is none of these

raw("a pickle", "rows.pkl", b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
raw("an archive", "rows.tar.gz", b"\x1f\x8b\x08" + bytes(50))


@hostile("a path of 5,000 characters")
def _(folder: Path) -> Path:
    return folder / ("x" * 5_000)


@hostile("an empty folder")
def _(folder: Path) -> Path:
    return folder


@hostile("a run id that climbs out of the folder")
def _(folder: Path) -> Path:
    run = small_run(folder)
    found = json.loads((run / "run.json").read_bytes())
    (run / "run.json").write_text(json.dumps({**found, "run_id": "../../escaped"}))
    (run / "rows.parquet").unlink()
    for path in run.glob("*.jsonl"):
        path.write_bytes(path.read_bytes().replace(RUN_ID.encode(), b"x"))  # its lines are damaged as well
    return run
