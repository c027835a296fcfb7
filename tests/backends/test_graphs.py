"""Calls as graphs, with a stand-in for the capture that holds torch.cuda.make_graphed_callables to its contract."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from pytest_torchbasics.backends import backend_for
from pytest_torchbasics.backends.fake import FakeBackend
from pytest_torchbasics.backends.graphs import graphed


@dataclass
class Output:
    value: torch.Tensor
    note: str


class Capture:
    """Replays into the samples' memory, as a graph does; gradients go to inputs and to the module's parameters."""

    def __call__(self, module, samples, allow_unused_input):
        assert isinstance(module, nn.Module)
        assert allow_unused_input
        assert all(isinstance(sample, torch.Tensor) and sample.is_leaf for sample in samples)
        self.samples = samples
        self.parameters = tuple(module.parameters())
        outputs = module(*samples)
        assert type(outputs) is tuple
        assert all(isinstance(output, torch.Tensor) for output in outputs)

        def replay(*values):
            self.copied = sum(new.data_ptr() != old.data_ptr() for new, old in zip(values, samples, strict=True))
            return module(*values)

        return replay


def test_nested_inputs_and_results_keep_their_structure():
    def call(pair, options, scale):
        return {"sum": Output(pair[0] + scale * options["x"], "kept"), "parts": [pair[1], 3]}

    x, y, z = (torch.full((2,), float(n)) for n in (1, 2, 3))
    run = graphed(call, ((x, y), {"x": z}, 10.0), Capture())
    result = run((x + 1, y + 1), {"x": z}, 10.0)
    assert result["sum"].note == "kept"
    assert result["sum"].value.tolist() == [32.0, 32.0]
    assert result["parts"][0].tolist() == [3.0, 3.0]
    assert result["parts"][1] == 3


def test_a_replay_copies_its_inputs_even_if_they_are_the_samples():
    capture = Capture()
    x = torch.ones(3)
    run = graphed(torch.sin, (x,), capture)
    run(x)
    assert capture.copied == 1


def test_samples_require_gradients_as_the_inputs_do():
    capture = Capture()
    inputs = (torch.ones(2, requires_grad=True) * 2, torch.ones(2), torch.ones(2, dtype=torch.int64))
    graphed(lambda x, y, i: x + y + i, inputs, capture)
    assert [sample.requires_grad for sample in capture.samples] == [True, False, False]


def wrapped(module):
    @functools.wraps(module)
    def call(x):
        return module(x)

    return call


@pytest.mark.parametrize("form", [lambda module: module, wrapped, lambda module: module.forward])
def test_gradients_reach_the_parameters_of_the_module_that_is_called(form):
    module, capture = nn.Linear(3, 2), Capture()
    x = torch.ones(4, 3, requires_grad=True)
    run = graphed(form(module), (x,), capture)
    assert {id(p) for p in capture.parameters} == {id(p) for p in module.parameters()}
    assert len(capture.parameters) == 2
    gradients = torch.autograd.grad(run(x).sum(), (x, *module.parameters()))
    assert [tuple(gradient.shape) for gradient in gradients] == [(4, 3), (2, 3), (2,)]


def test_kinds_without_graphs_say_so():
    for backend in (backend_for("cpu"), backend_for("mps"), FakeBackend()):
        assert not backend.has_graphs
        with pytest.raises(NotImplementedError, match="no graphs"):
            backend.graphed(torch.sin, (torch.ones(1),), backend.kind)


def test_cuda_captures_on_the_device(monkeypatch):
    capture, entered = Capture(), []

    class Device:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            entered.append(self.name)

        def __exit__(self, *_):
            entered.append("left")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    monkeypatch.setattr(torch.cuda, "device", Device)
    cuda = backend_for("cuda")
    assert cuda.has_graphs
    assert cuda.graphed(torch.neg, (torch.ones(2),), "cuda:1")(torch.ones(2)).tolist() == [-1.0, -1.0]
    assert entered == ["cuda:1", "left"]
