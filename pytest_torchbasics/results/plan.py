"""The plan of a CI matrix: which legs and shards must arrive, `torchbasics merge --expect plan.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ResultError
from .rows import Cell, cell_from_json
from .safe import is_schema, read_json

SCHEMA = 1


@dataclass(frozen=True)
class Expected:
    """A leg's shard that must arrive.

    Attributes:
        leg: as in --leg.
        shard: as in --shard, `1/4`; empty for a leg in one piece.
        device: what it runs on; empty if the plan does not say.
        cells: what it should measure; empty if the plan does not say.
        kinds: what must be there of it: `check`, `timing`; empty if anything does.
    """

    leg: str
    shard: str
    device: str = ""
    cells: tuple[Cell, ...] = ()
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is expected of one run of a CI.

    Attributes:
        legs: what must arrive.
        ci_run: the CI's number of the run; empty if the plan does not say.
    """

    legs: tuple[Expected, ...]
    ci_run: str = ""


def read_plan(path: Path) -> Plan:
    """The plan of a file. Keys that are not known are passed over; they are for those who run the legs.

    Raises:
        ResultError: it cannot be read, is of a newer version, or expects nothing.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("legs"), list):
        raise ResultError("is no plan: it must be an object with a list of 'legs'", path)
    if not is_schema(found.get("schema"), SCHEMA):
        raise ResultError(
            f"written with schema {found.get('schema')!r:.20}, this version reads up to {SCHEMA}: "
            "pip install --upgrade pytest-torchbasics",
            path,
        )
    legs = tuple(_expected(entry, path) for entry in found["legs"])
    if not legs:
        raise ResultError("expects nothing: its list of 'legs' is empty", path)
    named = [(entry.leg, entry.shard) for entry in legs]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise ResultError(f"expects the leg {twice[0]!r} shard {twice[1]!r} twice", path)
    return Plan(legs, _text(found, "ci_run", path))


def _expected(entry: Any, path: Path) -> Expected:
    if not isinstance(entry, dict):
        raise ResultError(f"an entry of 'legs' must be an object, found {entry!r:.60}", path)
    cells = entry.get("cells", [])
    if not isinstance(cells, list):
        raise ResultError(f"'cells' must be a list, found {cells!r:.60}", path)
    leg = _text(entry, "leg", path)
    if not leg:
        raise ResultError(f"an entry of 'legs' has no 'leg': {entry!r:.80}", path)
    read = tuple(cell_from_json(cell, path) for cell in cells)
    kinds = ("check", "timing") if entry.get("speed") is True else ()
    return Expected(leg, _text(entry, "shard", path), _text(entry, "device", path), read, kinds)


def _text(entry: dict[str, Any], key: str, path: Path) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str):
        raise ResultError(f"{key!r} must be text, found {value!r:.60}", path)
    return value
