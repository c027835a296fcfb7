"""Numbers for readers: three significant digits and a unit that fits. Only here are SI units scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_PLAIN = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
ABSENT = "-"


def quantity(value: float | None, column: str) -> str:
    """A value of a metric column, scaled by the unit in the column's name.

    >>> quantity(6.1e-6, "median_s"), quantity(3 << 20, "peak_bytes"), quantity(0.25, "bound_share")
    ('6.10 µs', '3.00 MiB', '0.250')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    if column == "s" or column.endswith("_s"):
        return duration(value)
    if column == "bytes" or column.endswith("_bytes"):
        return memory(value)
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.2e}"
    return _scaled(value, _PLAIN)


def duration(seconds: float | None) -> str:
    """Seconds as `6.10 µs`."""
    return _scaled(seconds, _TIMES)


def clock_time(seconds: float) -> str:
    """Seconds for people who wait: `8 s`, `3 min`, `2 h 5 min`."""
    whole = math.ceil(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def memory(count: float | None) -> str:
    """Bytes as `1.50 MiB`."""
    return _scaled(count, _BYTES)


def digits(value: float, significant: int = 3) -> str:
    """A number of moderate size with three significant digits, never as `1e+03`."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ABSENT
    rounded = float(f"{value:.{significant - 1}e}")
    before = max(1, math.floor(math.log10(abs(rounded))) + 1)
    leading_zeros = max(0, -math.floor(math.log10(abs(rounded))) - 1)
    return f"{rounded:.{max(0, significant - before if abs(rounded) >= 1 else significant + leading_zeros)}f}"


def percent(share: float, signed: bool = True) -> str:
    """A share as `+18.0 %`."""
    if not math.isfinite(share):
        return ABSENT
    value = share * 100
    places = 0 if abs(value) >= 99.95 else 1
    return f"{value:+.{places}f} %" if signed else f"{value:.{places}f} %"


def spread(value: float, low: float, high: float) -> str:
    """Half of an interval as a share of the value, rounded up: `±2 %`; empty where there is no interval."""
    if not all(map(math.isfinite, (value, low, high))) or value <= 0:
        return ""
    half = (high - low) / 2 / value * 100
    return f"±{math.ceil(half - 1e-9)} %"


def _scaled(value: float | None, units: Sequence[tuple[float, str]]) -> str:
    if value is None or not math.isfinite(value):
        return ABSENT
    if value == 0:
        return f"0 {units[0][1] if units is _TIMES else units[-1][1]}".strip()
    rounded = max(abs(value), abs(float(f"{value:.2e}")))  # 999.96 µs is 1.00 ms
    factor, unit = next(((factor, unit) for factor, unit in units if rounded >= factor), units[-1])
    number = digits(value / factor)
    return f"{int(value)} B" if unit == "B" and value == int(value) else f"{number} {unit}".strip()
