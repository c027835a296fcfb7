"""Texts that want to be more than text. Each carries the mark by which a test sees that it arrived."""

from __future__ import annotations

MARK = "Zq7"

PAYLOADS = {
    "terminal colour": "\x1b[31mred\x1b[2J",
    "terminal title": "\x1b]0;title\x07",
    "terminal link": "\x1b]8;;http://example.com\x1b\\here\x1b]8;;\x1b\\",
    "C1 control": "\x9b31mred",
    "bell, backspace, NUL": "\x07\x08\x00",
    "carriage return": "passed\rfailed",
    "two lines": "one\ntwo",
    "line separators": "one\u2028two\u2029three\x85four\x0bfive",
    "direction override": "\u202eexe.txt\u2066x\u2069",
    "zero width": "a\u200bb\ufeffc\u200d",
    "image": "<img src=x onerror=alert(1)>",
    "script": "</td></table><script>alert(1)</script>",
    "end of an attribute": "\"' onmouseover=alert(1) x='\"",
    "end of a style": "</style><style>*{background:url(http://example.com)}</style>",
    "svg": "</text></svg><svg onload=alert(1)><use href='http://example.com#x'/>",
    "entity": "&lt;b&gt;&#60;script&#62;",
    "comment": "<!-- ]]> --!> <![CDATA[",
    "markdown link": "[a](http://example.com) ![b](http://example.com/b.png) <http://example.com>",
    "markdown table": "a | b\n|---|---|\n| c | d |",
    "markdown code": "``` `x` ```",
    "markdown blocks": "# title\n> quote\n- list\n1. list\n===\n    code",
    "mention": "@everyone #1 www.example.com https://example.com a@example.com",
    "formula": '=HYPERLINK("http://example.com","x")',
    "formula of another kind": "@SUM(1+1)*cmd|' /C calc'!A0",
    "formula after a tab": "\t=1+1",
    "workflow command": "::error file=a::b\n::add-mask::secret\n##[error]x\n::stop-commands::x",
    "percent": "%0A::error::x%25 ${{ secrets.TOKEN }} $(id) `id`",
}
