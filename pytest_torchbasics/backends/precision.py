"""Full float32 on NVIDIA GPUs, in every torch.

Which units may round float32 to TF32 is set through two interfaces: `allow_tf32` and the float32 matmul precision
of old, and since torch 2.9 `fp32_precision`. Both write the same state, and once they disagree, reading the old
one raises. So both are read, both are switched off, and both are restored in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Switch:
    """A switch: `owner.name`, or a getter and a setter among the owner's functions; title: torch's name."""

    title: str
    owner: Any
    name: str
    off: Any
    setter: str = ""

    def read(self) -> Any:
        """Its value now."""
        value = getattr(self.owner, self.name)
        return value() if self.setter else value

    def write(self, value: Any) -> None:
        """Set it."""
        if self.setter:
            getattr(self.owner, self.setter)(value)
        else:
            setattr(self.owner, self.name, value)


@contextmanager
def full_float32() -> Iterator[None]:
    """A context without TF32 in matrix products, convolutions and recurrent layers."""
    with quiet():
        saved = [(setting, setting.read()) for setting in switches() if readable(setting)]
        for setting, _ in saved:
            setting.write(setting.off)
    try:
        yield
    finally:
        with quiet():
            for setting, value in saved:
                setting.write(value)


def switches() -> list[Switch]:
    """The old interface first: writing it also writes the new one, which can say more."""
    import torch

    setter = "set_float32_matmul_precision"
    backends = torch.backends
    old = [
        Switch(f"torch.{setter}", torch, "get_float32_matmul_precision", "highest", setter),
        Switch("torch.backends.cudnn.allow_tf32", backends.cudnn, "allow_tf32", False),
    ]
    owners = {
        "cuda.matmul": backends.cuda.matmul,
        "cudnn.conv": getattr(backends.cudnn, "conv", None),
        "cudnn.rnn": getattr(backends.cudnn, "rnn", None),
        # set_float32_matmul_precision writes this one too.
        "mkldnn.matmul": getattr(getattr(backends, "mkldnn", None), "matmul", None),
    }
    return [
        *old,
        *(
            Switch(f"torch.backends.{name}.fp32_precision", owner, "fp32_precision", "ieee")
            for name, owner in owners.items()
            if owner is not None
        ),
    ]


def readable(setting: Switch) -> bool:
    """False where torch has no such switch, or where the user's settings through both interfaces disagree."""
    try:
        setting.read()
    except (AttributeError, RuntimeError):
        return False
    return True


@contextmanager
def quiet() -> Iterator[None]:
    """Without torch's advice to use the new interface, which would be an error under `-W error`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
