"""Text from files is shown, never obeyed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_torchbasics.results import ResultError
from pytest_torchbasics.results.safe import (
    check_name,
    escape_csv,
    escape_html,
    escape_markdown,
    parse_json,
    safe_text,
    unescape_csv,
)


@given(st.text())
def test_safe_text_drives_no_terminal(text: str) -> None:
    shown = safe_text(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    assert not set("\u202a\u202e\u2066\u2069\u200b\u200f\u2028\ufeff") & set(shown)


@given(st.text())
def test_escaped_csv_begins_no_formula_and_can_be_undone(text: str) -> None:
    assert not escape_csv(text).startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unescape_csv(escape_csv(text)) == text


def test_markup_stays_text() -> None:
    assert escape_html("<img onerror=\"x\" src='y'>&") == "&lt;img onerror=&quot;x&quot; src=&#x27;y&#x27;&gt;&amp;"
    shown = escape_markdown("<b>|`x` [a](http://b) @user #12 *x* _y_ \\ ~z~ &lt;")
    assert "<" not in shown
    assert "\\|" in shown
    assert "@user" not in shown
    assert "http:" not in shown
    assert "\\#12" in shown
    assert "&amp;lt;" in shown


@pytest.mark.parametrize("name", ["a", "linux-cpu_2.10", "A" * 64])
def test_names_are_names(name: str) -> None:
    assert check_name(name, "the leg") == name


@pytest.mark.parametrize("name", ["..", "a.", "NUL", "com1.txt", "a b", "ü", "$(id)", "a" * 65])
def test_what_may_not_be_a_path_is_no_name(name: str) -> None:
    with pytest.raises(ResultError, match="the leg"):
        check_name(name, "the leg")


def test_brackets_in_text_are_no_nesting() -> None:
    assert parse_json(b'{"a": "' + b"[" * 500 + b'\\""}') == {"a": "[" * 500 + '"'}
