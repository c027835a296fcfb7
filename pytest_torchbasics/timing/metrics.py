"""The only list of metrics. A metric is data, so that a new one touches this place and the one that measures it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from .ranks import median, median_interval

Better = Literal["lower", "higher", "none"]


@dataclass(frozen=True)
class Metric:
    """What is measured: its name, its SI unit (empty for a pure number), which way is better, and what it says.

    Attributes:
        ranges: its values are readings of a sensor, of which the lowest and the highest are told, not an interval.
    """

    name: str
    unit: str
    better: Better
    description: str
    ranges: bool = False


@dataclass(frozen=True)
class Measured:
    """A metric and its value.

    Attributes:
        metric, unit, better: as in `Metric`.
        value: the median.
        low, high: the 95 % rank interval of the median, None where there are too few values for one; of a metric
            that `ranges`, the lowest and the highest value.
        n: how many values (blocks) it rests on.
    """

    metric: str
    unit: str
    better: Better
    value: float
    low: float | None
    high: float | None
    n: int


_ALL = (
    Metric(
        "median", "s", "lower", "the headline: time of one call; on an accelerator of the device, if it can be told"
    ),
    Metric("first_call", "s", "lower", "forward alone: the first call, with all that is done once"),
    Metric("wall_over_cpu", "", "none", "wall time by CPU time of the thread: above 1 it was held up"),
    Metric("anchor", "s", "none", "a fixed product beside each block on the CPU: how fast the processor was meanwhile"),
    Metric("device", "s", "lower", "the accelerator's own time of one call, the host hidden behind a backlog"),
    Metric("host", "s", "lower", "the host's time to enqueue one call on an idle device"),
    Metric("latency", "s", "lower", "one call on an idle device until its result is there"),
    Metric("pipelined", "s", "lower", "one of many calls that are waited for together"),
    Metric("empty_pair", "s", "none", "two events with nothing between: a device time may be too long by as much"),
    Metric("device_cold", "s", "lower", "the accelerator's own time of one call after its cache was cleared"),
    Metric("sm_clock", "Hz", "none", "the accelerator's clock between blocks, with its range", ranges=True),
    Metric("power", "W", "none", "what the accelerator draws, with its range", ranges=True),
    Metric("temperature", "degC", "none", "of the accelerator, with its range", ranges=True),
    Metric("compile_time", "s", "lower", "what the first calls of a compiled mode took beyond those after them"),
    Metric("parameters", "", "none", "how many numbers the module's parameters hold"),
    Metric(
        "flops",
        "",
        "none",
        "operations of a call in products, convolutions, recurrent layers and attention; a multiply-add is two",
    ),
    Metric(
        "bytes_moved",
        "",
        "lower",
        "what the operators of a call read and write, each operand once; of a table what is looked up",
    ),
    Metric("peak", "bytes", "lower", "the most memory in tensors that a call adds to what was there before"),
    Metric("flop_rate", "", "higher", "operations in a second"),
    Metric("byte_rate", "", "higher", "bytes moved in a second"),
    Metric("flop_per_byte", "", "none", "arithmetic intensity: operations by bytes moved"),
    Metric(
        "roofline_share",
        "",
        "higher",
        "the least time that this machine needs (torchbasics doctor measures it) by the time it took; above 1 where "
        "caches or fused kernels save traffic",
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})


def measured(name: str, values: Sequence[float]) -> Measured:
    """The median of the values, one of each block, and its interval or range."""
    metric = METRICS[name]
    low, high = (min(values), max(values)) if metric.ranges else median_interval(values) or (None, None)
    return Measured(name, metric.unit, metric.better, median(values), low, high, len(values))
