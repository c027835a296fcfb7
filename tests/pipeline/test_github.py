"""The workflow: actionlint finds nothing in it, it is safe, and its shell steps do what they say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_torchbasics.cli import main
from pytest_torchbasics.pipeline.config import parse_config, read_config
from pytest_torchbasics.pipeline.github import workflow
from pytest_torchbasics.pipeline.plan import plan
from pytest_torchbasics.pipeline.steps import folder_of
from pytest_torchbasics.results.errors import ResultError
from pytest_torchbasics.results.load import load
from tests.pipeline.making import write_project
from tests.pipeline.test_plan import BIG
from tests.pipeline.workflows import Runner, interpolated, lint, read, shell_steps, unpinned

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "many legs": BIG,
    "every key": {
        **BIG,
        "paths": ["tests/with space", "suites"],
        "install": ["-e", ".[test,extra]"],
        "plugin": "pytest-torchbasics @ git+https://example.org/it's",
        "branches": ["main", "release/**"],
        "schedule": "",
        "timeout_minutes": 30,
        "profiles": {"nightly": {"pytest": ["--checks=gradient"], "shards": 4}},
    },
    "one GPU": {
        "devices": [{"device": "cuda", "runs_on": ["self-hosted", "linux", "gpu"]}],
        "profiles": {"quick": {}},
    },
}


def written(section: dict[str, Any]) -> str:
    return workflow(parse_config(section))


@pytest.fixture(params=CONFIGURATIONS)
def text(request: pytest.FixtureRequest) -> str:
    return written(CONFIGURATIONS[request.param])


def test_the_workflow_of_this_repository_is_the_one_that_is_written() -> None:
    root = Path(__file__).parent.parent.parent
    found = (root / ".github" / "workflows" / "torchbasics.yml").read_text(encoding="utf-8")
    assert found == workflow(read_config(root / "pyproject.toml")), "run: torchbasics ci write"


def test_actionlint_finds_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "workflow.yml"
    path.write_text(text)
    done = lint(path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("line", "fault", "said"),
    [
        ('"$TB_LEG"', "$TB_LEG", "SC2086"),
        ('"$TB_LEG"', "${{ github.event.pull_request.title }}", "potentially untrusted"),
        ("needs.plan.outputs.plan)", "needs.plan.outputs.legs)", 'property "legs" is not defined'),
        ("fail-fast: false", "fail-fst: false", "fail-fst"),
    ],
)
def test_actionlint_finds_a_fault_that_is_put_in(tmp_path: Path, line: str, fault: str, said: str) -> None:
    text = written(BIG)
    assert line in text
    path = tmp_path / "workflow.yml"
    path.write_text(text.replace(line, fault))
    done = lint(path)
    assert done.returncode == 1
    assert said in done.stdout


def test_actions_are_pinned_by_commit(text: str) -> None:
    assert unpinned(text) == []
    assert len(unpinned(re.sub(r"@[0-9a-f]{40} # (v\d+)\S+", r"@\1", text))) == text.count("uses: ")


def test_nothing_is_pasted_into_a_shell_step_and_the_token_can_only_read(text: str) -> None:
    found = read(text)
    assert interpolated(found) == []
    assert found["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in found["jobs"].values())
    assert "pull_request_target" not in text
    for job in found["jobs"].values():
        checkouts = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert [step["with"] for step in checkouts] == [{"persist-credentials": False}]
    doctored = read(text.replace('"$TB_PROFILE"', "${{ inputs.profile }}"))
    assert interpolated(doctored) == ["plan", "plan"]


def test_jobs_have_an_end_and_legs_do_not_end_each_other(text: str) -> None:
    jobs = read(text)["jobs"]
    assert list(jobs) == ["plan", "leg", "report"]
    assert all(job["timeout-minutes"] > 0 for job in jobs.values())
    assert jobs["leg"]["strategy"]["fail-fast"] is False
    assert "!cancelled()" in jobs["report"]["if"]


def test_artifacts_are_named_by_leg_shard_and_attempt_and_hold_a_folder_of_that_name(text: str) -> None:
    leg = read(text)["jobs"]["leg"]
    (upload,) = [step for step in leg["steps"] if "upload-artifact" in step.get("uses", "")]
    name = "${{ matrix.leg }}-${{ matrix.shard_id }}-a${{ github.run_attempt }}"
    assert upload["with"]["name"] == f"results-{name}"
    assert upload["with"]["if-no-files-found"] == "error"
    assert leg["env"]["TB_RESULTS"].endswith(f"/in/{name}")


def test_times_are_taken_without_workers_and_after_failed_checks_too(text: str) -> None:
    leg = read(text)["jobs"]["leg"]
    checks, times = (shell_steps(leg)[name] for name in ("correctness, in parallel", "speed, one after the other"))
    assert "--benchmark-disable" in checks
    assert "workers" in checks
    assert "-n0" in times
    assert "workers[@]" not in times
    (step,) = [step for step in leg["steps"] if step.get("name") == "speed, one after the other"]
    assert step["if"] == "${{ !cancelled() && matrix.speed }}"


def test_only_runs_of_own_branches_write_the_history(text: str) -> None:
    steps = read(text)["jobs"]["report"]["steps"]
    writers = [step for step in steps if "cache/save" in step.get("uses", "") or "ci keep" in step.get("run", "")]
    assert len(writers) == 2
    for step in writers:
        assert "github.event_name == 'push' || github.event_name == 'schedule'" in step["if"]


@given(st.text(min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_no_text_of_the_configuration_becomes_yaml_or_shell(path: str) -> None:
    try:
        text = written({"paths": [path], "install": [path]})
    except ResultError:
        return
    steps = shell_steps(read(text)["jobs"]["leg"])
    checks = steps["correctness, in parallel"].splitlines()[2]
    assert shlex.split(checks.rstrip("\\"))[:4] == ["python", "-m", "pytest", path]
    assert path in shlex.split(steps["install"].splitlines()[-1])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path)


def runner(project: Path) -> tuple[Runner, dict[str, Any]]:
    """What runs the steps in a project, and the first entry of its plan."""
    found = Runner(read(written({"paths": ["tests"]})), project)
    done = found.run("plan", "plan")
    assert done.returncode == 0, done.stderr
    name, _, plan = found.output.read_text().strip().partition("=")
    assert name == "plan"
    assert json.loads(plan) == json.loads((project / "torchbasics-ci" / "plan.json").read_text())
    entry = json.loads(plan)["legs"][0]
    assert isinstance(entry, dict)
    return found, entry


def test_the_shell_steps_of_all_jobs_do_what_they_say(project: Path) -> None:
    run, entry = runner(project)
    for name in ("correctness, in parallel", "speed, one after the other", "verify", "annotations"):
        done = run.run("leg", name, entry)
        assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"
    assert done.stdout == ""
    leg = project / "torchbasics-ci" / "in" / folder_of(entry)
    frame = load(leg)
    assert (set(frame["leg"]), set(frame["shard"]), set(frame["kind"])) == (
        {entry["leg"]},
        {"1/1"},
        {"check", "timing"},
    )
    assert frame["run_id"].nunique() == 2

    there = set(main.list_commands(None))  # type: ignore[arg-type]
    for name, needed in {
        "plan": "ci",
        "merge": "merge",
        "matrix": "matrix",
        "changes": "ci",
        "report": "report",
        "history": "ci",
    }.items():
        if needed in there:
            done = run.run("report", name)
            assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"
    assert "matmul" in run.summary.read_text()
    assert f"{entry['leg']}: no earlier run on this machine" in run.summary.read_text()
    assert len(list((project / "torchbasics-ci" / "history" / "runs").glob("*/run.json"))) == 2


def test_a_leg_without_its_device_ends_in_seconds_with_4(project: Path) -> None:
    run, entry = runner(project)
    done = run.run("leg", "correctness, in parallel", {**entry, "device": "cuda:99", "workers": "-n 0"})
    assert done.returncode == 4
    assert "usable here" in done.stderr
    done = run.run("leg", "annotations", entry)
    assert done.returncode == 0
    assert done.stdout.startswith("::error title=torchbasics::")


def test_each_worker_of_a_machine_with_gpus_sees_its_own_one(project: Path) -> None:
    run, entry = runner(project)
    (project / "conftest.py").write_text(
        "import os, pathlib\n"
        "def pytest_sessionfinish():\n"
        "    worker, gpu = (os.environ.get(name) for name in ('PYTEST_XDIST_WORKER', 'CUDA_VISIBLE_DEVICES'))\n"
        "    if worker:\n"
        "        pathlib.Path(worker).write_text(gpu)\n"
    )
    workers = plan(parse_config({"devices": [{"device": "cuda", "gpus": 2}]}), "full")[0].entry["workers"]
    done = run.run("leg", "correctness, in parallel", {**entry, "workers": workers})
    assert done.returncode == 0, done.stdout
    assert [(project / name).read_text() for name in ("gw0", "gw1")] == ["0", "1"]


def test_a_test_that_ends_pytest_with_0_turns_the_leg_red(project: Path) -> None:
    run, entry = runner(project)
    entry |= {"workers": "-n 0", "pytest": ""}
    (project / "conftest.py").write_text(
        "import os\ndef pytest_runtest_logreport(report):\n    report.when == 'call' and os._exit(0)\n"
    )
    done = run.run("leg", "correctness, in parallel", entry)
    assert done.returncode == 0, done.stdout
    done = run.run("leg", "verify", entry)
    assert done.returncode == 4
    assert "did not run to their end" in done.stderr


def test_a_failed_check_fails_its_step_and_is_annotated(project: Path) -> None:
    path = project / "tests" / "test_tiny.py"
    path.write_text(path.read_text().replace("output=(2, 2)", "output=(2, 9)"))
    run, entry = runner(project)
    done = run.run("leg", "correctness, in parallel", {**entry, "workers": "-n 0", "pytest": "--checks=shape -q"})
    assert done.returncode == 1
    done = run.run("leg", "annotations", entry)
    assert done.returncode == 0
    assert done.stdout.startswith(
        "::error title=torchbasics%3A failed,file=tests/test_tiny.py,line=13::matmul shape eager cpu float32: "
    )
