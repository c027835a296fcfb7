"""Bad input ends the run before the first test, with one line that says what to do."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest

from .conftest import TESTS, Run


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--device=cdua", "*--device=cdua: unknown device 'cdua'*cuda*"),
        ("--device=cuda:99", "*--device=cuda:99: *usable here: cpu*"),
        ("--device=cpu,cuda:99", "*cuda:99*usable here: cpu*"),
        ("--device=cpu:7", "*cpu:7*"),
        ("--device=meta", "*meta*"),
        ("--device=,", "*--device=,*"),
        ("--dtype=flaot32", "*--dtype=flaot32: unknown dtype 'flaot32' (nearest: float32*"),
        ("--dtype=", "*no dtype is named*"),
        ("--checks=", "*no check is selected*"),
        ("--measure-dtype=nope", "*--measure-dtype=nope: unknown dtype*"),
        ("--mode=eagre", "*--mode=eagre: unknown mode 'eagre', did you mean 'eager'?; there are: eager, compile*"),
        ("--phase=sideways", "*there are: forward, backward, forward_backward*"),
        ("--checks=gradeint", "*unknown check 'gradeint': did you mean gradient*"),
        ("--checks=,", "*no check is selected*"),
        ("--shard=3/2", "*--shard=3/2: write K/N with 1 <= K <= N*"),
        ("--shard=a", "*write K/N*"),
        ("--leg=a b", "*--leg=a b: the leg 'a b' cannot be used as a name: *letters*at most 64 long*"),
        ("--timer-quality=perfect", "*there are: quick, standard, precise*"),
        ("--results=cases.py", "*cases.py is a file, not a folder*"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_4(run: Run, pytester: pytest.Pytester, option: str, says: str) -> None:
    pytester.makepyfile(test_it=TESTS)
    result = run(option, device=None)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {says.lstrip('*')}" if says.startswith("--") else says])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert len(result.stderr.str().strip().splitlines()) == 1
    assert "test_it" not in result.stdout.str()


def test_the_ini_twin_is_checked_as_well(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntorchbasics_dtype = float23\n")
    result = run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*torchbasics_dtype = float23 (in the configuration file): unknown dtype*float32*"])


MARKERS = {
    "cases([])": "*the list of cases is empty*",
    "cases([LINEAR, LINEAR])": "*two cases are named 'linear'*",
    "cases(LINEAR)": "*takes one list of cases*",
    "cases()": "*@pytest.mark.cases: *missing*",
    "cases([LINEAR], 3)": "*@pytest.mark.cases: *",
    "cases([nn.Linear])": "*which layer() or op() did not make*",
    "dtypes('flaot')": "*unknown dtype 'flaot'*",
    "dtypes()": "*takes at least one name*",
    "devices('gpu')": "*unknown device 'gpu'; the kinds are: cpu, cuda*",
    "devices(3)": "*@pytest.mark.devices: takes names*",
    "modes('fast')": "*unknown mode 'fast'*",
    "checks('shap')": "*unknown check 'shap': did you mean shape*",
    "tolerance(1e-3)": "*@pytest.mark.tolerance*",
    "tolerance(rtol=1e-3)": "*atol*",
    "tolerance(rtol=-1, atol=0)": "*numbers >= 0*",
    "known_failure()": "*reason*",
    "known_failure('x', chekc='batch')": "*chekc*",
    "known_failure('x', check='bacth')": "*unknown check 'bacth'*",
    "unsupported('')": "*needs a reason*",
    "unsupported('x', dtype='f99')": "*unknown dtype 'f99'*",
}

CASES = {
    "layer('a b', nn.ReLU)": "*case name 'a b'*",
    "layer('größe', nn.ReLU)": "*case name 'größe'*",
    "layer('../x', nn.ReLU, 3)": "*case name '../x'*",
    "layer('x', nn.ReLU, Tensor('N'), output=('M',))": "*case 'x': output= uses the symbol 'M'*",
    "layer('x', nn.ReLU, Tensor('N'), sizes={'M': 3})": "*case 'x': sizes= names 'M'*",
    "layer('x', nn.ReLU, Tensor('N'), sizes={'N': -3})": "*a size is an int >= 0, got -3*",
    "layer('x', nn.ReLU, Tensor(-1))": "*size -1 is negative*",
    "layer('x', nn.ReLU, Tensor(2.5))": "*a size is an int or a symbol*",
    "layer('x', nn.ReLU, Tensor(2, dtype='flaot'))": "*unknown dtype 'flaot'*",
    "layer('x', nn.ReLU, Tensor(2, dtype='floating'))": "*is a group, give one*",
    "layer('x', nn.ReLU, Tensor(2, dtype='int64', requires_grad=True))": "*int64 has no gradient*",
    "layer('x', nn.ReLU, Tensor(2, low=3, high=1))": "*low=3 is not below high=1*",
    "layer('x', nn.ReLU, Tensor(2, fill=1, low=1))": "*either fill or low and high*",
    "layer('x', nn.ReLU, Tensor(2), otuput=(2,))": "*case 'x': *otuput*",
    "layer('x', nn.ReLU, Tensor(2), dtypes=['f33'])": "*case 'x': unknown dtype 'f33'*",
    "layer('x', nn.ReLU, Tensor(2), batch=3)": "*batch= names argument 3*",
    "layer('x', nn.ReLU, Tensor(2), properties=[3])": "*properties= must be a function, got 3*",
    "layer('x', nn.ReLU, Tensor(2), reference=3)": "*reference= must be a function*",
    "layer('x', nn.Linear, Tensor(2))": "*case 'x': factory: it is called as Linear(), but it is Linear(in_features*",
    "layer('x', nn.ReLU, Tensor(2), reference=lambda x: x)": "*case 'x': reference: *(module, input0)*too many*",
    "layer('x', nn.ReLU, Tensor(2), properties=lambda m: True)": "*case 'x': properties: *(module, input0)*",
    "layer('x', nn.ReLU, Tensor(2), prepare=lambda: None)": "*case 'x': prepare: *(module)*too many*",
    "layer('x', nn.ReLU, samples=lambda device: [])": "*case 'x': samples: *(device, dtype, generator)*",
    "op('x', lambda a, b: a, Tensor(2))": "*case 'x': function: *(input0)*missing a required argument: 'b'*",
    "layer('x', nn.ReLU, Tensor(2), samples=lambda d, t, g: [])": "*either inputs or samples*",
    "layer('x', nn.ReLU, Tensor(2), known_failure={'batch': ''})": "*needs a reason*",
    "layer('x', nn.ReLU, Tensor(2), known_failure={'bacth': 'why'})": "*unknown check 'bacth'*",
    "layer('x', nn.ReLU, Tensor(2), skip=3)": "*an exception is a reason*",
    "layer('x', nn.ReLU, Tensor(2), tolerance={'rtol': 1})": "*tolerance= needs rtol and atol*",
    "op('x', nn.ReLU, Tensor(2))": "*op() takes a function*",
    "layer('x', nn.ReLU, Tensor(2), devices=['cdua'])": "*unknown device 'cdua'*",
    "layer('x', nn.ReLU, (Tensor(2), Tensor(2)))": "*a Tensor inside a tuple*use samples=*",
    "layer('x', nn.ReLU, Tensor('N'), sizes={'N': ()})": "*is empty: it would test nothing*",
    "layer('x', nn.ReLU, Tensor(2), skip=Declared('why', dtype='low-precision'))": "*is a group*",
    "layer('x', lambda: nn.Conv2d(3, 4, 1, groups=2), Tensor(2))": "*case 'x': its factory raised ValueError*",
    "layer('x', 3, Tensor(2))": "*takes something to call*",
    "layer('x', lambda: 3, Tensor(2))": "*case 'x': the factory must return a torch.nn.Module*int*",
    "layer('x', lambda: nn.Linear('a', 2), Tensor(2))": "*case 'x': its factory raised TypeError*",
}


def collection_errors(run: Run, pytester: pytest.Pytester, sources: list[str]) -> list[str]:
    """The error of each test file, all collected in one run."""
    for index, source in enumerate(sources):
        pytester.makepyfile(**{f"test_{index:03}": f"from cases import *\n{source}\n"})
    result = run()
    assert result.ret == pytest.ExitCode.INTERRUPTED, result.stdout.str()
    sections = re.split(r"_+ ERROR collecting test_(\d+)\.py _+", result.stdout.str().split("short test summary")[0])
    found = dict(zip(map(int, sections[1::2]), sections[2::2], strict=True))
    return [found.get(index, "no error") for index in range(len(sources))]


def test_a_wrong_marker_is_a_collection_error(run: Run, pytester: pytest.Pytester) -> None:
    def source(marker: str) -> str:
        cases = "" if marker.startswith("cases") else "@pytest.mark.cases([LINEAR])\n"
        return f"@pytest.mark.{marker}\n{cases}def test_correct(check):\n    check()"

    found = collection_errors(run, pytester, [source(marker) for marker in MARKERS])
    for (marker, says), error in zip(MARKERS.items(), found, strict=True):
        assert fnmatch(error, says), (marker, error)
        assert "Traceback" not in error


def test_a_wrong_case_is_a_collection_error_that_names_it(run: Run, pytester: pytest.Pytester) -> None:
    sources = [f"@pytest.mark.cases([{case}])\ndef test_correct(check):\n    check()" for case in CASES]
    for (case, says), error in zip(CASES.items(), collection_errors(run, pytester, sources), strict=True):
        assert fnmatch(error, says), (case, error)


def test_a_fixture_without_cases_is_a_collection_error(run: Run, pytester: pytest.Pytester) -> None:
    wrong = ["check", "measure", "case", "check, measure"]
    *alone, both = collection_errors(run, pytester, [f"def test_it({names}):\n    pass" for names in wrong])
    for error in alone:
        assert fnmatch(error, "*needs @pytest.mark.cases*"), error
    assert fnmatch(both, "*either check or measure*")


def test_samples_of_the_wrong_form_are_an_error_of_the_case(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from cases import *

        CASE = layer("x", nn.ReLU, samples=lambda device, dtype, generator: [torch.ones(2)])

        @pytest.mark.cases([CASE])
        @pytest.mark.checks("shape")
        def test_correct(check):
            check()
        """
    )
    result = run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*case 'x': samples() must return a list of tuples of arguments*"])
