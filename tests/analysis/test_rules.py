"""Rules of a TOML file: which is used for which cell, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from pytest_torchbasics.analysis.rules import Rule, Rules, parse_rules, read_rules
from pytest_torchbasics.results import ResultError

CELLS = pd.DataFrame(
    {
        "case": ["linear", "conv", "dropout"],
        "check": "",
        "phase": ["forward", "backward", "backward"],
        "mode": "eager",
        "device": "cpu",
        "dtype": "float32",
        "sizes": "",
    }
)
TEXT = """
[tool.other]
x = 1
[tool.torchbasics.compare]
threshold = "3%"
floor = "1us"
min_runs = 6
[[tool.torchbasics.compare.rule]]
match = "phase:backward"
threshold = "10%"
[[tool.torchbasics.compare.rule]]
match = "dropout"
gate = false
"""


def test_the_last_rule_that_matches_is_used(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(TEXT)
    rules = read_rules(path)
    linear, conv, dropout = rules.of(CELLS)
    assert (linear.threshold, linear.floor_s, linear.gate) == (0.03, 1e-6, True)
    assert (conv.threshold, conv.floor_s, conv.gate) == (0.1, 1e-6, True)
    assert (dropout.threshold, dropout.gate) == (0.03, False)
    assert rules.min_runs == 6


def test_without_a_table_the_defaults_hold(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[tool.other]\nx = 1\n")
    assert read_rules(path) == Rules()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "must be a table"),
        ({"threshold": 0}, "no share above 0"),
        ({"threshold": float("inf")}, "no share above 0"),
        ({"screen": "none"}, "'screen': 'none' is no share above 0"),
        ({"floor": "-1s"}, "is no time"),
        ({"floor": "1e999s"}, "is no time"),
        ({"alpha": 0}, "'alpha' must be between 0 and 1"),
        ({"alpha": 1}, "'alpha' must be between 0 and 1"),
        ({"alpha": True}, "'alpha' must be between 0 and 1"),
        ({"alpha": "0.1"}, "'alpha' must be between 0 and 1"),
        ({"min_runs": True}, "'min_runs' must be 4 or more, found True"),
        ({"min_runs": 5.0}, "'min_runs' must be 4 or more, found 5.0"),
        ({"rule": ["x"]}, "^'rule' must be tables"),
        ({"rule": [{"match": 3}]}, "'match': must be an expression such as .*, found 3"),
        ({"treshold": "5%"}, "'treshold'; there are threshold, screen, floor, gate, match, alpha, min_runs and rule$"),
        ({"threshold": "5%%"}, "'threshold': '5%%' is no share above 0"),
        ({"threshold": "five"}, "'threshold': 'five' is no share above 0"),
        ({"threshold": -0.1}, "no share above 0"),
        ({"threshold": True}, "no share above 0"),
        ({"floor": "5 parsecs"}, "'floor': '5 parsecs' is no time"),
        ({"floor": "1.2.3s"}, "is no time"),
        ({"alpha": 2}, "'alpha' must be between 0 and 1"),
        ({"min_runs": 3}, "'min_runs' must be 4 or more, found 3"),
        ({"rule": {"match": "x"}}, r"\[\[tool.torchbasics.compare.rule\]\]"),
        ({"rule": [{"threshold": "5%"}]}, "a rule has no 'match'"),
        ({"rule": [{"match": "a and"}]}, "'match': the expression 'a and' is wrong"),
        ({"rule": [{"match": "a", "gate": "no"}]}, "'gate': must be true or false"),
    ],
)
def test_what_has_no_meaning_is_refused(table: object, message: str) -> None:
    with pytest.raises(ResultError, match=message):
        parse_rules(table)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"threshold": "25%"}, {"threshold": 0.25}),
        ({"threshold": 0.25}, {"threshold": 0.25}),
        ({"threshold": "2"}, {"threshold": 2.0}),
        ({"screen": "10%"}, {"screen": 0.1}),
        ({"floor": "0s"}, {"floor_s": 0.0}),
        ({"floor": "2us"}, {"floor_s": 2e-6}),
    ],
)
def test_shares_and_times_are_read_with_their_units(table: dict[str, object], expected: dict[str, float]) -> None:
    assert {name: getattr(parse_rules(table).default, name) for name in expected} == pytest.approx(expected)


def test_a_rule_may_say_all_there_is_to_say() -> None:
    told = {"match": "linear", "threshold": "1%", "screen": "2%", "floor": "3s", "gate": False}
    assert parse_rules({"rule": [told]}).rules == (Rule(0.01, 3.0, 0.02, False, "linear"),)


def test_least_and_most_that_general_settings_may_be() -> None:
    assert parse_rules({"min_runs": 4}).min_runs == 4
    assert parse_rules({"alpha": 0.999}).alpha == 0.999


def test_what_is_given_instead_outranks_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(TEXT)
    rules = read_rules(path, {"threshold": "7%"})
    assert (rules.default.threshold, rules.min_runs, len(rules.rules)) == (0.07, 6, 2)


@pytest.mark.parametrize("content", [b"[", b"\xff", b"[tool]\ntorchbasics = 3"])
def test_a_file_that_is_no_toml_or_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(ResultError, match=r"x\.toml"):
        read_rules(path)
