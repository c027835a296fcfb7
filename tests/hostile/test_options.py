"""Options, configuration and names that nobody can mean: exit 4 before the first test, and one line that helps."""

from __future__ import annotations

import pytest

from tests.integration.conftest import TESTS, Run, run  # noqa: F401, the fixture

#: An option, and words of the line that it ends with.
OPTIONS = {
    "--device=gpu": "cuda",
    "--device=CUDAA": "cuda",
    "--device= cuda": "usable here: cpu",
    "--device=cuda:": "cuda:",
    "--device=cuda:-1": "cuda:-1",
    "--device=cuda:01": "cuda:01",
    "--device=cuda:1.5": "cuda:1.5",
    "--device=cpu:7": "cpu:7",
    "--device=meta": "meta",
    "--device=npu": "npu",
    "--device=hip": "hip",
    "--device=xla": "xla",
    "--device=privateuseone": "privateuseone",
    "--device=mps:3": "usable here: cpu",
    "--device=;": "unknown device",
    "--device=\x1b[2J": "\\x1b[2J",
    "--device=cpu\ncuda9": "cuda9",
    "--dtype=flot32": "float32",
    "--dtype=add": "unknown dtype 'add'",
    "--dtype=Tensor": "unknown dtype 'tensor'",
    "--dtype=torch.float23": "float",
    "--dtype=qint8": "unknown dtype 'qint8'",
    "--dtype=bits8": "unknown dtype 'bits8'",
    "--dtype=__class__": "unknown dtype '__class__'",
    "--dtype=,": "no dtype is named",
    "--dtype=\u202efloat32": "\\u202e",
    "--measure-dtype=,": "no dtype is named",
    "--measure-dtype=flaot16": "float16",
    "--mode=,": "mode",
    "--mode=compile:": "compile",
    "--mode=compile:nope": "nope",
    "--mode=compile+compile": "compile",
    "--mode=eager+": "eager",
    "--threads=0": "from 1 to 9999",
    "--threads=-1": "from 1 to 9999",
    "--threads=many": "from 1 to 9999",
    "--threads=1.5": "from 1 to 9999",
    "--threads=99999": "from 1 to 9999",
    "--threads=\u0661": "from 1 to 9999",
    "--phase=,": "there are: forward",
    "--phase=forwards": "there are: forward",
    "--checks=all,shap": "shape",
    "--checks=-": "unknown check",
    "--shard=0/2": "1 <= K <= N",
    "--shard=1/0": "1 <= K <= N",
    "--shard=-1/2": "write K/N",
    "--shard=1/2/3": "write K/N",
    "--shard=1/": "write K/N",
    "--shard=\u0661/\u0662": "write K/N",
    "--shard=1/" + "9" * 5000: "write K/N",
    "--leg=": "letters",
    "--leg=../x": "letters",
    "--leg=con": "con",
    "--leg=a.": "a.",
    "--leg=\u00fc": "letters",
    "--leg=" + "a" * 65: "at most 64 long",
    "--timer-quality=": "there are: quick",
    "--timer-quality=quick,slow": "slow",
    "--results=cases.py": "is a file",
    "--results=cases.py/inner": "is a file",
    "--results=/dev/null/x": "is a file",
    "--results=" + "x" * 300: "cannot be made",
}
#: The same in the configuration file.
WRITTEN = {
    "torchbasics_device = gpu": "cuda",
    "torchbasics_dtype = flot32": "float32",
    "torchbasics_checks = shap": "shape",
    "torchbasics_mode = eagre": "eager",
    "torchbasics_threads = none": "from 1 to 9999",
    "torchbasics_phase = x": "there are: forward",
    "torchbasics_shard = 3/2": "1 <= K <= N",
    "torchbasics_leg = a b": "letters",
    "torchbasics_timer_quality = best": "there are: quick",
    "torchbasics_cold_cache = maybe": "write true or false",
    "torchbasics_results = cases.py": "is a file",
}


def refused(result: pytest.RunResult, says: str) -> str:
    """What is wrong with how a run was refused; empty if nothing is."""
    lines = result.stderr.str().strip().splitlines()
    if result.ret != pytest.ExitCode.USAGE_ERROR:
        return f"exit {result.ret}: {lines} {result.stdout.str()[-300:]}"
    if len(lines) != 1 or len(lines[0]) > 1_000:
        return f"{len(lines)} lines: {lines}"
    if not lines[0].isprintable():
        return f"raw characters: {lines}"
    return "" if says in lines[0] else f"does not say {says!r}: {lines}"


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: ascii(option[:30]).strip("'"))
def test_a_bad_option_is_one_line_and_exit_4(run: Run, pytester: pytest.Pytester, option: str) -> None:  # noqa: F811
    pytester.makepyfile(test_it=TESTS)
    assert not refused(run(option, device=None), OPTIONS[option])


@pytest.mark.parametrize("line", WRITTEN)
def test_a_bad_line_of_the_configuration_is_one_line_and_exit_4(
    run: Run,  # noqa: F811
    pytester: pytest.Pytester,
    line: str,
) -> None:
    pytester.makepyfile(test_it=TESTS)
    pytester.makeini(f"[pytest]\n{line}\n")
    assert not refused(run(device=None), WRITTEN[line])
