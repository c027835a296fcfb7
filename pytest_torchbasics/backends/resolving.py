"""From the names a user types to devices of this machine, or to one line that says why not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence

from .base import Backend, DeviceError
from .registry import backends as all_backends
from .registry import torch_backend

AUTO = "auto"
ALL = "all"
CPU = "cpu"

#: No leading zeros and no sign: one device, one name.
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def resolve_devices(names: Sequence[str], *, backends: Mapping[str, Backend] | None = None) -> tuple[str, ...]:
    """Turn device names into the devices they mean on this machine, each once, in the order given.

    Args:
        names: kinds (`cpu`, `cuda`), one of several (`cuda:1`), `auto` for the CPU and the accelerator if one
            works, `all` for every usable device.
        backends: by kind; those of this package and of installed ones by default.

    Returns:
        Names in torch's form. `cuda` stays `cuda` and is the same device as `cuda:0`; a kind of which there is
        one device is named without index by `all`.

    Raises:
        DeviceError: a name means nothing, or the device cannot be used here; one line that says what was asked,
            why it cannot be had, and what there is.
    """
    if isinstance(names, str):
        names = [names]
    found = _backends_for(names) if backends is None else backends
    try:
        if not names:
            raise DeviceError("no device is named")
        # "cuda" and "cuda:0" are one device: the first spelling stays.
        devices: dict[tuple[str, int], str] = {}
        for name in names:
            for kind, index in _expand(name.strip().lower(), found):
                devices.setdefault((kind, index or 0), kind if index is None else f"{kind}:{index}")
    except DeviceError as error:
        raise DeviceError(f"{error} (usable here: {', '.join(_usable_names(found)) or 'none'})") from None
    return tuple(devices.values())


def _backends_for(names: Sequence[str]) -> Mapping[str, Backend]:
    """Those of known kinds, and one that torch alone knows unless the names can do without: asking imports torch."""
    known = all_backends()
    if all(name.strip().lower().partition(":")[0] in known for name in names):
        return known
    other = torch_backend()
    return known if other is None else {**known, other.kind: other}


def _expand(name: str, backends: Mapping[str, Backend]) -> Iterator[tuple[str, int | None]]:
    """The devices a name means, as kind and index."""
    if name == AUTO:
        usable = [kind for kind in backends if backends[kind].why_unavailable() is None]
        yield from ((kind, None) for kind in usable if kind == CPU)
        yield from [(kind, None) for kind in usable if kind != CPU][:1]
    elif name == ALL:
        yield from _usable(backends)
    else:
        yield _one(name, backends)


def _one(name: str, backends: Mapping[str, Backend]) -> tuple[str, int | None]:
    if not name:
        raise DeviceError("a device name is empty")
    kind, colon, index = name.partition(":")
    if kind == "meta":
        raise DeviceError(f"device {name!r} is not a device to run on: its tensors hold no values")
    if kind in (AUTO, ALL):
        raise DeviceError(f"device {name!r}: {kind!r} takes no index")
    if kind not in backends:
        raise DeviceError(f"unknown device {name!r}: {_hint(kind, backends)}")
    backend = backends[kind]
    if colon and not _INDEX.fullmatch(index):
        raise DeviceError(f"device {name!r}: the index must be a number such as '{kind}:0'")
    if kind == CPU and colon and index != "0":
        raise DeviceError(f"device {name!r} cannot be used: torch has one CPU device, 'cpu'")
    if (reason := backend.why_unavailable()) is not None:
        raise DeviceError(f"device {name!r} cannot be used: {reason}")
    if not colon or kind == CPU:
        return kind, None
    if int(index) >= (count := backend.count()):
        there = f"is 1, '{kind}:0'" if count == 1 else f"are {count}, '{kind}:0' to '{kind}:{count - 1}'"
        raise DeviceError(f"device {name!r} cannot be used: there {there}")
    return kind, int(index)


def _hint(kind: str, backends: Mapping[str, Backend]) -> str:
    word = kind.rstrip("0123456789")  # gpu0
    meant = [known for known, backend in backends.items() if word in backend.also_called]
    # "gpu" means the one that works, if one does.
    meant.sort(key=lambda known: backends[known].why_unavailable() is not None)
    near = meant[:1] or difflib.get_close_matches(kind, [*backends, AUTO, ALL], n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join([*backends, AUTO, ALL])}"


def _usable(backends: Mapping[str, Backend]) -> Iterator[tuple[str, int | None]]:
    for kind, backend in backends.items():
        if backend.why_unavailable() is None:
            count = backend.count()
            yield from ((kind, index if count > 1 else None) for index in range(count))


def _usable_names(backends: Mapping[str, Backend]) -> list[str]:
    return [kind if index is None else f"{kind}:{index}" for kind, index in _usable(backends)]
