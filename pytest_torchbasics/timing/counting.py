"""Counting what a call comes down to: the operations and the memory traffic of every operator in it.

torch's FlopCounterMode counts matrix products, convolutions and attention where it has a formula and is silent about
the rest, so that an LSTM on the CPU costs nothing. Here the products that it lacks have one too, and where there is
none the sum is not known instead of too small.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .phases import Work

#: The operands of one operator, by the names in its schema.
Operands = Mapping[str, Any]


@dataclass(frozen=True)
class Counted:
    """What one call comes down to; None for what is not known.

    Attributes:
        flops: floating point operations of its products; 0 if there are none.
        bytes_moved: what its operators read and write.
    """

    flops: int | None
    bytes_moved: int | None


def count(work: Work) -> Counted:
    """Run a call once and add up its operators."""
    arguments = work.arguments()
    with _counter() as counter:
        # Layouts and subclasses that torch's modes do not take: what was timed has run, and is not lost for it.
        try:
            work.call(*arguments)
        except Exception:
            return Counted(None, None)
    return Counted(None if counter.unknown else counter.flops, counter.bytes_moved)


def _counter() -> Any:
    """A mode that adds up what every operator does.

    FlopCounterMode hooks into modules besides, which the gradient of a leaf of a graph does not allow. As there, an
    operator that has no formula is taken apart if it can be.
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):
        flops = 0
        bytes_moved = 0
        unknown = False

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            torchs, ours = flop_registry.get(func._overloadpacket), _FORMULAS.get(func._schema.name)
            if torchs is None and ours is None:
                with self:
                    result = func.decompose(*args, **kwargs)
                if result is not NotImplemented:
                    return result
            result = func(*args, **kwargs)
            operands = _operands(func, args, kwargs)
            if torchs is not None:
                self.flops += int(torchs(*args, **kwargs, out_val=result))
            elif ours is not None:
                self.flops += ours(operands)
            elif _is_product(func):
                self.unknown = True
            self.bytes_moved += _traffic(func, operands, result)
            return result

    return Counter()  # type: ignore[no-untyped-call]


