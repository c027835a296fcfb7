"""The check `state`."""

from __future__ import annotations

import copy
import io
import pickle
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..numerics.trees import Leaf, detached, first_difference, identical, kept, tensors
from ..trials import Arguments, Trial
from .outcome import Outcome, failed, not_applicable, passed
from .support.inputs import is_random
from .support.results import called

#: Another seed for a second instance, whose state then comes from the first.
OTHER_SEED = 1
#: What is added to the weights of a copy, to see whether the original moves along.
SHIFT = 0.37


def state(trial: Trial) -> Outcome:
    """Finds what state_dict, deepcopy and pickle lose, change or share: registration, hooks, ties, hidden state."""
    subject = trial.subject()
    if subject.module is None:
        return not_applicable("a function has no state")
    if trial.mode != "eager":
        return not_applicable("it looks at the module itself, which only eager mode runs")
    samples = [inputs for inputs in trial.samples() if tensors(inputs)]
    if not samples:
        return not_applicable("it takes no tensor")
    if any(is_random(subject, inputs) for inputs in samples):
        return not_applicable("its result is random in evaluation mode")
    if (outcome := _copied_in_training(trial, samples[0])) is not None:
        return outcome
    used = _used(trial, samples)
    steps: list[Callable[[], Outcome | None]] = [
        lambda: _shared_memory(trial),
        lambda: _state_dict(trial, used, samples),
        lambda: _deepcopy(trial, used, samples[0]),
        lambda: _pickle(trial, used, samples[0]),
    ]
    for step in steps:
        if (outcome := step()) is not None:
            return outcome
    return passed()


def _used(trial: Trial, samples: list[Arguments]) -> nn.Module:
    """A module after a training step and a call in evaluation mode, as one that is saved."""
    subject = trial.subject(training=True)
    module = subject.module
    assert module is not None
    for inputs in samples:
        called(trial, subject, subject, inputs)
    module.eval()
    for inputs in samples:
        _call(trial, module, inputs)
    return module


def _copied_in_training(trial: Trial, inputs: Arguments) -> Outcome | None:
    """An average of the weights (EMA, SWA) copies the module between two steps."""
    subject = trial.subject(training=True)
    called(trial, subject, subject, inputs)
    try:
        copy.deepcopy(subject.module)
    except Exception as error:
        return failed(
            f"it cannot be copied after a call: {type(error).__name__}: {str(error).strip().splitlines()[0]}",
            "a tensor with a graph is kept as an attribute: use a local variable, or .detach() it",
        )
    return None


def _call(trial: Trial, module: nn.Module, inputs: Arguments) -> list[Leaf]:
    with trial.seeded(), torch.no_grad():
        return kept(module(*detached(inputs)))


def _shared_memory(trial: Trial) -> Outcome | None:
    module = trial.fresh()
    owners = defaultdict(list)
    for name, parameter in module.named_parameters():
        if parameter.numel():
            owners[parameter.untyped_storage().data_ptr(), parameter.storage_offset()].append(name)
    for names in owners.values():
        if len(names) > 1:
            return failed(
                f"{' and '.join(names)} are different parameters that share memory",
                "tied through .data, they part at .to(), .cuda() or in an optimizer: assign the Parameter itself",
            )
    return None


def _state_dict(trial: Trial, used: nn.Module, samples: list[Arguments]) -> Outcome | None:
    """Two instances inside a larger model, saved to bytes, loaded into fresh ones from another seed."""
    saved = nn.ModuleList([used, _made(trial, None)])
    fresh = nn.ModuleList([_made(trial, seed) for seed in (OTHER_SEED, OTHER_SEED + 1)])
    fresh.eval()
    for module in fresh:
        for inputs in samples:
            _call(trial, module, inputs)  # what is cached at the first call must give way to what is loaded
    buffer = io.BytesIO()
    torch.save(saved.state_dict(), buffer)
    buffer.seek(0)
    try:
        loaded = torch.load(buffer, weights_only=True)
        fresh.load_state_dict(loaded)
    except Exception as error:
        return failed(
            f"its state_dict cannot be saved and loaded: {type(error).__name__}: {str(error).strip()[:300]}",
            "state_dict() holds something that weights_only refuses, or what it holds depends on the calls before",
        )
    for name, given in fresh.state_dict().items():
        if isinstance(given, torch.Tensor) and not identical(given, loaded[name]):
            return failed(f"{name.partition('.')[2]} is not what was loaded", "a load hook changes what it is given")
    for old, new in zip(saved, fresh, strict=True):
        for inputs in samples:
            wanted = _call(trial, old, inputs)
            if (what := first_difference(_call(trial, new, inputs), wanted)) is not None:
                return failed(
                    f"{what} differs in a fresh module that loaded the state_dict",
                    "something that the result depends on is not saved: a tensor that is neither Parameter nor "
                    "buffer, a module hidden in a list or a callable, a Python counter or flag",
                )
    return None


def _made(trial: Trial, seed: int | None) -> nn.Module:
    module = trial.subject(seed=seed).module
    assert module is not None
    return module


def _deepcopy(trial: Trial, used: nn.Module, inputs: Arguments) -> Outcome | None:
    copied = copy.deepcopy(used)
    before = _call(trial, used, inputs)
    if (name := first_difference(_call(trial, copied, inputs), before)) is not None:
        return failed(f"{name} of a deep copy differs", "__deepcopy__ or __getstate__ leaves something out")
    _shift(copied)
    moved = _call(trial, copied, inputs)
    if (name := first_difference(_call(trial, used, inputs), before)) is not None:
        return failed(
            f"{name} changes when the weights of a deep copy change",
            "the copy shares its tensors with the original: __deepcopy__ copies references",
        )
    _shift(used)
    if (name := first_difference(_call(trial, used, inputs), moved)) is not None:
        return failed(
            f"a deep copy does not use its own weights: {name} is not that of the original with the same weights",
            "a lambda, partial or bound method over self is kept as an attribute and still points to the original",
        )
    return None


def _shift(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(SHIFT)


def _pickle(trial: Trial, used: nn.Module, inputs: Arguments) -> Outcome | None:
    try:
        restored = pickle.loads(pickle.dumps(used))  # noqa: S301, made in the line itself
    except Exception as error:
        text = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
        if any(_is_local(type(child)) for child in used.modules()) or "type variable" in text:
            return None  # a class inside a function or a script cannot be pickled by anybody
        return failed(
            f"it cannot be pickled: {text}",
            "a lambda, a local function, a generator or an open file is kept as an attribute",
        )
    if (name := first_difference(_call(trial, restored, inputs), _call(trial, used, inputs))) is not None:
        return failed(f"{name} differs after pickling", "__getstate__ or __setstate__ leaves something out")
    return None


def _is_local(cls: type) -> bool:
    """True for a class that pickle cannot find by its name."""
    import sys

    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is not cls
