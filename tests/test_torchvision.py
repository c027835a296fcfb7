"""The suite of torchvision leaves no operator, no transform of images and no family of models out."""

from __future__ import annotations

import functools
import inspect
import sys
from types import FrameType

import pytest
import torch
from torch import nn
from torchvision import models, ops
from torchvision.transforms import v2

from pytest_torchbasics.trials import Trial
from suites.torchvision.test_torchvision import CASES

#: What needs no case, and why.
NO_CASE = {
    "Transform": "the base of all others",
    "PILToTensor": "takes images of another library",
    "ToPILImage": "returns images of another library",
    "ToTensor": "takes images of other libraries",
    "RandomIoUCrop": "takes an image with its bounding boxes, as tv_tensors",
    "ConvertBoundingBoxFormat": "takes bounding boxes, as tv_tensors",
    "ClampBoundingBoxes": "takes bounding boxes, as tv_tensors",
    "SetClampingMode": "takes bounding boxes, as tv_tensors",
    "SanitizeBoundingBoxes": "takes bounding boxes and labels, as tv_tensors",
    "ClampKeyPoints": "takes key points, as tv_tensors",
    "SanitizeKeyPoints": "takes key points and labels, as tv_tensors",
}

pytestmark = pytest.mark.filterwarnings("ignore:The image decoding and encoding capabilities:DeprecationWarning")


def operators() -> set[str]:
    return set(ops.__all__)


def transforms() -> set[str]:
    found = inspect.getmembers(v2, inspect.isclass)
    return {name for name, cls in found if issubclass(cls, nn.Module)}


def families() -> set[str]:
    """The modules whose functions build classification models."""
    builders = [models.get_model_builder(name) for name in models.list_models(module=models)]
    return {builder.__module__ for builder in builders}


@functools.cache
def exercised() -> frozenset[str]:
    """The classes that some case builds, the modules of these, and the functions that some case calls itself."""
    found: set[str] = set()
    for case in CASES:
        torch.manual_seed(0)
        if case.kind == "op":
            found |= called(Trial(case, "cpu", case.dtypes[0]))
            continue
        for module in case.target().modules():
            found |= {cls.__name__ for cls in type(module).__mro__} | {type(module).__module__}
    return frozenset(found)


def called(trial: Trial) -> set[str]:
    """The functions of torchvision that are called from outside of it."""
    found: set[str] = set()

    def watch(frame: FrameType, event: str, _: object) -> None:
        caller = frame.f_back.f_globals.get("__name__", "") if frame.f_back else ""
        if event == "call" and is_torchvision(frame.f_globals["__name__"]) and not is_torchvision(caller):
            found.add(frame.f_code.co_name)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        trial.subject().pure(trial.samples()[0])
    finally:
        sys.setprofile(before)
    return found


def is_torchvision(module: str) -> bool:
    return module.split(".")[0] == "torchvision"


def missing(names: set[str]) -> set[str]:
    return names - exercised() - set(NO_CASE)


@pytest.mark.parametrize("names", [operators, transforms, families])
def test_everything_public_has_a_case(names) -> None:
    assert missing(names()) == set()


@pytest.mark.parametrize(("names", "new"), [(operators, "new_op"), (transforms, "NewTransform"), (families, "new.net")])
def test_something_new_is_missed(names, new) -> None:
    assert missing(names() | {new}) == {new}


def test_a_function_that_only_torchvision_itself_calls_is_missed() -> None:
    """`box_iou` calls `box_area`, which would hide that this has no case."""
    case = next(case for case in CASES if case.name == "box-iou")
    assert called(Trial(case, "cpu", "float32")) == {"box_iou"}


def test_nothing_is_excused_that_has_a_case() -> None:
    built = {type(case.target()).__name__ for case in CASES if case.kind == "layer"}
    assert built & set(NO_CASE) == set()
    assert set(NO_CASE) <= operators() | transforms() | families()
