"""Reports as one self-contained HTML file: no script, no network, light and dark."""

from __future__ import annotations

from ..results.safe import escape_html
from .document import Block, Document, Entries, Facts, Heading, Line, Table, Text

#: Nothing may load or run, so that even a mistake in escaping stays text.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c2128; --soft: #59636e; --line: #d8dee4; --band: #f6f8fa;
  --good: #1a7f37; --bad: #b3261e; --known: #8a6100; --hole: #8250df; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1318; --ink: #e2e7ec; --soft: #97a1ab; --line: #2c333b;
  --band: #171d24; --good: #57c06e; --bad: #ff8078; --known: #dfb04c; --hole: #c3a2ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 76rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.45rem; margin: 0 0 1rem; } h2 { font-size: 1.1rem; margin: 2.25rem 0 .6rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; min-width: 100%; width: fit-content; max-width: calc(100vw - 2.5rem);
  margin-left: 50%; transform: translateX(-50%); }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .9rem .28rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; border-bottom-width: 2px; }
tbody th { font-weight: 500; overflow-wrap: break-word; max-width: 24rem; }
tbody th, thead th:first-child { position: sticky; left: 0; background: var(--page); }
tbody tr:hover, tbody tr:hover th { background: var(--band); }
td.right, th.right { text-align: right; white-space: nowrap; } td.short { white-space: nowrap; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; } .known { color: var(--known); }
.hole { color: var(--hole); } .none, .quiet { color: var(--soft); }
p.note { color: var(--soft); font-size: .88rem; margin: .5rem 0 0; } p.line { margin: 1.25rem 0 0; }
p.result { margin: 1.1rem 0 0; padding: .6rem .9rem; background: var(--band); border-radius: 6px; }
ul { list-style: none; padding: 0; margin: 0; } li { padding: .5rem 0; border-bottom: 1px solid var(--line); }
li div { color: var(--soft); overflow-wrap: anywhere; } details { cursor: default; } summary { cursor: pointer; }
details p { margin: .3rem 0 .2rem; color: var(--soft); overflow-wrap: anywhere; }
@media print { body { max-width: none; } tbody tr:hover { background: none; } }
"""


def render(document: Document) -> str:
    """A document as a whole HTML page."""
    title = escape_html(document.title)
    first, *others = (_block(block) for block in document.blocks)
    body = "\n".join([first, f'<p class="result">{_inline(document.result)}</p>', *others])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h2>{escape_html(block.text)}</h2>"
    if isinstance(block, Facts):
        pairs = (f"<dt>{escape_html(name)}</dt><dd>{_inline(value)}</dd>" for name, value in block.pairs)
        return f"<dl>{''.join(pairs)}</dl>"
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Entries):
        return f"<ul>{''.join(_entry(entry.title, entry.detail) for entry in block.entries)}</ul>"
    assert isinstance(block, Line)
    return f'<p class="line">{_inline(block.text)}</p>'


def _table(table: Table) -> str:
    heads = "".join(
        f'<th scope="col"{_class(column.right, column.wraps)}>{"<br>".join(map(escape_html, column.lines))}</th>'
        for column in table.columns
    )
    rows = []
    for row in table.rows:
        first = f'<th scope="row">{_inline(row[0])}</th>'
        others = (
            f"<td{_class(column.right, column.wraps)}>{_inline(text)}</td>"
            for column, text in zip(table.columns[1:], row[1:], strict=True)
        )
        rows.append(f"<tr>{first}{''.join(others)}</tr>\n")
    note = "".join(f'<p class="note">{escape_html(line)}</p>' for line in table.note.splitlines())
    body = f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>"
    return f'<div class="wide"><table>\n{body}</table></div>{note}'


def _class(right: bool, wraps: bool) -> str:
    return ' class="right"' if right else "" if wraps else ' class="short"'


def _inline(text: Text) -> str:
    words = escape_html(text.text)
    if text.tone != "plain":
        words = f'<span class="{text.tone}">{words}</span>'
    if not text.full:
        return words
    return f"<details><summary>{words}</summary><p>{escape_html(text.full)}</p></details>"


def _entry(title: Text, detail: str) -> str:
    return f"<li>{_inline(title)}{f'<div>{escape_html(detail)}</div>' if detail else ''}</li>"
