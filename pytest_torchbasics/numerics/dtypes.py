"""Names, aliases and groups of dtypes. Nothing here imports torch until a torch.dtype is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

FLOATING = ("float64", "float32", "bfloat16", "float16")
LOW_PRECISION = ("bfloat16", "float16")
COMPLEX = ("complex128", "complex64")
INTEGRAL = ("int64", "int32", "int16", "int8", "uint8", "bool")

#: Every dtype that may be named, in the order of reports.
NAMES = FLOATING + COMPLEX + INTEGRAL

GROUPS = {
    "floating": FLOATING,
    "low-precision": LOW_PRECISION,
    "complex": COMPLEX,
    "integral": INTEGRAL,
    "all": NAMES,
}

ALIASES = {
    "double": "float64",
    "fp64": "float64",
    "f64": "float64",
    "float": "float32",
    "single": "float32",
    "fp32": "float32",
    "f32": "float32",
    "bf16": "bfloat16",
    "half": "float16",
    "fp16": "float16",
    "f16": "float16",
    "cdouble": "complex128",
    "cfloat": "complex64",
    "long": "int64",
    "int": "int32",
    "short": "int16",
}


class DtypeError(ValueError):
    """A dtype name that is not known."""


def parse_dtypes(names: Iterable[str | torch.dtype]) -> tuple[str, ...]:
    """Turn names, aliases, groups and torch.dtypes into full names, each once, in the order given.

    Raises:
        DtypeError: a name is unknown; the message lists the nearest valid names.
    """
    found: dict[str, None] = {}
    for name in names:
        for full in _expand(dtype_name(name)):
            found[full] = None
    return tuple(found)


def dtype_name(dtype: str | torch.dtype) -> str:
    """`torch.float32` or `"fp32"` as `"float32"`; unknown text is returned as it is."""
    text = str(dtype).strip().lower().removeprefix("torch.")
    return ALIASES.get(text, text)


def torch_dtype(name: str) -> torch.dtype:
    """The torch.dtype of a full name."""
    import torch

    dtype = getattr(torch, name, None)
    if name not in NAMES or not isinstance(dtype, torch.dtype):
        raise DtypeError(_unknown(name))
    return dtype


def wide(dtype: torch.dtype) -> torch.dtype:
    """The widest dtype of the same kind: float64, complex128, or the dtype itself."""
    import torch

    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


def _expand(name: str) -> tuple[str, ...]:
    if name in GROUPS:
        return GROUPS[name]
    if name in NAMES:
        return (name,)
    raise DtypeError(_unknown(name))


def _unknown(name: str) -> str:
    valid = [*NAMES, *ALIASES, *GROUPS]
    near = difflib.get_close_matches(name, valid, n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(NAMES)}"
    return f"unknown dtype {name!r} ({hint}; groups: {', '.join(GROUPS)})"
