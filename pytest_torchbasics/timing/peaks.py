"""What this machine can do at most, measured: the roof that a layer's speed is a share of.

The roofline (Williams, Waterman and Patterson, 2009): no call is faster than its operations at the fastest matrix
product, nor than its memory traffic at the fastest copy. Caches make the second roof depend on how much is moved, so
copies of several sizes are measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends import Backend, backend_for
from ..modes import parse_mode
from ..results.files import cache_folder, replace_file, to_json
from .measuring import Measurement, measure
from .phases import Workload

if TYPE_CHECKING:
    import torch

    from ..trials import Trial

#: A product that takes this long is large enough; beyond this size none is tried.
LONG_ENOUGH_S = 5e-3
SMALLEST_PRODUCT, LARGEST_PRODUCT = 128, 16384
#: Bytes of the tensors that are copied, from the first cache to memory.
COPIES = (2**14, 2**17, 2**20, 2**23, 2**26)


@dataclass(frozen=True)
class Peaks:
    """The roofs of one device, dtype and number of threads.

    Attributes:
        flop_rate: of the fastest matrix product found; None if that is not known.
        copies: (bytes moved, bytes per second) of copies, by size; empty if they are not known.
        anchor_s: seconds of the anchor, the fixed product beside each timing on the CPU; None on other devices.
    """

    flop_rate: float | None = None
    copies: tuple[tuple[int, float], ...] = ()
    anchor_s: float | None = None

    def byte_rate(self, moved: float) -> float:
        """The fastest that so many bytes can be moved: the best copy of that much or more."""
        rates = [rate for size, rate in self.copies if size >= moved]
        return max(rates) if rates else self.copies[-1][1]

    def shortest_s(self, flops: float | None, moved: float | None) -> float:
        """The least seconds that operations and traffic can take, in parallel; 0 if neither is known."""
        computing = flops / self.flop_rate if flops and self.flop_rate else 0.0
        return max(computing, moved / self.byte_rate(moved) if moved and self.copies else 0.0)


def measure_peaks(device: str, dtype: str, threads: int = 1) -> Peaks:
    """Measure the roofs of a device in a dtype; takes a few seconds.

    Raises:
        RuntimeError: torch has no matrix product of this dtype there.
    """
    from ..numerics.dtypes import torch_dtype

    made = torch_dtype(dtype)
    copies = tuple(_copy(device, made, size, threads) for size in COPIES)
    return Peaks(max(_products(device, made, threads)), copies, _anchor_s(device, threads))


def _products(device: str, dtype: torch.dtype, threads: int) -> Iterator[float]:
    """The rate of larger and larger products, to the first that takes long enough."""
    import torch

    size = SMALLEST_PRODUCT
    while size <= LARGEST_PRODUCT:
        left, right = (torch.ones(size, size, device=device).to(dtype) for _ in range(2))
        seconds = _seconds(torch.matmul, (left, right), device, threads)
        yield 2 * size**3 / seconds
        if seconds >= LONG_ENOUGH_S:
            return
        size *= 2


def _copy(device: str, dtype: torch.dtype, size: int, threads: int) -> tuple[int, float]:
    import torch

    source = torch.ones(size // dtype.itemsize, device=device).to(dtype)
    target = torch.empty_like(source)
    return 2 * size, 2 * size / _seconds(target.copy_, (source,), device, threads)


def _anchor_s(device: str, threads: int) -> float | None:
    import torch

    metrics = _measured(torch.neg, (torch.ones(1000, device=device),), device, threads).metrics
    return next((metric.value for metric in metrics if metric.metric == "anchor"), None)


def _seconds(call: Callable[..., Any], inputs: tuple[Any, ...], device: str, threads: int) -> float:
    return min(_measured(call, inputs, device, threads).samples_ns) * 1e-9


def _measured(call: Callable[..., Any], inputs: tuple[Any, ...], device: str, threads: int) -> Measurement:
    return measure(Workload(call, inputs), "forward", device, threads=threads, quality="quick", count=False)


def keep(peaks: Mapping[str, Peaks], device: str, threads: int) -> Path:
    """Write the peaks by dtype to the user's cache, beside those of other devices.

    Returns:
        The file.

    Raises:
        OSError, ResultError: there can be no such folder, or the file cannot be written.
    """
    path = _path()
    kept = _read(path)
    entry = kept.setdefault(_key(device, threads), {})
    entry |= {dtype: asdict(found) for dtype, found in peaks.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, to_json(kept))
    return path


def kept(device: str, dtype: str, threads: int) -> Peaks | None:
    """What `keep` kept for a device like this one; None if nothing was, or the file is damaged.

    The anchor is the same in every dtype, so it is known in all of them when one was measured.
    """
    entry: Any = _read(_path()).get(_key(device, threads), {})
    try:
        anchors = [float(found["anchor_s"]) for found in entry.values() if found["anchor_s"] is not None]
        anchor = anchors[0] if anchors else None
        if dtype in entry:
            copies = tuple((int(size), float(rate)) for size, rate in entry[dtype]["copies"])
            return Peaks(float(entry[dtype]["flop_rate"]), copies, anchor)
        return None if anchor is None else Peaks(anchor_s=anchor)
    except (AttributeError, TypeError, KeyError, ValueError):
        return None


def peaks_for(trial: Trial, threads: int) -> Peaks | None:
    """What was kept for the device and dtype of a trial; the anchor alone where the mode computes in another dtype."""
    return kept(trial.device, "" if parse_mode(trial.mode).any("narrows") else trial.dtype, threads)


def _path() -> Path:
    return cache_folder() / "peaks.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key(device: str, threads: int) -> str:
    """What the peaks depend on: the model of the device, torch, and the threads of a CPU."""
    import torch

    backend: Backend = backend_for(device)
    index = int(device.partition(":")[2] or 0)
    several = f", {threads} threads" if backend.kind == "cpu" else ""
    return f"{backend.kind}: {backend.describe(index)}, torch {torch.__version__}{several}"
