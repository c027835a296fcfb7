"""Environments: every fact by name, and those in which two sides differ."""

from __future__ import annotations

from pytest_torchbasics.analysis.environments import compared, facts
from tests.results.making import RECORD


def record(**environment: object) -> dict[str, object]:
    return {"environment": {**RECORD, **environment}, "argv": ["-q", "tests"], "settings": {"quality": "quick"}}


def test_every_fact_has_the_name_of_its_place() -> None:
    found = facts(record(gpus=[{"name": "H100", "driver": "550"}], ci=None))
    assert found["torch version"] == "2.14.1+cpu"
    assert found["gpus 0 driver"] == "550"
    assert found["git dirty"] is False
    assert found["argv"] == "-q tests"
    assert found["setting quality"] == "quick"
    assert "ci" not in found
    assert next(iter(found)).startswith("git ")


def test_a_text_of_lines_is_a_fact_a_line() -> None:
    found = facts(record(torch={"config": "PyTorch built with:\n  - GCC 13\n  - CPU capability usage: AVX512\n"}))
    assert found["torch config CPU capability usage"] == "AVX512"
    assert found["torch config"] == "PyTorch built with: GCC 13"


def test_what_differs_is_marked() -> None:
    sides = [[record(), record()], [record(torch={"version": "2.15.0"}, new="thing")]]
    found = {fact.name: fact for fact in compared(sides)}
    assert found["torch version"].values == (("2.14.1+cpu",), ("2.15.0",))
    assert found["torch version"].differs
    assert found["new"].values == ((), ("thing",))
    assert found["new"].differs
    assert found["torch threads"].differs
    assert not found["python version"].differs


def test_runs_of_one_side_may_differ_among_themselves() -> None:
    (fact,) = [fact for fact in compared([[record(), record(python="3.12")]]) if fact.name == "python"]
    assert fact.values == (("3.12",),)
    assert not fact.differs


def test_records_without_facts_have_none() -> None:
    assert facts({}) == facts({"environment": None, "settings": None}) == {}
    assert compared([[{}], []]) == []
