"""How checks judge what they have compared, at their limits: results and gradients, declarations, derivatives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_torchbasics import Declared, Tensor, layer, op
from pytest_torchbasics.checks import CheckError
from pytest_torchbasics.checks.outcome import Outcome, Status, failed, not_applicable, passed
from pytest_torchbasics.checks.running import run_check
from pytest_torchbasics.checks.second_gradient import _wrong
from pytest_torchbasics.checks.support.derivatives import (
    COARSE,
    FINE,
    Steps,
    difference_quotient,
    is_unbounded,
    steps_for,
)
from pytest_torchbasics.checks.support.results import Differences, Results
from pytest_torchbasics.numerics.trees import Leaf
from pytest_torchbasics.trials import Trial

NAN = float("nan")


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def results(*outputs: torch.Tensor, **gradients: torch.Tensor | None) -> Results:
    return Results([Leaf(f"[{number}]", output) for number, output in enumerate(outputs)], dict(gradients))


def bounds(outputs: list[torch.Tensor] | None = None, **gradients: torch.Tensor) -> Any:
    return SimpleNamespace(outputs=outputs, gradients=gradients)


def compared(actual: Results, expected: Results, allowed: Any = None) -> Outcome:
    differences = Differences()
    same = differences.add("twice", actual, expected, allowed, "a hint")
    assert same is not differences.failed
    outcome = differences.outcome()
    assert (outcome.status is Status.FAILED) is differences.failed
    assert outcome.hint == ("a hint" if differences.failed else "")
    return outcome


def test_equal_results_pass_and_nothing_at_all_does_not() -> None:
    assert compared(results(doubles(1.0), g=doubles(2.0)), results(doubles(1.0), g=doubles(2.0))) == passed(0.0, 0.0)
    assert compared(results(), results()) == not_applicable("nothing was compared")


def test_an_error_within_the_bound_passes_and_one_beyond_it_fails() -> None:
    for error, status in ((0.5, Status.PASSED), (0.625, Status.FAILED)):
        outcome = compared(results(doubles(8 + error)), results(doubles(8.0)), bounds([doubles(0.5)]))
        assert (outcome.status, outcome.error, outcome.share) == (status, error, error / 0.5)
        outcome = compared(results(g=doubles(8 + error)), results(g=doubles(8.0)), bounds(g=doubles(0.5)))
        assert (outcome.status, outcome.error, outcome.share) == (status, error, error / 0.5)
        assert outcome.message.startswith("gradient by g twice: 1 of 1" if status is Status.FAILED else "")


def test_without_a_bound_the_rounding_of_the_results_is_allowed() -> None:
    for allowed in (None, bounds(None), bounds([doubles(0.5, 0.5)])):
        for error, status in ((1e-15, Status.PASSED), (1e-9, Status.FAILED)):
            assert compared(results(doubles(1 + error)), results(doubles(1.0)), allowed).status is status
            assert compared(results(g=doubles(1 + error)), results(g=doubles(1.0)), allowed).status is status


def test_wrong_outputs_are_told_before_wrong_gradients() -> None:
    outcome = compared(results(doubles(9.0), g=doubles(99.0)), results(doubles(1.0), g=doubles(1.0)))
    assert outcome.message.startswith("output[0] twice: 1 of 1")
    outcome = compared(results(doubles(1.0), doubles(9.0)), results(doubles(1.0), doubles(1.0)))
    assert outcome.message.startswith("output[1] twice")
    within = bounds([doubles(0.5)], g=doubles(0.5))
    worst = compared(results(doubles(8.25), g=doubles(8.5)), results(doubles(8.0), g=doubles(8.0)), within)
    assert worst == passed(0.5, 1.0)


def test_another_number_of_tensors_or_another_shape_is_a_failure() -> None:
    one = doubles(1.0)
    assert compared(results(one, one), results(one)).message == "it returns 2 tensors twice, without 1"
    assert compared(results(), results(one)).message == "it returns 0 tensors twice, without 1"
    outcome = compared(results(one, doubles(1.0, 2.0)), results(one, one))
    assert outcome.message == "output[1] twice has shape (2,) instead of (1,)"


@pytest.mark.parametrize("zero", [None, doubles(0.0, 0.0)])
def test_a_gradient_that_is_missing_or_not_zero_where_it_was_is_a_failure(zero: torch.Tensor | None) -> None:
    one = doubles(0.0, 1.0)
    if zero is None:
        assert compared(results(), results(g=one)).message == (
            "gradient by g twice is missing, which it is otherwise not"
        )
        assert compared(results(g=one), results(g=None)).message == (
            "gradient by g twice is not zero, which it is otherwise not"
        )
        assert compared(results(g=None), results(g=None)).status is Status.NOT_APPLICABLE
    else:
        assert compared(results(g=None), results(g=zero)).status is Status.NOT_APPLICABLE
        assert compared(results(g=zero), results(g=None)).status is Status.NOT_APPLICABLE
    later = compared(results(f=None, g=doubles(9.0)), results(f=None, g=doubles(1.0)))
    assert later.message.startswith("gradient by g twice: 1 of 1")


def test_what_cannot_be_judged_is_told_and_never_passes() -> None:
    assert (
        compared(results(doubles(NAN)), results(doubles(NAN))).message
        == "the output[0] is NaN, which `reference` judges"
    )
    wide = compared(results(doubles(2.0)), results(doubles(1.0)), bounds([doubles(1.0)]))
    assert wide == not_applicable("rounding may change the output[0] by its own size")
    assert compared(results(doubles(1.0)), results(doubles(1.0)), bounds([doubles(1.0)])) == passed(0.0, 0.0)
    assert compared(results(doubles(NAN)), results(doubles(1.0))).status is Status.FAILED
    half = compared(results(doubles(1.0), doubles(NAN)), results(doubles(1.0), doubles(NAN)))
    assert half == passed(0.0, 0.0)


def test_integers_must_be_equal_and_another_dtype_takes_a_bound() -> None:
    ones, twos = torch.tensor([1]), torch.tensor([2])
    assert compared(results(twos), results(ones), bounds([doubles(9.0)])).status is Status.FAILED
    assert compared(results(ones), results(ones)).status is Status.PASSED
    assert compared(results(torch.tensor([1.0])), results(doubles(1.0)), bounds([doubles(1.0)])).message == (
        "rounding may change the output[0] by its own size"
    )
    sparse = torch.eye(2).to_sparse()
    assert compared(results(sparse), results(torch.eye(2))).status is Status.PASSED


def test_the_worst_of_several_comparisons_decides_and_keeps_its_hint() -> None:
    differences = Differences()
    limit = bounds([doubles(0.5)])
    for what, error, hint in (("first", 0.25, "one"), ("second", 1.0, "two"), ("third", 0.75, "three")):
        differences.add(what, results(doubles(8 + error)), results(doubles(8.0)), limit, hint)
    outcome = differences.outcome()
    assert (outcome.status, outcome.share, outcome.hint) == (Status.FAILED, 2.0, "two")
    assert outcome.message.startswith("output[0] second:")


# Declarations

PLAIN = op("plain", lambda x: 2 * x, Tensor(3))
ERROR = Outcome(Status.ERROR, "NameError: x", exception=NameError("x"))
ANSWERS = [passed(0.1, 0.2), failed("wrong", "why"), not_applicable("none"), ERROR, Outcome(Status.UNSUPPORTED, "no")]


def declared(kind: str, reason: str = "known", **where: str) -> dict[str, list[Declared]]:
    return {kind: [Declared(reason, **where)]}


def judged(monkeypatch: pytest.MonkeyPatch, answer: Outcome, **more: Any) -> Outcome:
    """What a check that gives this answer comes to."""
    monkeypatch.setattr("pytest_torchbasics.checks.running._run", lambda *_: answer)
    outcome = run_check(Trial(PLAIN, "cpu", "float32"), "shape", **more)
    assert outcome.check == "shape"
    return outcome


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.status.value)
def test_without_a_declaration_the_answer_stands(monkeypatch: pytest.MonkeyPatch, answer: Outcome) -> None:
    elsewhere = declared("known_failure", check="gradient") | declared("skip", device="cuda")
    for more in ({}, elsewhere, declared("unsupported", dtype="bfloat16")):
        outcome = judged(monkeypatch, answer, **more)
        assert (outcome.status, outcome.message, outcome.hint) == (answer.status, answer.message, answer.hint)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.status.value)
def test_a_known_failure_must_fail_and_excuses_no_error(monkeypatch: pytest.MonkeyPatch, answer: Outcome) -> None:
    outcome = judged(monkeypatch, answer, **declared("known_failure"))
    turned = {Status.PASSED: Status.XPASSED, Status.FAILED: Status.XFAILED}
    assert outcome.status is turned.get(answer.status, answer.status)
    if answer.status is Status.FAILED:
        assert (outcome.message, outcome.hint) == ("known (wrong)", "")
    elif answer.status is Status.PASSED:
        assert outcome.message == "passes, though it is declared as a known failure (known)"
        assert outcome.hint == "it is fixed, or the check no longer sees it: remove the declaration"
    else:
        assert outcome.message == answer.message


@pytest.mark.parametrize("name", ["check", "device", "dtype"])
def test_a_declaration_holds_where_all_that_it_names_fits(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    here = {"check": "shape", "device": "cpu", "dtype": "float32"}
    elsewhere = {"check": "gradient", "device": "cuda", "dtype": "bfloat16"}
    for where, status in (
        ({name: here[name]}, "skipped"),
        (here, "skipped"),
        (here | {name: elsewhere[name]}, "passed"),
    ):
        assert judged(monkeypatch, passed(), **declared("skip", **where)).status.value == status


def test_what_is_declared_to_be_skipped_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    more = declared("skip") | declared("known_failure", "other") | declared("unsupported", "other")
    outcome = judged(monkeypatch, passed(), **more)
    assert (outcome.status, outcome.message) == (Status.SKIPPED, "known")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotImplementedError("add"), Status.UNSUPPORTED),
        (RuntimeError('"add" not implemented for Half\nmore'), Status.UNSUPPORTED),
        (RuntimeError("BFloat16 is not supported"), Status.UNSUPPORTED),
        (RuntimeError("this backend doesn't support it"), Status.UNSUPPORTED),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Status.ERROR),
        (NameError("x"), Status.ERROR),
    ],
)
@pytest.mark.parametrize("check", [None, "shape"])
def test_what_is_declared_as_unsupported_must_be_refused_by_torch_itself(
    error: Exception, status: Status, check: str | None
) -> None:
    def refuses(x: torch.Tensor) -> torch.Tensor:
        raise error

    case = op("refuses", refuses, Tensor(3))
    outcome = run_check(Trial(case, "cpu", "float32"), "shape", unsupported=[Declared("known", check=check)])
    assert (outcome.status, outcome.check) == (status, "shape")
    first = str(error).split("\n")[0]
    told = (
        f"known ({type(error).__name__}: {first})"
        if status is Status.UNSUPPORTED
        else f"{type(error).__name__}: {error}"
    )
    assert outcome.message == told


def test_what_runs_though_it_is_declared_as_unsupported_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "runs, though it is declared as unsupported (known)"
    assert run_check(Trial(PLAIN, "cpu", "float32"), "shape", **declared("unsupported")).message == said
    for answer in ANSWERS:
        outcome = judged(monkeypatch, answer, **declared("unsupported", check="shape"))
        if answer.status in (Status.PASSED, Status.NOT_APPLICABLE):
            assert (outcome.status, outcome.message) == (Status.XPASSED, said)
            assert outcome.hint == "it is supported now: remove the declaration"
        else:
            assert (outcome.status, outcome.message) == (answer.status, answer.message)


@pytest.mark.parametrize("training", [True, False])
def test_what_one_mode_refuses_is_refused(training: bool) -> None:
    class Refuses(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training == training:
                raise NotImplementedError("training")
            return x

    case = layer("refuses", Refuses, Tensor(3))
    assert run_check(Trial(case, "cpu", "float32"), "shape", **declared("unsupported")).status is Status.UNSUPPORTED


@pytest.mark.parametrize("kind", ["skip", "known_failure", "unsupported"])
def test_a_declaration_for_a_check_that_there_is_not_is_refused(kind: str) -> None:
    with pytest.raises(CheckError, match="unknown check 'shap'"):
        run_check(Trial(PLAIN, "cpu", "float32"), "shape", **declared(kind, check="shap"))


# What a check leaves behind, and what it raises


@pytest.mark.parametrize("answer", ANSWERS[:4], ids=lambda answer: answer.status.value)
def test_a_check_that_leaves_something_global_changed_has_failed(
    monkeypatch: pytest.MonkeyPatch, answer: Outcome
) -> None:
    def changing(trial: Trial) -> Outcome:
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return answer

    monkeypatch.setattr("pytest_torchbasics.checks.running.find", lambda _: changing)
    outcome = run_check(Trial(PLAIN, "cpu", "float32"), "shape")
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    changed = (
        "it changes what is global, and leaves it so: the default dtype (torch.float64, before torch.float32), "
        "grad mode (False, before True)"
    )
    if answer.status in (Status.FAILED, Status.ERROR):
        assert (outcome.status, outcome.hint) == (answer.status, answer.hint)
        assert outcome.message == f"{answer.message}; and {changed}"
    else:
        assert (outcome.status, outcome.message) == (Status.FAILED, changed)
        assert outcome.hint == (
            "whatever runs next computes something else: use the context manager of that setting, a "
            "torch.Generator, and torch.random.fork_rng around a seed"
        )


def test_what_a_device_does_not_support_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    class Backend:
        def supports(self, dtype: torch.dtype) -> str:
            asked.append(dtype)
            return "no such dtype there"

    monkeypatch.setattr("pytest_torchbasics.checks.running.backend_for", lambda _: Backend())
    outcome = run_check(Trial(PLAIN, "cpu", "float32"), "shape")
    assert (outcome.status, outcome.message, asked) == (Status.UNSUPPORTED, "no such dtype there", [torch.float32])


def raised(monkeypatch: pytest.MonkeyPatch, error: Exception, case: Any = PLAIN) -> Outcome:
    def raises(trial: Trial) -> Outcome:
        raise error

    monkeypatch.setattr("pytest_torchbasics.checks.running.find", lambda _: raises)
    return run_check(Trial(case, "cpu", "float32"), "shape")


ELSE = "the layer, its factory, its reference or its samples raised this; the traceback shows where"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ValueError("x"), ELSE),
        (RuntimeError("backward through the graph a second time"), "something that is kept from an earlier call still"),
        (RuntimeError("expected scalar type Float"), "a tensor that .to(dtype) does not move"),
    ],
)
def test_what_a_check_raises_is_an_error_with_its_usual_cause(
    monkeypatch: pytest.MonkeyPatch, error: Exception, hint: str
) -> None:
    outcome = raised(monkeypatch, error)
    assert (outcome.status, outcome.message) == (Status.ERROR, f"{type(error).__name__}: {error}")
    assert outcome.exception is error
    assert outcome.hint.startswith(hint)
    assert outcome.hint == ELSE or hint != ELSE


def test_an_error_tells_the_sizes_it_was_met_with(monkeypatch: pytest.MonkeyPatch) -> None:
    case = op("sized", lambda x: x, Tensor("N", "M"), sizes={"N": [2, 3], "M": [4]})
    outcome = raised(monkeypatch, ValueError("x"), case)
    assert outcome.hint == f"{ELSE} (symbols: N=2, M=4; N=3, M=4; other sizes by sizes=)"


@pytest.mark.parametrize("every", [2, 4])
def test_a_result_of_another_structure_in_a_later_call_explains_an_error(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    calls: list[int] = []

    def growing(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(1)
        return (x, x[:2]) if len(calls) % every == 0 else (x,)

    outcome = raised(monkeypatch, ValueError("x"), op("growing", growing, Tensor(3)))
    assert (outcome.status, outcome.message) == (
        Status.FAILED,
        "the same inputs give results of another structure from call to call: shapes [(3,)], then [(3,), (2,)]",
    )
    assert outcome.hint == "something is remembered between calls: a counter, a cache, a flag of the first call"

    class Trained(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> Any:
            return growing(x) if self.training else x

    assert raised(monkeypatch, ValueError("x"), layer("trained", Trained, Tensor(3))).status is Status.FAILED


# Derivatives


@pytest.mark.parametrize(
    ("values", "unbounded"),
    [
        ([-2.0, 0.5], True),
        ([-0.5, 2.0], True),
        ([-0.5, 1.0], False),
        ([-1.0, 0.5], False),
        ([0.0, 2.0], False),
        ([0.1, 2.0], False),
        ([-2.0, 0.0], False),
        ([-2.0, -0.1], False),
        ([], False),
        ([0.5 - 2j], True),
        ([0.5 + 2j], False),
    ],
)
def test_values_are_unbounded_if_they_have_both_signs_and_go_beyond_1(values: list[Any], unbounded: bool) -> None:
    assert is_unbounded(torch.tensor(values)) is unbounded


def test_a_difference_quotient_is_central_and_of_the_weighted_outputs_along_the_direction() -> None:
    """Of a square it is exact whatever the step, of a cube off by the square of the step."""
    values = {"x": doubles(1.0, 3.0).requires_grad_(), "y": doubles(2.0).requires_grad_()}
    direction, weights = doubles(1.0, -2.0), [doubles(1.0, 10.0), doubles(100.0)]

    def square(given: Any) -> list[torch.Tensor]:
        return [given["x"] ** 2 * given["y"], given["y"] * 5]

    for step in (0.5, 0.25):
        assert difference_quotient(square, values, "x", direction, weights, step) == 2 * (2 * 1 - 10 * 2 * 3 * 2)
        assert difference_quotient(square, values, "y", doubles(1.0), weights, step) == 1 + 90 + 500
        cube = difference_quotient(lambda given: [given["x"] ** 3], values, "x", direction, weights[:1], step)
        assert cube == 3 - 10 * 3 * 9 * 2 + step**2 * (1 - 10 * 8)
    complex_ = {"z": torch.tensor([1 + 2j], dtype=torch.complex128)}
    along = torch.tensor([1j], dtype=torch.complex128)
    found = difference_quotient(lambda given: [3 * given["z"]], complex_, "z", along, [torch.tensor([2 + 5j])], 0.5)
    assert found == 15.0  # the real part of conj(3i) (2 + 5i)


@pytest.mark.parametrize(
    ("function", "steps"),
    [
        (lambda given: [given["x"] ** 2], FINE),
        (lambda given: [given["x"].float() ** 2], COARSE),
        (lambda given: [given["x"].float() ** 2 + given["y"].sum()], COARSE),
        (lambda given: [given["x"].round() + given["y"].sum() ** 2], FINE),
        (lambda given: [given["y"].sum() ** 2], FINE),
        (lambda given: [1e-9 * given["x"].float()], FINE),
    ],
)
def test_steps_are_coarse_where_the_function_rounds_a_small_change_away(function: Any, steps: Steps) -> None:
    values = {"empty": doubles().requires_grad_(), "y": doubles(3.0).requires_grad_()}
    values["x"] = doubles(1.5, -0.7).requires_grad_()
    trial = Trial(PLAIN, "cpu", "float64")
    assert steps_for(trial, lambda given: [o + 0 * given["empty"].sum() for o in function(given)], values) is steps


@pytest.mark.parametrize(
    ("analytic", "first", "second", "wrong"),
    [
        (1.0, 1.0, 1.0, False),
        (1.25, 1.0, 1.0, False),
        (0.75, 1.0, 1.0, False),
        (1.26, 1.0, 1.0, True),
        (0.74, 1.0, 1.0, True),
        (1.26, 1.0, 1.01, False),
        (1.3, 1.0, 1.26, False),
        (2.0, 1.0, 1.25, True),
        (2.0, 1.0, 1.26, False),
        (-1.26, -1.0, -1.0, True),
        (-1.25, -1.0, -1.0, False),
        (NAN, 1.0, 1.0, True),
        (1.0, NAN, NAN, False),
        (NAN, NAN, 1.0, False),
    ],
)
def test_a_second_derivative_is_wrong_where_both_steps_agree_that_it_is(
    analytic: float, first: float, second: float, wrong: bool
) -> None:
    """Allowed is 0.125 and a sixteenth of the value and of the root mean square, here 0.25 together."""
    steps = Steps((1.0, 1.0), 0.0625, 0.125)
    assert _wrong(doubles(analytic), doubles(first), doubles(second), steps).tolist() == [wrong]


def test_the_size_of_the_whole_gradient_enters_what_a_second_derivative_may_be_off_by() -> None:
    steps = Steps((1.0, 1.0), 0.5, 0.0)
    numeric = doubles(0.0, 4.0, 0.0, 0.0)  # a root mean square of 2
    assert _wrong(doubles(0.9, 4.0, -0.9, 0.0), numeric, numeric, steps).tolist() == [False] * 4
    assert _wrong(doubles(1.1, 7.1, -1.1, 0.0), numeric, numeric, steps).tolist() == [True, True, True, False]


class Cube(torch.autograd.Function):
    """The cube of its input, of which one derivative is off by a share: backward's, forward mode's or the second."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, share: dict[str, float]) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        ctx.share = share
        return x**3

    @staticmethod
    def backward(ctx: Any, sent: torch.Tensor) -> tuple[torch.Tensor, None]:
        (x,) = ctx.saved_tensors
        factor = 1 + ctx.share.get("second_gradient", 0)
        x = x * factor - (x * (factor - 1)).detach()
        return 3 * x**2 * sent * (1 + ctx.share.get("gradient", 0)), None

    @staticmethod
    def jvp(ctx: Any, tangent: torch.Tensor, _: None) -> torch.Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * tangent * (1 + ctx.share.get("forward_gradient", 0))


