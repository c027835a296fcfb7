"""What an author can declare in `properties=`, each called as `property(module, *inputs)`.

The relations are about the function, not about rounding, so they are judged in float64 where the device holds it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Allowed difference of two sides of a relation, as a share of the size of the values, in float64; modules may compute
#: in float32 inside. A broken relation is off by much more.
RELATIVE = 1e-4
#: What is written where nobody may look: far from usual values, and not a constant.
FILLER = 5.0

Transform = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True)
class Complexity:
    """The work grows like a power of a symbol; the check `scaling` measures it. Made by `complexity`."""

    symbol: str
    power: float

    def __call__(self, module: Any, *inputs: Any) -> None:
        """Nothing to do: work is counted by the check `scaling`."""


def complexity(symbol: str, power: float) -> Complexity:
    """Work and memory may grow like `symbol ** power`; without it they must be linear in every symbol."""
    return Complexity(symbol, power)


def equivariant(
    transform: Transform | None = None, result: Transform | None = None, *, dim: int | None = None, argument: int = 0
) -> Callable[..., None]:
    """`f(transform(x)) == result(f(x))`.

    Args:
        transform: of the input; given `dim`, a permutation along that dimension.
        result: the matching transform of the output; the same one by default.
        dim: the dimension whose permutation permutes the output.
        argument: position of the input that is transformed.
    """
    change = _change(transform, dim, "equivariant")
    answer = result or change
    return _relation("equivariant", change, answer, argument)


def invariant(transform: Transform | None = None, *, dim: int | None = None, argument: int = 0) -> Callable[..., None]:
    """`f(transform(x)) == f(x)`; given `dim`, the transform is a permutation along that dimension."""
    return _relation("invariant", _change(transform, dim, "invariant"), lambda y: y, argument)


def causal(dim: int = 1, *, argument: int = 0) -> Callable[..., None]:
    """What stands at a position of `dim` of the output depends on that and earlier positions of the input only."""

    def causal(module: Any, *inputs: Any) -> None:
        module, inputs = _wide(module, inputs)
        before = _outputs(module, inputs)
        x = inputs[argument]
        for position in range(1, x.shape[dim]):
            future = _index_from(x, dim, position)
            after = _outputs(module, _with(inputs, argument, _overwritten(x, future)))
            for name, old, new in _pairs(before, after):
                if old.dim() > dim:
                    kept = old.narrow(dim, 0, position), new.narrow(dim, 0, position)
                    _assert_close(f"changing the input from position {position} on changes {name} before it", *kept)

    return causal


def padding_mask(x: int = 0, mask: int = 1, *, dim: int = 1, trim: bool = False) -> Callable[..., None]:
    """What stands where the mask is False has no influence on the rest.

    Args:
        x: position of the padded argument, with the batch in dimension 0.
        mask: position of the boolean mask (batch, length); True is kept.
        dim: the dimension of `x` and of the output that the mask speaks of.
        trim: True if cutting the padding off gives the same as masking it.
    """

    def padding_mask(module: Any, *inputs: Any) -> None:
        module, inputs = _wide(module, inputs)
        values, keep = inputs[x], inputs[mask]
        before = _outputs(module, inputs)
        padded = ~_expanded(keep, values, dim)
        after = _outputs(module, _with(inputs, x, _overwritten(values, padded)))
        for name, old, new in _pairs(before, after):
            if old.dim() > dim and old.shape[dim] == keep.shape[-1]:
                where = _expanded(keep, old, dim)
                old, new = old[where], new[where]
            _assert_close(f"what stands in the padding changes {name}", old, new)
        if trim:
            for item in range(len(values)):
                _trimmed(module, inputs, before, item)

    def _trimmed(module: Any, inputs: tuple[Any, ...], before: list[tuple[str, Any]], item: int) -> None:
        length = int(inputs[mask][item].sum())
        cut = _with(inputs, x, inputs[x][item : item + 1].narrow(dim, 0, length))
        cut = _with(cut, mask, inputs[mask][item : item + 1, :length])
        for name, old, new in _pairs(before, _outputs(module, cut)):
            _assert_close(
                f"cutting the padding of item {item} off changes {name}", old[item].narrow(dim - 1, 0, length), new[0]
            )

    return padding_mask


def parameters(count: int) -> Callable[..., None]:
    """The module has `count` trainable parameter elements, each counted once."""

    def parameters(module: Any, *inputs: Any) -> None:
        found = {name: value.numel() for name, value in module.named_parameters() if value.requires_grad}
        total = sum(found.values())
        assert total == count, f"{total} trainable parameters are registered, declared are {count}: {found}"

    return parameters


def tied(*names: str) -> Callable[..., None]:
    """The parameters of those names are one and the same, in a copy of another dtype too."""

    def tied(module: Any, *inputs: Any) -> None:
        import torch

        for what, where in (("", module), (" after .to(float64)", copy.deepcopy(module).to(torch.float64))):
            known = dict(where.named_parameters(remove_duplicate=False))
            missing = [name for name in names if name not in known]
            assert not missing, f"there is no parameter {missing[0]}; there are {', '.join(known)}"
            first = names[0]
            for other in names[1:]:
                assert known[other] is known[first], f"{first} and {other} are two parameters{what}"

    return tied


def _change(transform: Transform | None, dim: int | None, what: str) -> Transform:
    if (transform is None) == (dim is None):
        raise TypeError(f"{what}() takes either a transform or dim=")
    if transform is not None:
        return transform

    def permuted(tensor: torch.Tensor) -> torch.Tensor:
        import torch

        assert dim is not None
        size = tensor.shape[dim]
        order = torch.randperm(size, generator=torch.Generator().manual_seed(size))
        if torch.equal(order, torch.arange(size)):
            order = order.flip(0)
        return tensor.index_select(dim, order.to(tensor.device))

    return permuted


def _relation(kind: str, change: Transform, answer: Transform, argument: int) -> Callable[..., None]:
    def relation(module: Any, *inputs: Any) -> None:
        module, inputs = _wide(module, inputs)
        before = _outputs(module, inputs)
        after = _outputs(module, _with(inputs, argument, change(inputs[argument])))
        for name, old, new in _pairs(before, after):
            _assert_close(f"a transformed argument {argument} does not give the matching {name}", answer(old), new)

    relation.__name__ = kind
    return relation


def _wide(module: Any, inputs: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
    """A copy of the module and the inputs in float64, or both as they are where the device holds no float64."""
    import torch

    from ..numerics.dtypes import wide
    from ..numerics.trees import map_tensors, tensors

    if any(leaf.value.device.type == "mps" for leaf in tensors(inputs)):
        return module, inputs
    if isinstance(module, torch.nn.Module) and not any(p.is_complex() for p in module.parameters()):
        module = copy.deepcopy(module).to(torch.float64)
    return module, map_tensors(lambda tensor: tensor.to(wide(tensor.dtype)), inputs)


def _outputs(module: Any, inputs: tuple[Any, ...]) -> list[tuple[str, Any]]:
    import torch

    from ..numerics.trees import map_tensors, tensors

    with torch.no_grad():
        found = tensors(module(*map_tensors(torch.Tensor.clone, inputs)))
    return [(f"output{leaf.path}", leaf.value.detach()) for leaf in found]


def _pairs(before: list[tuple[str, Any]], after: list[tuple[str, Any]]) -> list[tuple[str, Any, Any]]:
    assert len(before) == len(after), f"it returns {len(after)} tensors instead of {len(before)}"
    return [(name, old, new) for (name, old), (_, new) in zip(before, after, strict=True)]


def _with(inputs: tuple[Any, ...], position: int, value: Any) -> tuple[Any, ...]:
    return (*inputs[:position], value, *inputs[position + 1 :])


def _index_from(x: torch.Tensor, dim: int, position: int) -> torch.Tensor:
    """True from the position of the dimension on."""
    import torch

    where = torch.zeros_like(x, dtype=torch.bool)
    where.narrow(dim, position, x.shape[dim] - position).fill_(True)
    return where


def _expanded(mask: torch.Tensor, like: torch.Tensor, dim: int) -> torch.Tensor:
    """The mask (batch, length) in the shape of a tensor whose dimensions 0 and `dim` these are."""
    shape = [1] * like.dim()
    shape[0], shape[dim] = mask.shape
    return (mask != 0).reshape(shape).expand(like.shape)


def _overwritten(x: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Other values where the mask is True: the opposite, far away, so that no two are equal."""
    return x.where(~where, (FILLER - 2 * x).to(x.dtype) if x.is_floating_point() else x.flip(0))


def _assert_close(message: str, expected: torch.Tensor, actual: torch.Tensor) -> None:
    assert expected.shape == actual.shape, f"{message}: shape {tuple(actual.shape)} instead of {tuple(expected.shape)}"
    if not expected.numel():
        return
    error = (actual - expected).abs() if expected.is_floating_point() or expected.is_complex() else actual != expected
    size = expected.abs().max() if expected.is_floating_point() or expected.is_complex() else 0
    bad = ~(error <= RELATIVE * size)
    if not bool(bad.any()):
        return
    import torch

    worst = torch.unravel_index(error.to(torch.float64).nan_to_num(torch.inf).argmax(), error.shape)
    index = tuple(int(i) for i in worst)
    raise AssertionError(
        f"{message}: {int(bad.sum())} of {bad.numel()} elements, the worst at index {index} is "
        f"{actual[index].item():.6g} instead of {expected[index].item():.6g}"
    )
