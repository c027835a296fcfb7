"""[tool.torchbasics.ci]: what is not said has a default, and what is wrong is refused in one line that says where."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_torchbasics.pipeline.config import Device, parse_config, read_config
from pytest_torchbasics.pipeline.requirements import reader_requirements
from pytest_torchbasics.results.errors import ResultError

ROOT = Path(__file__).parent.parent.parent


def test_without_a_word_there_is_one_leg_on_the_cpu(tmp_path: Path) -> None:
    config = read_config(tmp_path / "pyproject.toml")
    assert config == parse_config({})
    assert list(config.profiles) == ["quick", "full"]
    assert config.profile("quick") == config.profile("full")
    assert config.profile("full").devices == (Device("cpu", "cpu"),)


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(
        """
        [tool.torchbasics.ci]
        devices = ["cpu", {device = "cuda:1", gpus = 1, runs_on = ["self-hosted", "h100"], speed = false}]
        torch = ["2.6.*", "2.7.1", "latest"]
        python = ["3.10", "3.13"]
        shards = 2
        [[tool.torchbasics.ci.exclude]]
        device = "cuda-1"
        python = "3.10"
        [tool.torchbasics.ci.profiles.nightly]
        devices = ["cuda-1"]
        pytest = ["--checks=gradient"]
        """
    )
    config = read_config(path)
    assert config.profile("full").devices[1] == Device("cuda-1", "cuda:1", runs_on=("self-hosted", "h100"), speed=False)
    nightly = config.profile("nightly")
    assert ([device.name for device in nightly.devices], nightly.shards, nightly.torch, nightly.pytest) == (
        ["cuda-1"],
        2,
        ("2.6.*", "2.7.1", "latest"),
        ("--checks=gradient",),
    )
    assert [str(exclude) for exclude in config.exclude] == ['device = "cuda-1", python = "3.10"']


def test_the_quick_profile_leaves_out_runners_of_ones_own() -> None:
    """A pull request from a fork would otherwise run its code on them."""
    quick = parse_config({"devices": ["cpu", {"device": "cuda", "runs_on": ["gpu"]}], "torch": ["2.6.*", "latest"]})
    assert [device.name for device in quick.profile("quick").devices] == ["cpu"]
    assert quick.profile("quick").torch == ("latest",)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"pythons": ["3.10"]}, "knows no 'pythons'; did you mean 'python'?"),
        ({"xyz": 1}, "knows no 'xyz'; there are branches, devices"),
        ({"python": [3.1]}, "python must be a version of Python such as '3.13', found '3.1' (write it in quotes)"),
        ({"python": "3.10"}, "python must be a list, each a version of Python"),
        ({"python": []}, "python must be a list"),
        ({"python": ["3.10", "3.10"]}, "python names '3.10' twice"),
        ({"torch": [">=2.6"]}, "torch must be 'latest' or a version of torch such as '2.6.*', found '>=2.6'"),
        ({"os": ["ubuntu 24"]}, "os must be a label of a runner"),
        ({"shards": 0}, "shards must be a whole number from 1 to 256, found '0'"),
        ({"shards": True}, "shards must be a whole number"),
        ({"shards": "2"}, "shards must be a whole number"),
        ({"timeout_minutes": 1.5}, "timeout_minutes must be a whole number"),
        ({"devices": []}, "devices must be a list"),
        ({"devices": [1]}, "devices must be a list of devices or tables, found '1' in it"),
        ({"devices": ["cpu", "cpu"]}, "devices names 'cpu' twice; give one of them another name"),
        ({"devices": [{"name": "x"}]}, "devices, number 1: lacks the key 'device'"),
        (
            {"devices": [{"device": "cuda", "run_on": []}]},
            "devices, number 1: knows no 'run_on'; did you mean 'runs_on'",
        ),
        ({"devices": [{"device": "cuda", "name": "a/b"}]}, "cannot be used as a name"),
        ({"devices": [{"device": "cuda", "index": "http://x"}]}, "index must be the https address"),
        ({"devices": [{"device": "cuda", "speed": 1}]}, "speed must be true or false"),
        ({"devices": [{"device": "mps", "gpus": 2}]}, "gpus = 2 shares several GPUs of the device 'cuda'"),
        ({"paths": ["a${{ b }}"]}, "paths must be text of one line without '${{'"),
        ({"paths": ["a\nb"]}, "paths must be text of one line"),
        ({"pytest": ["-k a b"]}, "pytest must be one word"),
        ({"schedule": "daily"}, "schedule must be five fields of cron"),
        ({"exclude": {}}, "exclude must be a list of tables"),
        ({"exclude": [{}]}, "exclude, number 1: names nothing"),
        ({"exclude": [{"python": "3.9"}]}, "python: '3.9' is none of those of [tool.torchbasics.ci]: 3.13"),
        ({"exclude": [{"pyton": "3.13"}]}, "knows no 'pyton'; did you mean 'python'?"),
        ({"profiles": []}, "profiles must be a table of tables"),
        ({"profiles": {"a b": {}}}, "cannot be used as a name"),
        ({"profiles": {"quick": {"devices": ["cuda"]}}}, "devices: 'cuda' is none of those of"),
        ({"profiles": {"quick": {"device": ["cpu"]}}}, "knows no 'device'; did you mean 'devices'?"),
    ],
)
def test_what_is_wrong_is_one_line_that_says_where(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ResultError) as raised:
        parse_config(section, Path("pyproject.toml"))
    assert message in str(raised.value)
    assert "tool.torchbasics.ci" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[tool", "is not valid TOML"), ("[tool]\ntorchbasics = 1", "tool.torchbasics must be a table")],
)
def test_a_file_that_is_not_readable_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    with pytest.raises(ResultError, match=message) as raised:
        read_config(path)
    assert str(path) in str(raised.value)


def test_the_report_installs_all_that_this_package_needs_but_torch_and_pytest() -> None:
    names = {re.split("[<>=; ]", requirement)[0] for requirement in reader_requirements()}
    assert {"pandas", "pyarrow", "numpy", "rich", "click", "platformdirs"} <= names
    assert not names & {"torch", "torchvision", "pytest", "pytest-benchmark", "ruff", "nvidia-ml-py"}
    told = subprocess.run(
        [sys.executable, "-S", "-c", "import pytest_torchbasics.pipeline.requirements"], cwd=ROOT, check=False
    )
    assert told.returncode == 0, "it needs something that is not installed yet"


def test_planning_and_annotating_import_no_torch_and_no_pytest() -> None:
    program = (
        "import sys\n"
        "import pytest_torchbasics.pipeline.github, pytest_torchbasics.pipeline.changes, pytest_torchbasics.cli.ci\n"
        "import pytest_torchbasics.pipeline.local, pytest_torchbasics.pipeline.annotations\n"
        "print(*sorted({'torch', 'pytest', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
