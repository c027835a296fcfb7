"""A report before it has a look: facts, tables, entries, lines and figures, each text with a tone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: What a text says, beside its words; a renderer may colour it, and the words must do without.
Tone = Literal["plain", "good", "bad", "known", "none", "hole", "quiet"]


@dataclass(frozen=True)
class Text:
    """A piece of text.

    Attributes:
        text: the words, short.
        tone: what they say.
        full: the same in full, for where there is room.
    """

    text: str
    tone: Tone = "plain"
    full: str = ""


@dataclass(frozen=True)
class Column:
    """The head of a column.

    Attributes:
        lines: its name, over one or more lines.
        right: numbers, set to the right.
        wraps: long text that may take several lines.
        group: columns of one group are kept side by side.
    """

    lines: tuple[str, ...]
    right: bool = False
    wraps: bool = False
    group: str = ""


@dataclass(frozen=True)
class Heading:
    """The title of what follows."""

    text: str


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    pairs: tuple[tuple[str, Text], ...]


@dataclass(frozen=True)
class Table:
    """Rows of texts; the first column names the row.

    Attributes:
        columns: the heads.
        rows: a text for each column.
        note: how to read it.
        blank_repeats: leave the first column blank where it repeats the row above, where that can be seen.
        shaded: the tone of a text is that of its whole cell, where that can be seen: a heatmap.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Text, ...], ...]
    note: str = ""
    blank_repeats: bool = False
    shaded: bool = False


@dataclass(frozen=True)
class Entry:
    """Something that needs attention: what and where, then why."""

    title: Text
    detail: str = ""


@dataclass(frozen=True)
class Entries:
    """A list of entries."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Line:
    """One line of text."""

    text: Text


@dataclass(frozen=True)
class Figure:
    """A plot. Figures one after the other stand side by side where there is room.

    Attributes:
        svg: the markup, made by `plots` alone: it is put into a page as it is.
        caption: what it shows and how to read it.
        told: what can be seen in it, in words, for where there are no pictures.
    """

    svg: str
    caption: str
    told: str = ""


@dataclass(frozen=True)
class Fold:
    """Blocks that few readers need, behind their title where that can be opened.

    Attributes:
        title: what is inside.
        blocks: what it holds; no headings.
        opened: shown at first, as the example of several.
    """

    title: Text
    blocks: tuple[Block, ...]
    opened: bool = False


Block = Heading | Facts | Table | Entries | Line | Figure | Fold


@dataclass(frozen=True)
class Document:
    """A report.

    Attributes:
        title: what it is.
        blocks: what it holds; the first one is the header.
        result: all of it in one line; at the top of a page, and at the end in a terminal, where one looks.
    """

    title: str
    blocks: tuple[Block, ...]
    result: Text


def names(items: Sequence[str], what: str, shown: int = 3, all_of: int = 0) -> Text:
    """A few names and how many more: `5 cases: add, cat, gelu and 2 more`.

    Args:
        items: the names.
        what: the word for several of them.
        shown: how many are named; with 0 it is `5 cases`.
        all_of: how many there are in all; then `all 35 cases` is said without names.
    """
    if len(items) == all_of and len(items) > max(shown, 1):
        return Text(f"all {len(items)} {what}", full=", ".join(items))
    if len(items) <= shown + 1:
        return Text(", ".join(items))
    some = f": {', '.join(items[:shown])} and {len(items) - shown} more" if shown else ""
    return Text(f"{len(items)} {what}{some}", full=", ".join(items))
