"""Reports as GitHub-flavoured Markdown, for a step summary or a comment."""

from __future__ import annotations

from ..results.safe import escape_html, escape_markdown
from .document import Block, Document, Entries, Facts, Figure, Fold, Heading, Line, Table


def render(document: Document) -> str:
    """A document as Markdown."""
    first, *others = (_block(block) for block in document.blocks)
    result = f"**{escape_markdown(document.result.text)}**"
    parts = [f"## {escape_markdown(document.title)}", first, result, *others]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"### {escape_markdown(block.text)}"
    if isinstance(block, Facts):
        return "\n".join(f"- **{escape_markdown(name)}**: {escape_markdown(value.text)}" for name, value in block.pairs)
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Entries):
        return "\n".join(_entry(entry.title.text, entry.detail) for entry in block.entries)
    if isinstance(block, Figure):
        return "\n\n".join(escape_markdown(words) for words in (block.caption, block.told) if words)
    if isinstance(block, Fold):
        inside = "\n\n".join(filter(None, map(_block, block.blocks)))
        return f"<details><summary>{_in_html(block.title.text)}</summary>\n\n{inside}\n\n</details>"
    assert isinstance(block, Line)
    return escape_markdown(block.text.text)


def _table(table: Table) -> str:
    heads = " | ".join(escape_markdown(" ".join(column.lines)) for column in table.columns)
    rule = " | ".join("---:" if column.right else "---" for column in table.columns)
    rows = [" | ".join(escape_markdown(text.text) for text in row) for row in table.rows]
    note = "".join(f"\n\n{escape_markdown(line)}" for line in table.note.splitlines())
    return "\n".join(f"| {line} |" for line in (heads, rule, *rows)) + note


def _entry(title: str, detail: str) -> str:
    return f"- {escape_markdown(title)}" + (f"  \n  {escape_markdown(detail)}" if detail else "")


def _in_html(words: str) -> str:
    """Text between tags, where backslashes escape nothing; no mention comes alive."""
    return escape_html(words).replace("@", "@\u200b")