@pytest.mark.parametrize(
    ("check", "allowed", "beyond", "says"),
    [
        ("gradient", 2e-4, 0.01, "the gradient by input[0] is wrong: "),
        ("second_gradient", 2e-4, 0.01, "the second derivative by input[0] is wrong: "),
        ("forward_gradient", 1e-7, 1e-3, "the forward-mode derivative by input[0] along a random direction is"),
    ],
)
@pytest.mark.parametrize("size", [4, 200])
def test_a_derivative_that_is_off_by_more_than_its_limit_is_found(
    check: str, allowed: float, beyond: float, says: str, size: int
) -> None:
    """Of few elements each is tried, of many random directions are."""
    for share in (0.0, allowed, -allowed, beyond, -beyond):
        case = op(f"off-by-{share}", lambda x, share=share: Cube.apply(x, {check: share}), Tensor(size))
        outcome = run_check(Trial(case, "cpu", "float64"), check)
        assert outcome.status is (Status.FAILED if abs(share) == beyond else Status.PASSED), share
        assert says in outcome.message or outcome.status is Status.PASSED


def test_a_second_derivative_that_is_nan_is_found() -> None:
    """Of a root of zero that is multiplied by zero: the gradient is right, and has no derivative."""

    class Rooted(Cube):
        @staticmethod
        def backward(ctx: Any, sent: torch.Tensor) -> tuple[torch.Tensor, None]:
            (x,) = ctx.saved_tensors
            return 3 * x**2 * sent + 0 * (x - x.detach()).abs().sqrt(), None

    case = op("rooted", lambda x: Rooted.apply(x, {}), Tensor(3))
    assert run_check(Trial(case, "cpu", "float64"), "gradient").status is Status.PASSED
    outcome = run_check(Trial(case, "cpu", "float64"), "second_gradient")
    assert outcome.status is Status.FAILED
    assert "the second derivative by input[0] is wrong: 3 of 3 elements" in outcome.message
