"""Whether two implementations computed the same: arrays of both, name by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

#: What rounding in another order may change: torch.testing.assert_close's defaults, of float8 its spacing, relative and
#: absolute; the absolute one is taken as a share of the largest value.
TOLERANCES = {
    "float64": 1e-7,
    "complex128": 1e-7,
    "float32": 1.3e-6,
    "complex64": 1.3e-6,
    "bfloat16": 1.6e-2,
    "float16": 1e-3,
    "float8_e4m3fn": 0.125,
    "float8_e4m3fnuz": 0.125,
    "float8_e5m2": 0.25,
    "float8_e5m2fnuz": 0.25,
}
#: Sums of many terms in another order differ by more than one rounding.
TERMS = 10


def difference(base: Path, head: Path, dtype: str) -> str:
    """How the arrays of two .npz files differ, in one line; empty if they do not."""
    with np.load(base, allow_pickle=False) as ours, np.load(head, allow_pickle=False) as theirs:
        if names := sorted(set(ours.files) ^ set(theirs.files)):
            return f"{names[0]} is on one side only"
        return next(filter(None, (_differs(name, ours[name], theirs[name], dtype) for name in ours.files)), "")


def _differs(name: str, ours: Any, theirs: Any, dtype: str) -> str:
    if ours.shape != theirs.shape:
        return f"{name} has the shape {theirs.shape}, the baseline's has {ours.shape}"
    if ours.dtype.kind == "U":
        return "" if (ours == theirs).all() else f"{name}: {', '.join(theirs)}, the baseline's: {', '.join(ours)}"
    if ours.dtype.kind not in "fc":
        unequal = int((ours != theirs).sum())
        return f"{name}: {unequal} of {ours.size} values differ" if unequal else ""
    allowed = TERMS * TOLERANCES.get(dtype, 0.0)
    finite = np.isfinite(ours)
    if not np.array_equal(np.where(finite, 0, ours), np.where(np.isfinite(theirs), 0, theirs), equal_nan=True):
        return f"{name}: NaN or infinity is in other places, or of another kind"
    scale = float(np.abs(ours[finite]).max(initial=0.0))
    distance = np.abs(ours[finite] - theirs[finite])
    limit = allowed * np.maximum(np.abs(ours[finite]), scale)
    bad = distance > limit
    if not bad.any():
        return ""
    worst = float((distance[bad] / (scale or 1.0)).max())
    count = f"{int(bad.sum())} of {ours.size} values differ"
    return f"{name}: {count}, by up to {worst:.2g} of the largest ({allowed:.1g} allowed)"