def _operands(operator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operands:
    return dict(zip((argument.name for argument in operator._schema.arguments), args, strict=False)) | dict(kwargs)


# Operations


def _dot(operands: Operands) -> int:
    return 2 * int(operands["self"].numel())


def _matrix_vector(operands: Operands) -> int:
    return 2 * int(operands["mat" if "mat" in operands else "self"].numel())


def _trilinear(operands: Operands) -> int:
    """Two products and a sum over all dimensions of three operands that are broadcast."""
    shapes = []
    for index in "123":
        shape = list(operands[f"i{index}"].shape)
        for position in operands[f"expand{index}"]:
            shape.insert(position, 1)
        shapes.append(shape)
    return 3 * math.prod(int(max(sizes)) for sizes in zip(*shapes, strict=True))


def _recurrent(operands: Operands) -> int:
    """Every step multiplies all matrices by the input or the state, whatever the gates do then."""
    weights = [value for name, value in operands.items() if name.startswith("weight") and hasattr(value, "dim")]
    listed = operands.get("weight")
    weights += listed if isinstance(listed, (list, tuple)) else []
    steps: int = math.prod(operands["input"].shape[:-1])
    return 2 * steps * sum(int(weight.numel()) for weight in weights if weight.dim() == 2)


def _attention(operands: Operands) -> int:
    keys, values = _attention_sizes(operands)
    return 2 * (keys + values)


def _attention_backward(operands: Operands) -> int:
    """The scores once more, the gradients by queries and keys; the gradients by scores and values."""
    keys, values = _attention_sizes(operands)
    return 2 * (3 * keys + 2 * values)


def _attention_sizes(operands: Operands) -> tuple[int, int]:
    """The multiply-adds of queries by keys, and of scores by values."""
    query, key, value = (operands[name].shape for name in ("query", "key", "value"))
    pairs = math.prod(query[:-1]) * key[-2]
    return pairs * query[-1], pairs * value[-1]


def _encoder(operands: Operands) -> int:
    """The fast path of attention with its projections, and of an encoder layer with its two linear layers."""
    query = operands.get("query", operands.get("src"))
    key = operands.get("key", query)
    weights = [value for name, value in operands.items() if name.endswith("weight") or name.startswith("ffn_weight")]
    tokens: int = math.prod(query.shape[:-1])
    products: int = sum(int(weight.numel()) for weight in weights if weight.dim() == 2)
    return 2 * tokens * (products + 2 * int(key.shape[-2] * query.shape[-1]))


#: What torch.utils.flop_counter has no formula for. A multiply-add is two operations, as there.
_FORMULAS: Mapping[str, Callable[[Operands], int]] = MappingProxyType(
    {
        "aten::dot": _dot,
        "aten::vdot": _dot,
        "aten::mv": _matrix_vector,
        "aten::addmv": _matrix_vector,
        "aten::addmv_": _matrix_vector,
        "aten::_trilinear": _trilinear,
        "aten::mkldnn_rnn_layer": _recurrent,
        "aten::mkldnn_rnn_layer_backward": lambda operands: 2 * _recurrent(operands),
        "aten::_cudnn_rnn": _recurrent,
        "aten::_cudnn_rnn_backward": lambda operands: 2 * _recurrent(operands),
        "aten::_scaled_dot_product_flash_attention_for_cpu": _attention,
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
        "aten::_native_multi_head_attention": _encoder,
        "aten::_transformer_encoder_layer_fwd": _encoder,
    }
)

#: Names of operators that multiply matrices in some way; those of them without a formula make a sum unknown.
_PRODUCTS = re.compile(
    r"linalg_(?!vector_norm)|cholesky|_solve|_fft_|dist_(for|back)ward|attention|_rnn|lstm_mps|mm$|_mm_|matmul|_linear$|conv"
)
#: Where operators come from whose names tell what they do.
_KNOWN = ("aten", "prims", "torchvision")


def _is_product(operator: Any) -> bool:
    space, _, name = operator._schema.name.partition("::")
    if operator.is_view:
        return False
    return space not in _KNOWN or _PRODUCTS.search(name) is not None


# Memory traffic

#: What fills its first operand without reading it.
_FILLS = re.compile(r"::(zero|fill|copy|normal|uniform|random|bernoulli|exponential|geometric|log_normal|cauchy)_$")

#: What reaches a part of one operand only: which operand, and how many of its elements.
_PARTS: Mapping[str, tuple[str, Callable[[Operands, Any], int]]] = MappingProxyType(
    {
        "aten::embedding": ("weight", lambda operands, result: result.numel()),
        "aten::_embedding_bag": (
            "weight",
            lambda operands, result: operands["indices"].numel() * operands["weight"].shape[-1],
        ),
        "aten::_embedding_bag_forward_only": (
            "weight",
            lambda operands, result: operands["indices"].numel() * operands["weight"].shape[-1],
        ),
        "aten::index": ("self", lambda operands, result: result.numel()),
        "aten::index_select": ("self", lambda operands, result: result.numel()),
        "aten::gather": ("self", lambda operands, result: result.numel()),
        "aten::take": ("self", lambda operands, result: result.numel()),
        "aten::nll_loss_forward": ("self", lambda operands, result: operands["target"].numel()),
        "aten::nll_loss2d_forward": ("self", lambda operands, result: operands["target"].numel()),
        "aten::nll_loss_backward": ("self", lambda operands, result: 0),
        "aten::nll_loss2d_backward": ("self", lambda operands, result: 0),
        "aten::index_put_": ("self", lambda operands, result: operands["values"].numel()),
        "aten::_index_put_impl_": ("self", lambda operands, result: operands["values"].numel()),
        "aten::index_add_": ("self", lambda operands, result: operands["source"].numel()),
        "aten::index_copy_": ("self", lambda operands, result: operands["source"].numel()),
        "aten::scatter_": ("self", lambda operands, result: operands["index"].numel()),
        "aten::scatter_add_": ("self", lambda operands, result: operands["index"].numel()),
    }
)


def _traffic(operator: Any, operands: Operands, result: Any) -> int:
    """The bytes that an operator reads and writes: each operand once, twice if it is updated; views move nothing."""
    from ..numerics.trees import bytes_of

    schema = operator._schema
    if operator.is_view or schema.name.split("::")[-1].startswith(("empty", "new_empty")):
        return 0
    part, elements = _PARTS.get(schema.name, ("", None))
    moved = 0
    for argument in schema.arguments:
        value = operands.get(argument.name)
        size = bytes_of(value)
        if argument.name == part and elements is not None and value is not None:
            size = min(size, elements(operands, result) * value.element_size())
        written = argument.alias_info is not None and argument.alias_info.is_write
        read = not (written and (argument.is_out or _FILLS.search(schema.name)))
        moved += size * (written + read)
    returned = [result] if len(schema.returns) == 1 else result or ()
    new = [value for value, told in zip(returned, schema.returns, strict=False) if told.alias_info is None]
    return moved + bytes_of(new)
