"""Reports as one self-contained HTML file: no script, no network, light and dark."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from ..results.safe import escape_html
from .document import Block, Document, Entries, Facts, Figure, Fold, Heading, Line, Table, Text

#: Nothing may load or run, so that even a mistake in escaping stays text.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1c2128; --soft: #59636e; --line: #d8dee4; --band: #f6f8fa;
  --good: #1a7f37; --bad: #b3261e; --known: #8a6100; --hole: #8250df; --head: #0b5fc4; --zone: #e9ecef;
  --good-cell: #eaf6ec; --bad-cell: #fcebe9; --known-cell: #fbf3dd; --hole-cell: #f8f5fe; --none-cell: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1318; --ink: #e2e7ec; --soft: #97a1ab; --line: #2c333b;
  --band: #171d24; --good: #57c06e; --bad: #ff8078; --known: #dfb04c; --hole: #c3a2ff; --head: #6cb0ff;
  --zone: #232a32; --good-cell: #13241a; --bad-cell: #341a1b; --known-cell: #2b2413; --hole-cell: #251d36;
  --none-cell: #1a2027; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 76rem; background: var(--page); color: var(--ink);
  overflow-wrap: break-word; font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
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
td.shade { padding-left: .6rem; border-right: 2px solid var(--page); } td.good { background: var(--good-cell); }
td.bad { background: var(--bad-cell); } td.known { background: var(--known-cell); }
td.hole { background: var(--hole-cell); } td.none, td.quiet { background: var(--none-cell); }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin-top: 1rem; } nav li { border: 0; padding: 0; }
a { color: var(--head); } :focus-visible { outline: 2px solid var(--head); outline-offset: 2px; }
.fold { margin-top: 1rem; } .fold + .fold { margin-top: .3rem; }
.fold > summary { font-weight: 500; padding: .15rem 0; overflow-wrap: anywhere; }
.figures { display: flex; flex-wrap: wrap; gap: 0 2rem; } figure { margin: 1rem 0 0; width: 100%; max-width: 27rem; }
figure.fluid { max-width: 46rem; } figcaption { color: var(--soft); font-size: .88rem; margin-top: .3rem; }
svg.plot { display: block; overflow: visible; font-size: 12px; } svg.scaled { width: 100%; height: auto; }
svg text { fill: var(--ink); } svg .soft { fill: var(--soft); }
svg .line.roof { stroke: var(--hole); stroke-width: 1.5; }
svg text.roof { fill: var(--hole); } svg .grid { stroke: var(--line); } svg .axis { stroke: var(--soft); }
svg .band { fill: var(--zone); } svg .line { fill: none; stroke: var(--soft); stroke-width: 1.3; }
svg .line.head { stroke: var(--head); } svg .line.base { stroke-dasharray: 4 2; } svg .mark { fill: var(--soft); }
svg .mark.head, svg .dot { fill: var(--head); } svg .dot { fill-opacity: .75; } svg .interval { fill: var(--head);
  fill-opacity: .16; } svg .break { stroke: var(--known); stroke-dasharray: 2 3; stroke-width: 1.3; }
svg .marked { stroke: var(--bad); stroke-width: 1.3; } svg .line.good { stroke: var(--good); }
svg .line.bad { stroke: var(--bad); } svg .line.known { stroke: var(--known); } svg .line.hole { stroke: var(--hole); }
svg .mark.good, svg text.good { fill: var(--good); } svg .mark.bad, svg text.bad { fill: var(--bad); }
svg .mark.known, svg text.known { fill: var(--known); } svg .mark.hole, svg text.hole { fill: var(--hole); }
svg text.quiet, svg text.none { fill: var(--soft); font-weight: 400; }
@media print { body { max-width: none; } tbody tr:hover { background: none; } }
"""


#: A page of so many sections begins with links to them.
CONTENTS_FROM = 6


