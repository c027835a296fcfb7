"""Reports for a terminal: fits its width, and reads the same without colour."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..results.safe import safe_text, without_commands
from .document import Block, Column, Document, Entries, Facts, Figure, Fold, Heading, Line, Table, Text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as RichText

STYLES = {"good": "green", "bad": "bold red", "known": "yellow", "none": "dim", "hole": "magenta", "quiet": "dim"}
#: The least and the most that the first column takes before it folds, and the least of a column of long text.
NAME, NAME_MOST, PROSE = 14, 34, 24
GAP = 2
#: For terminals that cannot show more.
ASCII = str.maketrans(
    dict(zip("✓✗–○·µ±─…▲▼≠", "+x-o|u~-~^v#", strict=True))  # one sign for one sign, so that columns stay
)


def render(document: Document, width: int = 100, color: bool = False, details: bool = False) -> str:
    """A document as text that ends in a newline.

    Args:
        document: what is reported.
        width: of the terminal.
        color: write ANSI colours.
        details: leave nothing out.
    """
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=max(width, 40),
        force_terminal=color,
        color_system="standard" if color else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    _print_blocks(console, document.blocks, details)
    console.print()
    console.print(_text(document.result))
    return "".join(f"{without_commands(line.rstrip())}\n" for line in buffer.getvalue().splitlines())


def to_ascii(text: str) -> str:
    """The text for a terminal that shows ASCII only."""
    return text.translate(ASCII).encode("ascii", "backslashreplace").decode("ascii")


def _print_blocks(console: Console, blocks: Sequence[Block], details: bool) -> None:
    for before, block in zip((None, *blocks), blocks, strict=False):
        if isinstance(block, Heading):
            console.print()
            console.print(_text(Text(block.text)), style="bold")
        elif isinstance(block, Facts):
            _print_facts(console, block)
        elif isinstance(block, Table):
            _print_table(console, block, details)
        elif isinstance(block, Entries):
            _print_entries(console, block)
        elif isinstance(block, Figure):
            console.print()
            console.print(_text(Text(" ".join(filter(None, (block.caption, block.told))))))
        elif isinstance(block, Fold):
            console.print()
            console.print(_text(block.title), style="bold")
            _print_blocks(console, block.blocks, details)
        elif isinstance(block, Line):
            if not isinstance(before, Line):
                console.print()
            console.print(_text(block.text))


def _print_facts(console: Console, facts: Facts) -> None:
    from rich.table import Table as Grid

    grid = Grid.grid(padding=(0, GAP))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.pairs:
        grid.add_row(_text(Text(name)), _text(value))
    console.print(grid)


def _print_entries(console: Console, entries: Entries) -> None:
    from rich.padding import Padding

    for entry in entries.entries:
        console.print(_text(entry.title), overflow="fold")
        if entry.detail:
            console.print(Padding(_text(Text(entry.detail)), (0, 0, 0, 4)))


def _print_table(console: Console, table: Table, details: bool) -> None:
    """One grid, or several that repeat the first column where the columns do not fit side by side."""
    from rich import box
    from rich.table import Table as Grid

    widths = [_natural(table, index, details) for index in range(len(table.columns))]
    for position, chosen in enumerate(_parts(table.columns, widths, console.width)):
        if position:
            console.print()
        grid = Grid(
            box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold"
        )
        for index in chosen:
            column = table.columns[index]
            grid.add_column(
                _text(Text("\n".join(column.lines)), keep_lines=True),
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=not (column.wraps or index == 0),
                min_width=min(widths[index], PROSE if column.wraps else NAME if index == 0 else widths[index]),
                max_width=NAME_MOST if index == 0 else None,
            )
        above = None
        for row in table.rows:
            first = Text("") if table.blank_repeats and row[0].text == above else row[0]
            above = row[0].text
            grid.add_row(*(_text(first if index == 0 else row[index], details) for index in chosen))
        console.print(grid)
    if table.note:
        console.print(_text(Text(table.note, "quiet"), keep_lines=True))


def _parts(columns: tuple[Column, ...], widths: list[int], room: int) -> list[list[int]]:
    """Which columns stand side by side; groups stay together if they fit into one part."""
    needed = [PROSE if column.wraps else width for column, width in zip(columns, widths, strict=True)]
    name = min(needed[0], NAME)
    if name + sum(width + GAP for width in needed[1:]) <= room:
        return [list(range(len(columns)))]
    parts: list[list[int]] = []
    used = room + 1
    for group in _groups(columns):
        together = sum(needed[index] + GAP for index in group)
        for index in group:
            begins_group = index == group[0] and used + together > room >= name + together
            if begins_group or used + needed[index] + GAP > room:
                parts.append([0])
                # The name is folded only if that keeps the group in one part.
                used = min(needed[0], NAME_MOST)
                used = name if used + together > room >= name + together else used
            parts[-1].append(index)
            used += needed[index] + GAP
    return parts


def _groups(columns: tuple[Column, ...]) -> list[list[int]]:
    groups: list[list[int]] = []
    for index in range(1, len(columns)):
        if index > 1 and columns[index].group == columns[index - 1].group:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def _natural(table: Table, index: int, details: bool) -> int:
    from rich.cells import cell_len

    texts = [row[index] for row in table.rows]
    shown = [text.full or text.text if details else text.text for text in texts]
    return max([cell_len(safe_text(text)) for text in (*shown, *table.columns[index].lines)], default=1)


def _text(text: Text, details: bool = False, keep_lines: bool = False) -> RichText:
    from rich.text import Text as Rich

    words = text.full if details and text.full else text.text
    shown = "\n".join(map(safe_text, words.split("\n"))) if keep_lines else safe_text(words)
    return Rich(shown, style=STYLES.get(text.tone, ""))
