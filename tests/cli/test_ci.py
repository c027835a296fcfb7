"""`torchbasics ci`: files that are written once and not over somebody's changes, exit codes, and the pipeline here."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from pytest_torchbasics.pipeline import local
from pytest_torchbasics.pipeline.config import parse_config
from pytest_torchbasics.pipeline.local import Host, why_not_here
from pytest_torchbasics.pipeline.plan import plan
from tests.cli.test_commands import torchbasics
from tests.results.making import check_cell, checked, timed, timing_cell, write_run

PYTHON = ".".join(platform.python_version_tuple()[:2])


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(f'[tool.torchbasics.ci]\npython = ["3.99", "{PYTHON}"]\n')
    return tmp_path


def test_the_workflow_is_written_and_written_again(project: Path) -> None:
    path = project / ".github" / "workflows" / "torchbasics.yml"
    assert torchbasics("ci", "write").code == 0
    first = path.read_text()
    (project / "pyproject.toml").write_text('[tool.torchbasics.ci]\nbranches = ["trunk"]\n')
    assert (torchbasics("ci", "write").code, path.read_text() != first) == (0, True)


def test_a_check_tells_whether_the_file_is_up_to_date(project: Path) -> None:
    assert torchbasics("ci", "write", "--check").code == 1
    torchbasics("ci", "write")
    assert torchbasics("ci", "write", "--check").code == 0
    (project / "pyproject.toml").write_text('[tool.torchbasics.ci]\nbranches = ["trunk"]\n')
    done = torchbasics("ci", "write", "--check")
    assert (done.code, "is not what `torchbasics ci write` writes" in done.last_line) == (1, True)


@pytest.mark.parametrize(("edit", "why"), [("on: push\n", "was not written by"), ("{}\n# mine\n", "changed by hand")])
def test_a_file_that_somebody_changed_stays_unless_it_is_forced(project: Path, edit: str, why: str) -> None:
    path = project / "w.yml"
    torchbasics("ci", "write", "--out", path)
    whole = path.read_text()
    path.write_text(edit.format(whole))
    done = torchbasics("ci", "write", "--out", path)
    assert (done.code, why in done.last_line, "--force" in done.last_line) == (2, True, True)
    assert path.read_text() == edit.format(whole)
    assert (torchbasics("ci", "write", "--out", path, "--force").code, path.read_text()) == (0, whole)


def test_the_plan_is_printed_or_written(project: Path) -> None:
    done = torchbasics("ci", "plan", "--profile", "quick")
    assert [entry["leg"] for entry in json.loads(done.out)["legs"]] == [f"cpu-ubuntu-24.04-torch-latest-py{PYTHON}"]
    assert torchbasics("ci", "plan", "--out", "plan.json").code == 0
    assert len(json.loads((project / "plan.json").read_text())["legs"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plan", "--profile", "slow"], "there is no profile 'slow'; there are quick, full"),
        (["plan", "--config", "no.toml"], "no.toml: is not there"),
        (["plan", "--out", "no/plan.json"], "there is no such folder"),
        (["run", "--leg", "gpu"], "--leg=gpu: there is none; there are cpu-ubuntu-24.04-torch-latest-py3.99"),
        (["run", "--shard", "2/2"], "--shard=2/2: there is none; there are 1/1"),
        (["compare", "no"], "no: is not there"),
        (["write", "--out", "pyproject.toml/x.yml"], "pyproject.toml"),
    ],
)
def test_wrong_arguments_are_exit_2_and_say_why(words: list[str], message: str) -> None:
    done = torchbasics("ci", *words)
    assert (done.code, message in done.last_line) == (2, True), done.err


def test_a_wrong_configuration_is_exit_2_and_one_line(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.torchbasics.ci]\nshard = 2\n")
    for words in (["write"], ["plan"], ["run"]):
        done = torchbasics("ci", *words)
        assert (done.code, done.out) == (2, "")
        assert done.err == "torchbasics: exit 2: pyproject.toml: [tool.torchbasics.ci] knows no 'shard'; " \
            "did you mean 'shards'?\n"  # fmt: skip


def test_a_leg_that_this_machine_cannot_do_is_exit_4() -> None:
    done = torchbasics("ci", "run", "--leg", "cpu-ubuntu-24.04-torch-latest-py3.99")
    assert done.code == 4
    assert f"not here: it needs Python 3.99, this is {PYTHON}" in done.err


HOST = Host("3.13", "2.14.1+cu130", "Linux", lambda device: "" if device == "cpu" else f"no {device}", True)


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({}, ""),
        ({"torch": ["2.14.*"]}, ""),
        ({"torch": ["2.14.1"]}, ""),
        ({"torch": ["2.1.*"]}, "it needs torch 2.1.*, this has 2.14.1+cu130"),
        ({"torch": ["2.14"]}, "it needs torch 2.14, this has 2.14.1+cu130"),
        ({"python": ["3.12"]}, "it needs Python 3.12, this is 3.13"),
        ({"os": ["macos-15"]}, "it needs Darwin, this is Linux"),
        ({"devices": [{"device": "cpu", "runs_on": ["self-hosted", "Windows"]}]}, "it needs Windows, this is Linux"),
        ({"devices": [{"device": "cpu", "runs_on": ["self-hosted", "epyc"]}]}, ""),
        ({"devices": ["cuda"]}, "no cuda"),
    ],
)
def test_what_a_machine_cannot_do_is_told(section: dict[str, object], why: str) -> None:
    (job,) = plan(parse_config(section), "full")
    assert why_not_here(job, HOST) == why


def test_a_version_of_torch_that_the_plan_names_is_not_also_the_latest() -> None:
    jobs = plan(parse_config({"torch": ["2.14.*", "latest"]}), "full")
    versions = {job.torch for job in jobs}
    assert [why_not_here(job, HOST, versions) for job in jobs] == ["", "it needs torch latest, this has 2.14.1+cu130"]


def test_the_pipeline_runs_here_by_the_steps_of_the_workflow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def run(step: local.steps.Step, folder: Path, values: dict[str, str]) -> int:
        ran.append((step.name, values.get("TB_LEG")))
        return {"merge": 4, "correctness, in parallel": 1}.get(step.name, 0)

    monkeypatch.setattr(local, "_run", run)
    done = torchbasics("ci", "run")
    leg = f"cpu-ubuntu-24.04-torch-latest-py{PYTHON}"
    assert ran == [
        ("correctness, in parallel", leg),
        ("speed, one after the other", leg),
        ("verify", leg),
        *((name, None) for name in ("merge", "matrix", "changes", "report", "history")),
    ]
    assert (done.code, "2 of 8 steps failed" in done.last_line) == (4, True)
    assert "not here: it needs Python 3.99" in done.err
    (folder,) = [path for path in (project / "torchbasics-ci").iterdir() if path.is_dir()]
    assert [entry["leg"] for entry in json.loads((folder / "plan.json").read_text())["legs"]] == [leg]
    assert (project / "torchbasics-ci" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("name", ["", "night"])
def test_a_step_runs_in_bash_with_the_variables_of_its_job(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TORCHBASICS_CI_RUN", name)
    step = local.steps.Step(
        "x",
        'printf "%s|%s|%s|%s\\n" "$TB_LEG" "$TB_WORKERS" "$TB_RESULTS" "$TORCHBASICS_CI_RUN" > "$TB_FOLDER/told"\n'
        'python -c "import pytest_torchbasics" && torchbasics --version >> "$TB_FOLDER/told"\n'
        "false | true\n"
        'touch "$TB_FOLDER/too-far"',
    )
    monkeypatch.setattr(local.steps, "correctness", lambda config: step)
    config = parse_config({"devices": [{"device": "cpu", "speed": False}]})
    local.make_folder(project / "ci" / "id")
    jobs = plan(config, "full")
    done, verified = local.run_legs(jobs, config, project / "ci" / "id", in_parallel=False)
    assert (verified.name, verified.code) == ("verify", 2)  # that step left no run
    assert done == local.Done(f"{jobs[0].leg} (1/1)", "x", 1)
    first, version = (project / "ci" / "id" / "told").read_text().splitlines()
    assert first == f"{jobs[0].leg}||{project}/ci/id/in/{jobs[0].leg}-1-1-a1|{name or 'id'}"
    assert "torchbasics" in version
    assert not (project / "ci" / "id" / "too-far").exists()


def test_runs_are_annotated_kept_and_compared(project: Path) -> None:
    for day, outcome in ((1, "passed"), (2, "failed")):
        rows = [checked(check_cell("linear"), outcome, "why"), timed(timing_cell("linear"), float(day))]
        write_run(project / f"in{day}", rows, leg="cpu", shard="1/1", run_id=f"2026010{day}T000000Z-aaaaaaaa")
    assert torchbasics("ci", "annotate", "in1").out == ""
    assert torchbasics("ci", "annotate", "in1", "in2").out.startswith("::error title=torchbasics%3A failed::linear")
    done = torchbasics("ci", "compare", "in1")
    assert (done.code, done.out) == (0, "Not compared: cpu: no earlier run on this machine\n")
    done = torchbasics("ci", "keep", "in1")
    assert (done.code, done.err) == (0, "1 runs are kept in torchbasics-ci/history\n")
    done = torchbasics("ci", "compare", "in2", "--max-bytes", 100_000)
    assert (done.code, "new failure" in done.out, "suspect slower" in done.out) == (0, True, True)


def test_no_run_is_an_annotation_too() -> None:
    done = torchbasics("ci", "annotate", "torchbasics-ci/in/cuda-a1")
    assert (done.code, done.out) == (0, "::error title=torchbasics::torchbasics-ci/in/cuda-a1: is not there\n")
