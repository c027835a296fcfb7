"""The suite of torch.nn leaves no class out."""

from __future__ import annotations

import inspect

import torch
from torch import nn

from suites.torch_nn.test_torch_nn import CASES

#: Classes that need no case, and why.
NO_CASE = {
    "Module": "the base of all others",
    "Container": "deprecated alias of Module",
    "DataParallel": "runs another module on several devices, and does nothing on one",
    "NLLLoss2d": "deprecated alias of NLLLoss",
    "RNNBase": "the base of RNN, LSTM and GRU",
    "RNNCellBase": "the base of RNNCell, LSTMCell and GRUCell",
}


def classes_of(namespace: object) -> set[str]:
    found = inspect.getmembers(namespace, inspect.isclass)
    return {name for name, cls in found if issubclass(cls, nn.Module)}


def exercised() -> set[str]:
    """The classes of torch.nn that some case builds; a lazy one is another class once it has run."""
    found: set[str] = set()
    for case in CASES:
        torch.manual_seed(0)
        for module in case.target().modules():
            found |= {cls.__name__ for cls in type(module).__mro__}
    return found


def missing(names: set[str]) -> set[str]:
    return names - exercised() - set(NO_CASE)


def test_every_class_of_torch_nn_has_a_case() -> None:
    assert missing(classes_of(nn)) == set()


def test_a_new_class_is_missed() -> None:
    assert missing(classes_of(nn) | {"BrandNewLayer"}) == {"BrandNewLayer"}


def test_nothing_is_excused_that_has_a_case_of_its_own() -> None:
    built = {type(module).__name__ for case in CASES for module in case.target().modules()}
    assert built & set(NO_CASE) == set()
    assert set(NO_CASE) <= classes_of(nn)
