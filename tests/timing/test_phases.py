"""What each phase runs: fresh graphs, dense gradients, all leaves; and when it does not apply."""

from __future__ import annotations

import itertools
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from pytest_torchbasics.timing import PHASES, DoesNotApply, Workload, measure, run_once
from pytest_torchbasics.timing.phases import Work

COUNT = itertools.count()
Pair = namedtuple("Pair", "first second")


@dataclass
class Output:
    logits: torch.Tensor
    indices: torch.Tensor


def once(work: Work):
    return work.call() if work.prepare is None else work.call(work.prepare())


def workload_of(call, *inputs, parameters=()):
    leaves = [t for t in inputs if isinstance(t, torch.Tensor) and t.requires_grad]
    return Workload(call, inputs, (*leaves, *parameters))


@pytest.fixture
def linear():
    """A linear layer that counts its calls."""
    module = nn.Linear(4, 2)
    calls = []

    def call(x):
        calls.append(x)
        return module(x)

    workload = workload_of(call, torch.randn(3, 4, requires_grad=True), parameters=tuple(module.parameters()))
    return workload, calls


@pytest.mark.parametrize("phase", ["backward", "forward_backward"])
def test_gradients_are_of_inputs_and_parameters(linear, phase):
    workload, _ = linear
    gradients = once(PHASES[phase].work(workload, 0))
    assert [tuple(gradient.shape) for gradient in gradients] == [(3, 4), (2, 4), (2,)]
    assert all(leaf.grad is None for leaf in workload.leaves)


def test_every_backward_has_a_fresh_graph(linear):
    workload, calls = linear
    work = PHASES["backward"].work(workload, 0)
    before = len(calls)
    graphs = [work.prepare() for _ in range(5)]
    assert len(calls) - before == 5
    assert len({id(graph.grad_fn) for graph in graphs}) == 5
    for graph in graphs:
        work.call(graph)
    assert len(calls) - before == 5
    with pytest.raises(RuntimeError, match="second time"):
        work.call(graphs[0])


def test_forward_and_backward_is_one_window(linear):
    workload, calls = linear
    work = PHASES["forward_backward"].work(workload, 0)
    before = len(calls)
    assert work.prepare is None
    work.call()
    work.call()
    assert len(calls) - before == 2


def test_forward_runs_with_its_graph(linear):
    workload, calls = linear
    work = PHASES["forward"].work(workload, 0)
    assert calls == []
    assert once(work).requires_grad


def test_the_gradient_that_backward_begins_with_is_dense_and_seeded():
    seen = []

    class Look(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum().expand(3, 4)

        @staticmethod
        def backward(ctx, gradient):
            seen.append(gradient.clone(memory_format=torch.preserve_format))
            assert 0 not in gradient.stride()
            return gradient.sum().expand(2)

    workload = workload_of(Look.apply, torch.randn(2, requires_grad=True))
    for seed in (0, 0, 1):
        run_once(workload, "backward", seed=seed)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert seen[0].std() > 0


@pytest.mark.parametrize(
    "call",
    [
        lambda x: (x * 2, x.argmax()),
        lambda x: [x.detach(), x * 2],
        lambda x: {"logits": x * 2, "index": x.argmax(), "name": "none"},
        lambda x: {"deep": [(x * 2,), {"index": x.argmax()}]},
        lambda x: Pair(x.argmax(), x * 2),
        lambda x: Output(x * 2, x.argmax()),
        lambda x: (x * 2, None),
    ],
    ids=["tuple", "list", "dict", "nested", "namedtuple", "dataclass", "none"],
)
@pytest.mark.parametrize("phase", ["backward", "forward_backward"])
def test_the_differentiable_outputs_are_found_wherever_they_are(call, phase):
    (gradient,) = once(PHASES[phase].work(workload_of(call, torch.randn(3, requires_grad=True)), 0))
    assert gradient.shape == (3,)


def test_all_differentiable_outputs_count():
    workload = workload_of(lambda x: (x * 2, x * 3, x.argmax()), torch.randn(3, requires_grad=True))
    work = PHASES["backward"].work(workload, 0)
    assert len(work.prepare()) == 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.complex64])
def test_floating_and_complex_dtypes_have_a_backward(dtype):
    workload = workload_of(lambda x: x * x, torch.randn(3, dtype=dtype).requires_grad_())
    assert once(PHASES["backward"].work(workload, 0))[0].dtype == dtype


