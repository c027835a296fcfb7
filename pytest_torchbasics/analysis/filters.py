"""Choosing rows by an expression like pytest's -k: `linear and not (bfloat16 or backward)`. Parsed, never evaluated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..results.errors import ResultError

if TYPE_CHECKING:
    import pandas as pd

#: The columns that a word is looked for in.
COLUMNS = ("case", "check", "phase", "mode", "device", "dtype", "sizes")
DEPTH = 50

_TOKEN = re.compile(r"\s*(?:([()])|([^\s()]+))")


def matching(frame: pd.DataFrame, expression: str) -> pd.DataFrame:
    """The rows of a frame of `load` that an expression chooses: those of `mask_of`."""
    chosen: pd.DataFrame = frame[mask_of(frame, expression)]
    return chosen


def mask_of(frame: pd.DataFrame, expression: str) -> pd.Series[bool]:
    """Which rows' case, check, phase, mode, device, dtype or sizes the expression's words occur in.

    Args:
        frame: with these columns.
        expression: words, `and`, `or`, `not` and brackets; upper and lower case are one. `dtype:float16` is a word
            that is the whole of that column.

    Raises:
        ResultError: the expression is not one.
    """
    columns = {column: frame[column].astype(str).str.lower() for column in COLUMNS}
    text = columns[COLUMNS[0]]
    for column in COLUMNS[1:]:
        text = text + " " + columns[column]

    def holds(word: str) -> pd.Series[bool]:
        column, colon, value = word.lower().partition(":")
        if colon and column in columns:
            return columns[column] == value
        return text.str.contains(word.lower(), regex=False)

    return _Parser(expression, holds).parse()


def check_expression(expression: str) -> None:
    """Raise a ResultError if the expression is none."""
    import pandas as pd

    mask_of(pd.DataFrame({column: pd.Series([], dtype="str") for column in COLUMNS}), expression)


class _Parser:
    """Recursive descent: or < and < not < word or brackets."""

    def __init__(self, expression: str, holds: Callable[[str], pd.Series[bool]]) -> None:
        self.expression = expression
        self.tokens = [bracket or word for bracket, word in _TOKEN.findall(expression)]
        self.position = self.depth = 0
        self.holds = holds

    def parse(self) -> pd.Series[bool]:
        found = self._or()
        if self.position < len(self.tokens):
            raise self._error()
        return found

    def _or(self) -> pd.Series[bool]:
        found = self._and()
        while self._take("or"):
            found = found | self._and()
        return found

    def _and(self) -> pd.Series[bool]:
        found = self._not()
        while self._take("and"):
            found = found & self._not()
        return found

    def _not(self) -> pd.Series[bool]:
        self.depth += 1
        if self.depth > DEPTH or self.position >= len(self.tokens):
            raise self._error()
        if self._take("not"):
            found = ~self._not()
        elif self._take("("):
            found = self._or()
            if not self._take(")"):
                raise self._error()
        elif self.tokens[self.position].lower() in (")", "and", "or"):
            raise self._error()
        else:
            found = self.holds(self.tokens[self.position])
            self.position += 1
        self.depth -= 1
        return found

    def _take(self, token: str) -> bool:
        taken = self.position < len(self.tokens) and self.tokens[self.position].lower() == token
        self.position += taken
        return taken

    def _error(self) -> ResultError:
        found = repr(self.tokens[self.position]) if self.position < len(self.tokens) else "its end"
        return ResultError(
            f"the expression {self.expression[:80]!r} is wrong at {found}; write words with and, or, not and brackets"
        )
