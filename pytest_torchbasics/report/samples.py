"""The section of a report on raw times: for each cell how they are distributed and how they went in order."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..analysis.samples import CELL
from . import units
from .cells import cell
from .document import Block, Column, Figure, Fold, Heading, Line, Table, Text
from .plots.samples import Process, Side, ecdf, in_order

if TYPE_CHECKING:
    import pandas as pd

#: How many cells have plots, how many processes of each side a plot shows, and how many of the other cells are named.
CELLS, PROCESSES, NAMED = 24, 12, 100
LEGEND = "A thin line for each process run; solid: the head, dashed: the baseline."
LEGEND_ALONE = "A thin line for each process run."


def samples(found: pd.DataFrame, base: Collection[str], changed: Sequence[tuple[str, ...]]) -> list[Block]:
    """The section; nothing if there are no samples.

    Args:
        found: of `analysis.samples.named`.
        base: the ids of the baseline's runs.
        changed: the cells to show, by the values of `CELL`, in this order; if there are none, the first ones are shown.
    """
    if found.empty:
        return []
    groups: dict[tuple[str, ...], list[int]] = {}
    for position, key in enumerate(found[["title", *CELL]].itertuples(index=False, name=None)):
        groups.setdefault(tuple(map(str, key)), []).append(position)
    order = {key: position for position, key in reversed(list(enumerate(changed)))}
    wanted = sorted((key for key in groups if key[1:] in order), key=lambda key: order[key[1:]])
    shown = (wanted or list(groups))[:CELLS]
    sides = bool(set(base) & set(found["run_id"]))
    which = "Cells that changed" if wanted else "The first cells" if len(shown) < len(groups) else "All cells"
    legend = LEGEND if sides else LEGEND_ALONE
    note = f"{which}: how their raw times are distributed, and how they went in order. {legend}"
    blocks: list[Block] = [Heading("Raw times"), Line(Text(note, "quiet"))]
    blocks += [_cell(found.iloc[groups[key]], base, opened=key == shown[0]) for key in shown]
    others = [key for key in groups if key not in shown]
    if others:
        text = f"{len(others)} cells have raw times that are not shown here; samples.parquet of each run has them"
        named = ", ".join(_label(found.iloc[groups[key][0]]) for key in others[:NAMED])
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        blocks.append(Line(Text(text, "quiet", full=named + more)))
    return blocks


def _label(first: pd.Series[Any]) -> str:
    """The cell; its sizes and threads are part of the title, if they matter."""
    row: Mapping[Any, Any] = {**first.to_dict(), "case": first["title"], "sizes": "", "threads": 1}
    return cell(row)


def _cell(group: pd.DataFrame, base: Collection[str], opened: bool) -> Fold:
    name = _label(group.iloc[0])
    processes = [
        Process(str(run), "base" if run in base else "head", tuple(value * 1e-9 for value in times))
        for run, times in zip(group["run_id"], group["samples_ns"], strict=True)
    ]
    sides: tuple[Side, ...] = ("base", "head")
    shown = [one for side in sides for one in [one for one in processes if one.side == side][-PROCESSES:]]
    medians = [statistics.median(one.seconds) for one in shown if one.seconds]
    low, high = (units.duration(end(medians)) if medians else units.ABSENT for end in (min, max))
    left = len(processes) - len(shown)
    return Fold(
        Text(f"{name}: medians of {len(shown)} process runs from {low} to {high}"),
        (
            Figure(ecdf(shown, f"Distribution of {name}"), "How many samples took no longer"),
            Figure(in_order(shown, f"Samples of {name} in order"), "The samples in their order"),
            _table(shown, f"{left} earlier process runs are not shown" if left else ""),
        ),
        opened,
    )


def _table(processes: list[Process], note: str) -> Table:
    numbers = ("samples", "shortest", "median", "longest")
    columns = (Column(("process run",)), Column(("side",)), *(Column((name,), right=True) for name in numbers))
    rows = tuple(
        (
            Text(one.label),
            Text(one.side),
            Text(str(len(one.seconds))),
            *(
                Text(units.duration(of(one.seconds)) if one.seconds else units.ABSENT)
                for of in (min, statistics.median, max)
            ),
        )
        for one in processes
    )
    return Table(columns, rows, note)
