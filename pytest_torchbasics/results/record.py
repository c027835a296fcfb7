"""What may stand in a run.json: the one place of the types of its fields, so that its readers need not ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ResultError

#: Unknown where it is null: a record may come from another version, or from a machine that cannot tell.
Test = Callable[[Any], bool]


@dataclass(frozen=True)
class Kind:
    """What a field must hold, unless it is null.

    Attributes:
        name: for messages.
        holds: True for a value of it.
        fields: of an object, the kinds of those that are read.
        items: of a list, or of all fields of an object, their kind.
    """

    name: str
    holds: Test
    fields: Mapping[str, Kind] | None = None
    items: Kind | None = None


def _is_whole(most: int) -> Test:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and -most <= value <= most


TEXT = Kind("text", lambda value: isinstance(value, str))
TRUTH = Kind("true or false", lambda value: isinstance(value, bool))
#: What the columns of rows.parquet hold.
SHORT = Kind("a whole number of at most 32 bits", _is_whole((1 << 31) - 1))
WHOLE = Kind("a whole number of at most 64 bits", _is_whole((1 << 63) - 1))


def mapping(fields: Mapping[str, Kind] | None = None, items: Kind | None = None) -> Kind:
    """The kind of an object."""
    return Kind("an object", lambda value: isinstance(value, dict), fields, items)


def listed(items: Kind) -> Kind:
    """The kind of a list."""
    return Kind("a list", lambda value: isinstance(value, list), items=items)


ENVIRONMENT = mapping(
    {
        "torch": mapping({"version": TEXT}),
        "cpu": mapping({"name": TEXT}),
        "gpus": listed(mapping({"type": TEXT, "name": TEXT, "driver": TEXT})),
        "python": mapping({"version": TEXT}),
        "os": mapping({"platform": TEXT}),
        "packages": mapping(items=TEXT),
        "variables": mapping(items=TEXT),
        "git": mapping({"commit": TEXT, "branch": TEXT, "dirty": TRUTH}),
        "ci": TEXT,
    }
)
RECORD = mapping(
    {
        "status": TEXT,
        "started_at": TEXT,
        "finished_at": TEXT,
        "argv": listed(TEXT),
        "settings": mapping(),
        "leg": TEXT,
        "shard": TEXT,
        "attempt": SHORT,
        "ci_run": TEXT,
        "machine_key": TEXT,
        "env_id": TEXT,
        "environment": ENVIRONMENT,
        "plan": mapping({"columns": listed(TEXT), "cells": listed(listed(Kind("a value", lambda value: True)))}),
        "planned": WHOLE,
        "ended": WHOLE,
        "counts": mapping(items=WHOLE),
        "problems": listed(TEXT),
        "kinds": listed(TEXT),
        "files": mapping(items=mapping({"sha256": TEXT, "rows": WHOLE, "bytes": WHOLE})),
        "placeholder": TRUTH,
        "imported": TRUTH,
    }
)


def check_record(record: Mapping[str, Any], path: Path) -> None:
    """Refuse a run.json in which a known field holds something else; fields that are not known are passed over.

    Raises:
        ResultError: it does; the message names the field.
    """
    _check(record, RECORD, "", path)


def _check(value: Any, kind: Kind, name: str, path: Path) -> None:
    if value is None:
        return
    if not kind.holds(value):
        raise ResultError(f"{name!r} must be {kind.name}, found {type(value).__name__} {value!r:.60}", path)
    for key, inner in (kind.fields or {}).items():
        _check(value.get(key), inner, f"{name}.{key}".lstrip("."), path)
    if kind.items is not None:
        named = value if isinstance(value, dict) else {str(number): item for number, item in enumerate(value)}
        for key, item in named.items():
            _check(item, kind.items, f"{name}.{key:.40}", path)
