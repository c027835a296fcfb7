"""Every class of torch.nn, in training and evaluation mode, by topic."""

from pytest_torchbasics import Declared

#: Of layers that torch computes on the CPU in float32 and float64 only.
NO_LOW_PRECISION = tuple(
    Declared("torch has no kernel for it", device="cpu", dtype=dtype) for dtype in ("bfloat16", "float16")
)
