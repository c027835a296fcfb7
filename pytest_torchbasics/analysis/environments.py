"""What runs ran on and under, fact by fact, and in what two sides differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: The parts of a record, in the order of reading; others follow.
PARTS = ("git", "torch", "python", "cpu", "memory_bytes", "gpus", "os", "packages", "variables", "ci")
#: What run.json tells of the run itself.
RUN = ("leg", "shard", "machine_key", "env_id", "argv")
SETTINGS = ("quality", "cold_cache", "modes")


@dataclass(frozen=True)
class Fact:
    """One fact of two sides.

    Attributes:
        name: the words of its place in the record, `torch version`.
        values: by side, the distinct values of its runs.
        differs: the sides do not have the same values.
    """

    name: str
    values: tuple[tuple[object, ...], ...]
    differs: bool


def compared(sides: Sequence[Sequence[Mapping[str, Any]]]) -> list[Fact]:
    """The facts of every side's runs.

    Args:
        sides: for each side the contents of its runs' run.json.
    """
    flat = [[facts(record) for record in records] for records in sides]
    names = list(dict.fromkeys(name for records in flat for record in records for name in record))
    found = []
    for name in names:
        values = tuple(tuple(dict.fromkeys(record[name] for record in records if name in record)) for records in flat)
        filled = [set(side) for side, records in zip(values, flat, strict=True) if records]
        found.append(Fact(name, values, any(side != filled[0] for side in filled[1:])))
    return found


def facts(record: Mapping[str, Any]) -> dict[str, object]:
    """The facts of one run.json by name: plain values; what is null is left out."""
    environment = record.get("environment")
    environment = environment if isinstance(environment, Mapping) else {}
    parts = [*(part for part in PARTS if part in environment), *(part for part in environment if part not in PARTS)]
    found = dict(pair for part in parts for pair in _flat(part, environment[part]))
    settings = record.get("settings")
    settings = settings if isinstance(settings, Mapping) else {}
    found |= dict(pair for name in SETTINGS if name in settings for pair in _flat(f"setting {name}", settings[name]))
    found |= dict(pair for name in RUN if record.get(name) for pair in _flat(name, record[name]))
    return found


def _flat(name: str, value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name} {key}", inner)
    elif isinstance(value, list) and any(isinstance(item, (Mapping, list)) for item in value):
        for number, inner in enumerate(value):
            yield from _flat(f"{name} {number}", inner)
    elif isinstance(value, list):
        yield name, " ".join(map(str, value))
    elif isinstance(value, str) and "\n" in value:
        yield from _lines(name, value)
    elif value is not None and value != "":
        yield name, value


def _lines(name: str, text: str) -> Iterator[tuple[str, object]]:
    """A text of lines such as `- CPU capability usage: AVX512`, which torch tells how it was built by."""
    others = []
    for line in text.splitlines():
        key, colon, value = line.strip().removeprefix("- ").partition(": ")
        if colon:
            yield f"{name} {key}", value
        else:
            others.append(key)
    yield name, " ".join(others)
