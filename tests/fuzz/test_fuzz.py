"""Readers of broken files raise the documented error and nothing else; what has a checksum is never silently wrong.

`TORCHBASICS_FUZZ=20` tries twenty times as much; `nox -s fuzz` does so.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_torchbasics.results.errors import ResultError
from pytest_torchbasics.results.journal import _line, read_journal
from pytest_torchbasics.results.load import load
from tests.hostile.guard import guarded
from tests.hostile.making import mutants, small_run

from .targets import BENCHMARK, PLAN, TARGETS, lay_out, make_seeds, read

EFFORT = int(os.environ.get("TORCHBASICS_FUZZ", "1"))
#: Of each target; a read that makes a frame takes some ms.
EXAMPLES, PREFIXES = 200 * EFFORT, 20 * EFFORT
FLIPS = 2_000 * EFFORT
MUTANTS = 300 * EFFORT
TOKENS = (b"", b"null", b"-1", b"1e999", b'"', b"[", b"{}", b"\x00", b"\xff")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make_seeds(tmp_path_factory.mktemp("seeds"))


@pytest.fixture
def folder(seeds: dict[str, bytes], tmp_path: Path) -> Path:
    lay_out(tmp_path, seeds)
    return tmp_path


@st.composite
def broken(draw: st.DrawFn, seed: bytes) -> bytes:
    """Bytes, or a valid file in which some parts are replaced, left out, doubled or moved."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=200))
    data = seed
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        told = st.sampled_from(
            [data[start:end] * 2, b"", b"null", b"-1", b"1e999", b'"', b"[", b"{}", b"\x00", b"\xff"]
        )
        data = data[:start] + draw(st.one_of(told, st.binary(max_size=8))) + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_a_valid_file_is_read(name: str, seeds: dict[str, bytes], folder: Path) -> None:
    with guarded(folder):
        assert read(name, seeds[name], folder), "else the tests below would try nothing"


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # else it hides what was found
@pytest.mark.parametrize("name", TARGETS)
def test_broken_bytes_raise_the_documented_error_only(name: str, seeds: dict[str, bytes], folder: Path) -> None:
    refused = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=EFFORT == 1,
        suppress_health_check=list(HealthCheck),
    )
    @given(broken(seeds[name]))
    def fuzz(data: bytes) -> None:
        nonlocal refused
        with guarded(folder):
            refused += not read(name, data, folder)

    fuzz()
    # A journal is never refused as a whole: its damaged lines are named and passed over.
    assert refused > EXAMPLES // 10 or name == "rows.jsonl"


@pytest.mark.parametrize("name", TARGETS)
def test_a_file_that_ends_early_raises_the_documented_error_only(
    name: str, seeds: dict[str, bytes], folder: Path
) -> None:
    seed = seeds[name]
    with guarded(folder):
        for length in {round(part * len(seed) / PREFIXES) for part in range(PREFIXES)}:
            read(name, seed[:length], folder)


def flips(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """The data with one bit changed: every one if the count allows it, else some."""
    places = range(len(data) * 8)
    for place in places if count >= len(places) else random.Random(seed).sample(places, count):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def test_no_bit_of_a_journal_changes_unnoticed(seeds: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(seeds["rows.jsonl"])
    whole = read_journal(path)
    assert whole.rows
    assert not whole.problems
    noticed = 0
    for data in flips(seeds["rows.jsonl"], FLIPS, 1):
        path.write_bytes(data)
        found = read_journal(path)
        same = (found.rows, found.open_cells, found.run_id, found.worker) == (
            whole.rows,
            whole.open_cells,
            whole.run_id,
            whole.worker,
        )
        noticed += bool(found.problems)
        assert found.problems or same
    assert noticed > 0.99 * min(FLIPS, 8 * len(seeds["rows.jsonl"]))


def test_no_bit_of_the_final_table_changes_unnoticed(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    path = run / "rows.parquet"
    data = path.read_bytes()
    load(run)
    for source in (run, path):
        for changed in flips(data, FLIPS // 3, 2):
            path.write_bytes(changed)
            with pytest.raises(ResultError, match="its hash differs"):
                load(source)


def wrong_documents(seeds: dict[str, bytes]) -> Iterator[tuple[str, str, bytes]]:
    """Each target that reads JSON, with one value of a valid document replaced; the checksums are right."""
    for name, document in (("plan.json", PLAN), ("bench.json", BENCHMARK), ("run.json", json.loads(seeds["run.json"]))):
        for what, mutant in mutants(document):
            yield name, what, json.dumps(mutant).encode()
    lines = [json.loads(line) for line in seeds["rows.jsonl"].splitlines()]
    chosen = (0, next(n for n, line in enumerate(lines) if line["ev"] == "end" and "samples_ns" in line["row"]))
    for number in chosen:
        kind, event = lines[number]["ev"], {k: v for k, v in lines[number].items() if k not in ("ev", "crc")}
        for what, mutant in mutants(event):
            if isinstance(mutant, dict):
                yield "rows.jsonl", f"line {number}: {what}", _line(kind, mutant)


def test_a_value_of_the_wrong_type_raises_the_documented_error_only(seeds: dict[str, bytes], folder: Path) -> None:
    documents = list(wrong_documents(seeds))
    chosen = documents if len(documents) <= MUTANTS else random.Random(3).sample(documents, MUTANTS)
    refused = 0
    with guarded(folder):
        for name, what, data in chosen:
            lay_out(folder, seeds)
            try:
                refused += not read(name, data, folder)
            except Exception as error:
                raise AssertionError(f"{name}: {what}") from error
    assert refused > len(chosen) // 5


def test_the_guard_refuses_what_it_is_for(tmp_path: Path) -> None:
    import pickle
    import socket
    import subprocess

    outside = tmp_path.parent / "outside"
    inside = tmp_path / "inside"
    for harm in (
        lambda: outside.write_bytes(b""),
        lambda: outside.mkdir(),
        lambda: subprocess.run(["true"], check=False),
        lambda: socket.create_connection(("127.0.0.1", 9), 0.1),
        lambda: pickle.loads(b"cos\nsystem\n."),  # noqa: S301, what the guard is for
    ):
        with pytest.raises(AssertionError), guarded(tmp_path), pytest.raises(PermissionError):
            harm()
    assert not outside.exists()
    with guarded(tmp_path):
        inside.write_bytes(b"")
    inside.with_name("after").write_bytes(b"")