def render(document: Document) -> str:
    """A document as a whole HTML page."""
    title = escape_html(document.title)
    first, *others = document.blocks
    body = "\n".join(
        [
            *_blocks([first], document.title),
            f'<p class="result">{_inline(document.result)}</p>',
            *_contents(document.blocks),
            *_blocks(others, document.title),
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{body}\n"
        "</main>\n</body>\n</html>\n"
    )


def _contents(blocks: Sequence[Block]) -> list[str]:
    """Links to the sections of a long page."""
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    if len(headings) < CONTENTS_FROM:
        return []
    links = (f'<li><a href="#{_anchor(text)}">{escape_html(text)}</a></li>' for text in dict.fromkeys(headings))
    return [f'<nav aria-label="sections"><ul>{"".join(links)}</ul></nav>']


def _anchor(heading: str) -> str:
    """A heading as the name of its place in the page."""
    return re.sub("[^a-z0-9]+", "-", heading.lower()[:80]).strip("-") or "section"


def _blocks(blocks: Sequence[Block], title: str) -> Iterator[str]:
    """The blocks one after the other, figures side by side; a table is called after the heading above it."""
    for kind, group in itertools.groupby(blocks, type):
        if issubclass(kind, Figure):
            figures = (_figure(block) for block in group if isinstance(block, Figure))
            yield f'<div class="figures">{"".join(figures)}</div>'
            continue
        for block in group:
            title = block.text if isinstance(block, Heading) else title
            yield _block(block, title)


def _block(block: Block, title: str) -> str:
    if isinstance(block, Heading):
        return f'<h2 id="{_anchor(block.text)}">{escape_html(block.text)}</h2>'
    if isinstance(block, Facts):
        pairs = (f"<dt>{escape_html(name)}</dt><dd>{_inline(value)}</dd>" for name, value in block.pairs)
        return f"<dl>{''.join(pairs)}</dl>"
    if isinstance(block, Table):
        return _table(block, title)
    if isinstance(block, Entries):
        return f"<ul>{''.join(_entry(entry.title, entry.detail) for entry in block.entries)}</ul>"
    if isinstance(block, Fold):
        inside = "\n".join(_blocks(block.blocks, block.title.text))
        opened = " open" if block.opened else ""
        summary = f"<summary>{_span(block.title)}</summary>"
        return f'<details class="fold"{opened}>{summary}\n{inside}\n</details>'
    assert isinstance(block, Line)
    return f'<p class="line">{_inline(block.text)}</p>'


def _figure(figure: Figure) -> str:
    fluid = "" if "viewBox=" in figure.svg.partition(">")[0] else ' class="fluid"'
    return f"<figure{fluid}>{figure.svg}<figcaption>{escape_html(figure.caption)}</figcaption></figure>\n"


def _table(table: Table, title: str) -> str:
    heads = "".join(
        f'<th scope="col"{_class(column.right, column.wraps)}>{"<br>".join(map(escape_html, column.lines))}</th>'
        for column in table.columns
    )
    rows = []
    for row in table.rows:
        first = f'<th scope="row">{_inline(row[0])}</th>'
        others = (
            f"<td{_class(column.right, column.wraps, text.tone if table.shaded else '')}>{_inline(text)}</td>"
            for column, text in zip(table.columns[1:], row[1:], strict=True)
        )
        rows.append(f"<tr>{first}{''.join(others)}</tr>\n")
    note = "".join(f'<p class="note">{escape_html(line)}</p>' for line in table.note.splitlines())
    body = f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{''.join(rows)}</tbody>"
    # What scrolls must be reached by the keyboard, and have a name.
    region = f'class="wide" role="region" tabindex="0" aria-label="{escape_html(title)}"'
    return f"<div {region}><table>\n{body}</table></div>{note}"


def _class(right: bool, wraps: bool, shade: str = "") -> str:
    words = ["right" if right else "" if wraps else "short", f"shade {shade}" if shade else ""]
    return f' class="{" ".join(filter(None, words))}"' if any(words) else ""


def _inline(text: Text) -> str:
    words = _span(text)
    if not text.full:
        return words
    return f"<details><summary>{words}</summary><p>{escape_html(text.full)}</p></details>"


def _span(text: Text) -> str:
    words = escape_html(text.text)
    return words if text.tone == "plain" else f'<span class="{text.tone}">{words}</span>'


def _entry(title: Text, detail: str) -> str:
    return f"<li>{_inline(title)}{f'<div>{escape_html(detail)}</div>' if detail else ''}</li>"
