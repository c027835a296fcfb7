"""The section of a report on speed below the machine's roofs: a roofline per device and dtype, and its numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..analysis import roofline as analysis
from . import units
from .cells import cell
from .document import Block, Column, Figure, Fold, Heading, Line, Table, Text
from .plots.roofline import Point, roofline

if TYPE_CHECKING:
    import pandas as pd

FACET = ["device", "device_name", "machine_key", "torch_version", "threads", "dtype"]
#: How many plots, and rows of the table of each.
PLOTS, ROWS = 12, 100
NOTE = "Arithmetic intensity against speed, both on log scales: ● forward, ■ backward, ▲ fwd+bwd. "
NOTE += "A roof is shown where at least two rows tell it."


def roofs(frame: pd.DataFrame) -> list[Block]:
    """The section; nothing if no operations were counted.

    Args:
        frame: of `load`, its cases told apart.
    """
    found = analysis.points(frame)
    if found.empty:
        return []
    plain = found.assign(**{name: found[name].astype(str) for name in FACET if name != "threads"})
    facets = [group for _, group in plain.groupby(FACET, sort=False)]
    figures: list[Block] = []
    tables: list[Block] = []
    for rows in facets[:PLOTS]:
        where = _where(rows, plain)
        known = analysis.roofs(rows)
        points = [
            Point(cell(row), str(row["phase"]), float(row["flop_per_byte"]), float(row["flop_rate"]))
            for row in _distinct(rows).to_dict("records")
        ]
        svg = roofline(points, known.flop_rate, known.byte_rates, f"Roofline of {where}")
        figures.append(Figure(svg, f"{where}: {_caption(known)}", f"{len(points)} cells."))
        tables.append(Fold(Text(f"The numbers of {where}"), (_table(rows),)))
    more = [Line(Text(f"{len(facets) - PLOTS} more devices and dtypes are in rows.csv", "quiet"))]
    note = Line(Text(NOTE, "quiet"))
    return [Heading("Roofline"), note, *figures, *tables, *(more if len(facets) > PLOTS else [])]


def _distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: of several runs the fastest, which is nearest to what the machine can do."""
    keys = ["case", "phase", "mode", "sizes"]
    fastest: pd.DataFrame = rows.sort_values("flop_rate", ascending=False, kind="stable").drop_duplicates(keys)
    return fastest


def _where(rows: pd.DataFrame, plain: pd.DataFrame) -> str:
    """Device and dtype, and what else is needed to tell the plots apart."""
    first = rows.iloc[0]
    words = [str(first["device"]), str(first["dtype"])]
    words += [str(first["device_name"])] if plain["machine_key"].nunique() > 1 else []
    words += [f"torch {first['torch_version']}"] if plain["torch_version"].nunique() > 1 else []
    return " ".join([*words, *([f"{first['threads']} threads"] if plain["threads"].nunique() > 1 else [])])


def _caption(known: analysis.Roofs) -> str:
    told = [f"fastest product {units.quantity(known.flop_rate, 'flop_rate')}FLOP/s"] if known.flop_rate else []
    if known.byte_rates:
        told.append(f"copies {', '.join(f'{units.memory(rate)}/s' for rate in known.byte_rates)}")
    return "; ".join(told) or "no roof is known; torchbasics doctor measures the peaks that later runs are related to"


def _table(rows: pd.DataFrame) -> Table:
    found = _distinct(rows)
    columns = (
        Column(("cell",)),
        *(Column((name,), right=True) for name in ("FLOP / byte", "FLOP / s", "share of the roof")),
    )
    texts = tuple(
        (
            Text(cell(row)),
            Text(units.digits(float(row["flop_per_byte"]))),
            Text(units.quantity(float(row["flop_rate"]), "flop_rate")),
            Text(units.percent(float(row["roofline_share"]), signed=False)),
        )
        for row in found.head(ROWS).to_dict("records")
    )
    left = len(found) - len(texts)
    return Table(columns, texts, f"{left} slower ones are in rows.csv" if left > 0 else "")
