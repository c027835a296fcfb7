"""What was reached below the roofs of a machine, and the roofs that the rows themselves tell.

A row's `roofline_share` is the least time that its work needs by the time it took, and the least time is that of the
operations at the fastest product or that of the traffic at the fastest copy, whichever is longer (timing/peaks.py). So
`flop_rate / roofline_share` is the level roof for work that computing limits, and `byte_rate / roofline_share` a
slanted roof for work that traffic limits; each is at most the roof for the other. Which of both limits a row is not
kept, so a roof is told only where two rows of different intensity agree on it, which they hardly do by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("flop_rate", "flop_per_byte")
#: Roofs that differ by less are one: the same float, but for rounding.
SAME = 1e-6
#: Intensities that differ by less may be those of the same work.
OTHER_INTENSITY = 1e-3


@dataclass(frozen=True)
class Roofs:
    """The roofs of one device and dtype.

    Attributes:
        flop_rate: the level one; None if no two rows agree on it.
        byte_rates: the slanted ones, a cache's perhaps and the memory's, the fastest first.
    """

    flop_rate: float | None = None
    byte_rates: tuple[float, ...] = ()


def points(frame: pd.DataFrame) -> pd.DataFrame:
    """The timed rows that passed and whose operations and traffic are known.

    Args:
        frame: of `load`.

    Returns:
        The same columns, and `roofline_share` in any case; NaN where it is not known.
    """
    if not {*COLUMNS, "outcome"} <= set(frame.columns):
        none: pd.DataFrame = frame.head(0)
        return none
    known = (frame[list(COLUMNS)] > 0).all(axis=1) & (frame["outcome"].astype(str) == "passed")
    found: pd.DataFrame = frame[known].copy()
    if "roofline_share" not in found:
        found["roofline_share"] = float("nan")
    return found


def roofs(found: pd.DataFrame) -> Roofs:
    """The roofs that rows of one machine, device and dtype agree on.

    Args:
        found: of `points`.
    """
    rows = found[found["roofline_share"] > 0]
    intensity = rows["flop_per_byte"]
    level = rows["flop_rate"] / rows["roofline_share"]
    agreed = [value for value in _agreed(level, intensity) if value >= level.max() * (1 - SAME)]
    flop_rate = agreed[0] if agreed else None
    below = level < flop_rate * (1 - SAME) if flop_rate is not None else level > 0
    return Roofs(flop_rate, tuple(_agreed((level / intensity)[below], intensity[below])))


def _agreed(values: pd.Series[float], intensity: pd.Series[float]) -> list[float]:
    """The values that rows of different intensity share, the largest first."""
    ordered = values.sort_values(ascending=False)
    group = (ordered / ordered.shift() < 1 - SAME).cumsum()
    spread = intensity.reindex(ordered.index).groupby(group).agg(["min", "max"])
    shared = spread.index[spread["max"] > spread["min"] * (1 + OTHER_INTENSITY)]
    return [float(ordered[group == number].median()) for number in shared]
