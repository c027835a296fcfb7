"""`Tensor`, an input of a case, and `CaseError`, what a wrong declaration raises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..numerics.dtypes import DtypeError, dtype_name, parse_dtypes

if TYPE_CHECKING:
    import torch

_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class CaseError(ValueError):
    """A case that is declared wrongly; the message names the case and says what to do."""


@dataclass(frozen=True, init=False)
class Tensor:
    """A tensor input: a shape of ints and symbols, and what it is filled with.

    Args:
        shape: sizes; a string is a symbol, whose values come from the case's `sizes`.
        dtype: None for the dtype under test; else a fixed one (integer, bool and complex are first-class).
        low, high: values are uniform in [low, high); floating tensors without them are standard normal,
            integers are in [0, 10).
        fill: one number for a constant tensor, or nested lists of values of the given shape.
        requires_grad: None for what the dtype allows: floating and complex tensors do.

    Raises:
        CaseError: a size is neither an int >= 0 nor a symbol, or the options contradict each other.
    """

    shape: tuple[int | str, ...]
    dtype: str | None
    low: float | None
    high: float | None
    fill: Any
    requires_grad: bool | None

    def __init__(
        self,
        *shape: int | str,
        dtype: str | torch.dtype | None = None,
        low: float | None = None,
        high: float | None = None,
        fill: Any = None,
        requires_grad: bool | None = None,
    ) -> None:
        for size in shape:
            if isinstance(size, bool) or not isinstance(size, (int, str)):
                raise CaseError(f"Tensor{shape}: a size is an int or a symbol, got {size!r}")
            if isinstance(size, int) and size < 0:
                raise CaseError(f"Tensor{shape}: size {size} is negative")
            if isinstance(size, str) and not _SYMBOL.fullmatch(size):
                raise CaseError(f"Tensor{shape}: {size!r} is no symbol (a name such as 'N')")
        if fill is not None and (low is not None or high is not None):
            raise CaseError(f"Tensor{shape}: give either fill or low and high, not both")
        if low is not None and high is not None and not low < high:
            raise CaseError(f"Tensor{shape}: low={low} is not below high={high}")
        if dtype is not None:
            try:
                (dtype,) = parse_dtypes([dtype])
            except DtypeError as error:
                raise CaseError(f"Tensor{shape}: {error}") from None
            except ValueError:
                raise CaseError(f"Tensor{shape}: dtype {dtype_name(dtype)!r} is a group, give one") from None
        if requires_grad and dtype is not None and not _has_gradients(dtype):
            raise CaseError(f"Tensor{shape}: a tensor of dtype {dtype} has no gradient")
        for name, value in (
            ("shape", shape),
            ("dtype", dtype),
            ("low", low),
            ("high", high),
            ("fill", _freeze(fill)),
            ("requires_grad", requires_grad),
        ):
            object.__setattr__(self, name, value)

    @property
    def constant(self) -> bool:
        """True if every element is the same by declaration."""
        return self.fill is not None and not isinstance(self.fill, tuple)

    def make(self, sizes: Mapping[str, int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
        """A tensor on the CPU, its values rounded to `dtype` (or to the tensor's own dtype).

        The values are drawn in float64, so that they are the same in every dtype up to rounding.
        """
        import torch

        from ..numerics.dtypes import torch_dtype, wide

        shape = [sizes[size] if isinstance(size, str) else size for size in self.shape]
        wanted = dtype if self.dtype is None else torch_dtype(self.dtype)
        if self.fill is not None:
            values = torch.as_tensor(_thaw(self.fill), dtype=wide(wanted)).expand(shape).clone()
        elif wanted.is_floating_point or wanted.is_complex:
            values = self._draw(shape, wide(wanted), generator)
        else:
            low = 0 if self.low is None else int(self.low)
            high = (2 if wanted == torch.bool else 10) if self.high is None else int(self.high)
            values = torch.randint(low, max(high, low + 1), shape, generator=generator)
        made = values.to(wanted)
        differentiable = made.is_floating_point() or made.is_complex()
        return made.requires_grad_(differentiable if self.requires_grad is None else self.requires_grad)

    def _draw(self, shape: list[int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
        import torch

        if self.low is None and self.high is None:
            return torch.randn(shape, generator=generator, dtype=dtype)
        low = 0.0 if self.low is None else self.low
        high = low + 1.0 if self.high is None else self.high
        return low + (high - low) * torch.rand(shape, generator=generator, dtype=dtype)


def _has_gradients(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat", "complex"))


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, (list, tuple)) else value


def _thaw(value: Any) -> Any:
    return [_thaw(item) for item in value] if isinstance(value, tuple) else value
