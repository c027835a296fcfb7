"""How large a change must be, for each cell: `[tool.torchbasics.compare]` of a TOML file, whose last match wins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..results.errors import ResultError
from ..results.safe import read_toml
from .filters import check_expression, mask_of
from .significance import LEAST_RUNS

if TYPE_CHECKING:
    import pandas as pd

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
TABLE = "tool.torchbasics.compare"


@dataclass(frozen=True)
class Rule:
    """What is asked of a change before it counts.

    Attributes:
        threshold: a change of less than this share is none; 0.05 is 5 %.
        floor_s: nor is one of fewer seconds; of times alone.
        screen: with too few runs, a change beyond this share is suspect.
        gate: False for cells that never fail a gate.
        match: the cells that the rule is for, an expression as of --filter; all if empty.
    """

    threshold: float = 0.05
    floor_s: float = 500e-9
    screen: float = 0.25
    gate: bool = True
    match: str = ""


@dataclass(frozen=True)
class Rules:
    """The rule of every cell, and how many runs a claim takes.

    Attributes:
        default: for cells that no other rule matches.
        rules: in their order.
        alpha: of Benjamini and Hochberg's correction: this share of the changes found may be none.
        min_runs: fewer on a side claim nothing.
    """

    default: Rule = Rule()
    rules: tuple[Rule, ...] = ()
    alpha: float = 0.05
    min_runs: int = 5

    def of(self, cells: pd.DataFrame) -> list[Rule]:
        """The rule of each cell of a frame with the columns of the keys."""
        found = [self.default] * len(cells)
        for rule in self.rules:
            for place in mask_of(cells, rule.match).to_numpy().nonzero()[0]:
                found[place] = rule
        return found


def read_rules(path: Path, instead: Mapping[str, str] | None = None) -> Rules:
    """The rules of a TOML file: its table `tool.torchbasics.compare`, the defaults where it has none.

    Args:
        path: the file.
        instead: what stands in the place of the table's own defaults.

    Raises:
        ResultError: it cannot be read, or something in it has no meaning.
    """
    found: Any = read_toml(path)
    for name in TABLE.split("."):
        found = found.get(name, {}) if isinstance(found, dict) else found
    try:
        return parse_rules({**found, **(instead or {})} if isinstance(found, dict) else found)
    except ResultError as error:
        raise ResultError(f"[{TABLE}]: {error}", path) from None


def parse_rules(table: object) -> Rules:
    """The rules of a table such as `{"threshold": "5%", "rule": [{"match": "backward", "threshold": "10%"}]}`.

    Raises:
        ResultError: something in it has no meaning.
    """
    if not isinstance(table, dict):
        raise ResultError(f"must be a table, found {table!r:.60}")
    given = dict(table)
    entries = given.pop("rule", [])
    general = {name: given.pop(name) for name in ("alpha", "min_runs") if name in given}
    default = _changed(Rule(), given)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ResultError("'rule' must be tables: [[tool.torchbasics.compare.rule]]")
    if lost := next((entry for entry in entries if not entry.get("match")), None):
        raise ResultError(f"a rule has no 'match': {lost!r:.80}")
    rules = tuple(_changed(default, entry) for entry in entries)
    alpha, least = general.get("alpha", 0.05), general.get("min_runs", 5)
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
        raise ResultError(f"'alpha' must be between 0 and 1, found {alpha!r}")
    if isinstance(least, bool) or not isinstance(least, int) or least < LEAST_RUNS:
        raise ResultError(
            f"'min_runs' must be {LEAST_RUNS} or more, found {least!r}: of fewer no test tells a change from chance"
        )
    return Rules(default, rules, float(alpha), least)


def share(value: object) -> float:
    """`"25%"` or `0.25` as a number above 0.

    Raises:
        ResultError: it is none.
    """
    text = str(value).strip()
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = float("nan")
    if isinstance(value, bool) or not 0 < found < float("inf"):
        raise ResultError(f"{value!r} is no share above 0; write 25% or 0.25")
    return found


def seconds(value: object) -> float:
    """`"500ns"` as seconds.

    Raises:
        ResultError: it is none.
    """
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(s|ms|us|µs|ns)\s*", str(value))
    try:
        found = float(match.group(1)) * UNITS[match.group(2)] if match else -1.0
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise ResultError(f"{value!r} is no time; write 500ns, 2us, 1ms or 0s")
    return found


def _changed(rule: Rule, given: Mapping[str, Any]) -> Rule:
    """The rule with what a table says of it."""
    readers = {"threshold": share, "screen": share, "floor": seconds, "gate": _truth, "match": _expression}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in readers:
            raise ResultError(f"unknown key {name!r}; there are {', '.join(readers)}, alpha, min_runs and rule")
        try:
            values["floor_s" if name == "floor" else name] = readers[name](value)
        except ResultError as error:
            raise ResultError(f"{name!r}: {error}") from None
    assert values.keys() <= {field.name for field in fields(Rule)}
    return replace(rule, **values)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ResultError(f"must be true or false, found {value!r}")
    return value


def _expression(value: object) -> str:
    if not isinstance(value, str):
        raise ResultError(f"must be an expression such as 'linear and backward', found {value!r:.60}")
    check_expression(value)
    return value
