"""The plan: a leg for each combination, a job for each of its shards, under names that results can carry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_torchbasics.pipeline.config import parse_config
from pytest_torchbasics.pipeline.plan import Job, plan, plan_json
from pytest_torchbasics.results.errors import ResultError
from pytest_torchbasics.results.safe import check_name

BIG: dict[str, Any] = {
    "devices": [
        "cpu",
        {"device": "cuda", "name": "h100", "runs_on": ["self-hosted", "h100"], "gpus": 2, "dtype": "float32,bf16"},
    ],
    "torch": ["2.6.*", "latest"],
    "python": ["3.10", "3.13"],
    "os": ["ubuntu-24.04", "windows-2025"],
    "shards": 2,
    "exclude": [{"python": "3.10", "torch": "latest"}, {"os": "windows-2025", "torch": "2.6.*"}],
}


def planned(section: dict[str, Any], profile: str = "full") -> tuple[Job, ...]:
    return plan(parse_config(section), profile)


def test_each_combination_that_is_not_excluded_is_a_leg() -> None:
    assert list(dict.fromkeys(job.leg for job in planned(BIG))) == [
        "cpu-ubuntu-24.04-torch2.6-py3.10",
        "cpu-ubuntu-24.04-torch2.6-py3.13",
        "cpu-ubuntu-24.04-torch-latest-py3.13",
        "cpu-windows-2025-torch-latest-py3.13",
        "h100-torch2.6-py3.10",
        "h100-torch2.6-py3.13",
        "h100-torch-latest-py3.13",
    ]


def test_a_leg_has_all_its_shards() -> None:
    jobs = planned(BIG)
    assert len(jobs) == 14
    assert [job.shard for job in jobs if job.leg.startswith("h100-torch2.6-py3.10")] == ["1/2", "2/2"]


def test_names_are_such_as_results_can_carry() -> None:
    for job in planned(BIG):
        check_name(job.leg, "the leg")
        check_name(f"{job.leg}-{job.shard_id}-a1", "the folder")


def test_the_file_tells_merge_what_is_expected() -> None:
    told = json.loads(plan_json(planned(BIG), "full"))
    assert (told["schema"], told["profile"], len(told["legs"])) == (1, "full", 14)
    assert all({"leg", "shard", "device", "dtype"} <= set(entry) for entry in told["legs"])
    assert plan_json(planned(BIG), "full").count("\n") == 1


def test_an_entry_says_where_and_with_what_it_runs() -> None:
    first, last = (job.entry for job in (planned(BIG)[0], planned(BIG)[-1]))
    assert (first["runs_on"], first["torch"], first["workers"]) == ("ubuntu-24.04", "torch==2.6.*", "-n auto")
    assert (last["runs_on"], last["torch"], last["dtype"]) == (["self-hosted", "h100"], "torch", "float32,bf16")


def test_gpus_have_one_worker_each() -> None:
    workers = planned({"devices": [{"device": "cuda", "gpus": 3}]})[0].entry["workers"]
    assert [word for word in workers.split() if "env:" in word] == [
        f"popen//env:CUDA_VISIBLE_DEVICES={gpu}" for gpu in range(3)
    ]
    assert planned({"devices": ["cuda"]})[0].entry["workers"] == "-n 0"


def test_more_jobs_than_github_takes_are_refused() -> None:
    assert len(planned({"shards": 256})) == 256
    with pytest.raises(ResultError, match=r"has 512 jobs \(2 legs in 256 shards\).*at most 256"):
        planned({"shards": 256, "python": ["3.12", "3.13"]})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"exclude": [{"python": "3.13"}]}, "has no leg: every leg is excluded"),
        ({"torch": ["2.6", "2.6.*"]}, "has two legs 'cpu-ubuntu-24.04-torch2.6-py3.13'"),
        ({"devices": [{"device": "cpu", "name": "c" * 60}]}, "the leg .* cannot be used as a name"),
    ],
)
def test_what_cannot_be_planned_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ResultError, match=message):
        planned(section)


def test_a_profile_without_a_leg_says_what_to_do() -> None:
    section = {"devices": [{"device": "cuda", "runs_on": ["gpu"]}]}
    with pytest.raises(ResultError, match=r"'quick' has no leg.*say in \[tool.torchbasics.ci.profiles.quick\]"):
        planned(section, "quick")
    with pytest.raises(ResultError, match="there is no profile 'slow'; there are quick, full"):
        planned(section, "slow")