def test_an_output_that_is_its_input_has_a_backward():
    run_once(workload_of(nn.Identity(), torch.randn(3, requires_grad=True)), "backward")


def test_an_unused_leaf_is_allowed():
    spare = nn.Parameter(torch.randn(2))
    workload = workload_of(lambda x: x * 2, torch.randn(3, requires_grad=True), parameters=(spare,))
    assert once(PHASES["backward"].work(workload, 0))[1] is None


@pytest.mark.parametrize("phase", ["backward", "forward_backward"])
@pytest.mark.parametrize(
    ("workload", "reason"),
    [
        (workload_of(torch.add, torch.arange(3), torch.arange(3)), "nothing requires a gradient"),
        (workload_of(torch.argmax, torch.randn(3, requires_grad=True)), "no output has a gradient"),
        (workload_of(lambda x: x.tolist(), torch.randn(3, requires_grad=True)), "no tensor was found in .* a list"),
    ],
    ids=["integer inputs", "integer output", "no tensor"],
)
def test_a_phase_without_gradients_does_not_apply(phase, workload, reason):
    with pytest.raises(DoesNotApply, match=reason):
        run_once(workload, phase)
    run_once(workload, "forward")


@pytest.mark.parametrize("phase", PHASES)
def test_a_call_that_writes_to_its_input_gets_fresh_ones(phase):
    x = torch.randn(3, requires_grad=True)
    kept = x.detach().clone()
    workload = Workload(nn.ReLU(inplace=True), (x,), (x,), fresh_inputs=lambda: (x.clone(),))
    work = PHASES[phase].work(workload, 0)
    for _ in range(3):
        result = once(work)
    assert torch.equal(x, kept)
    assert phase == "forward" or result[0].shape == (3,)
    with pytest.raises(RuntimeError, match="leaf Variable"):
        run_once(Workload(nn.ReLU(inplace=True), (x,), (x,)), phase)


def test_the_memory_of_a_graph_is_counted_without_inputs_and_parameters():
    x = torch.randn(256, 1024, requires_grad=True)
    weight = nn.Parameter(torch.randn(1024, 1024))
    kept = PHASES["backward"].work(workload_of(lambda x: (x @ weight).exp().exp(), x, parameters=(weight,)), 0)
    # Two results of exp, and the gradient of the last.
    assert kept.bytes_each == 3 * x.nbytes


def test_a_call_that_refuses_hooks_on_saved_tensors_is_measured():
    def gradient_inside(x):
        return x * torch.func.grad(lambda y: (y**3).sum())(x)

    run_once(workload_of(gradient_inside, torch.randn(3, requires_grad=True)), "backward")


class Counting(nn.Module):
    """Updates in place a buffer that its graph keeps: the graph of an earlier call is spoilt by the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return x * self.calls


def test_where_a_call_spoils_the_graph_of_the_one_before_there_is_one_at_a_time():
    workload = workload_of(Counting(), torch.randn(3, 4, requires_grad=True))
    work = PHASES["backward"].work(workload, 0)
    assert work.within(2**30, 100) == 1
    graphs = [work.prepare() for _ in range(2)]
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        work.call(graphs[0])
    assert measure(workload, "backward", quality="quick").metrics[0].value > 0


@pytest.mark.parametrize("module", [nn.BatchNorm1d(4), nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))])
def test_what_is_updated_and_not_kept_leaves_graphs_apart(module):
    work = PHASES["backward"].work(workload_of(module, torch.randn(3, 4, requires_grad=True)), 0)
    assert work.within(2**30, 100) == 100


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("phase", ["backward", "forward_backward"])
@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda x: x.to_sparse(), "output is sparse_coo"),
        (lambda x: {"a": torch.nested.as_nested_tensor([x, x])}, r"output\['a'\] is nested"),
        (lambda x: object(), "no tensor was found in what it returned, a object"),
        (lambda x: checkpoint(torch.exp, x, use_reentrant=True), "refuses reentrant checkpoints: use_reentrant=False"),
        (lambda x: x[: 1 + next(COUNT) % 2], "the shapes of its outputs change"),
    ],
    ids=["sparse", "nested", "object", "reentrant", "shapes"],
)
def test_what_cannot_be_differentiated_so_is_told_in_words(phase, call, reason):
    workload = workload_of(call, torch.randn(3, 4, requires_grad=True))
    with pytest.raises(DoesNotApply, match=reason):
        measure(workload, phase, quality="quick")
