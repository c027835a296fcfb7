"""The one error that reading and writing results raises."""

from __future__ import annotations

from pathlib import Path


class ResultError(ValueError):
    """A result file or folder that cannot be used; the message says what, where and what to do.

    Args:
        message: what was wrong, what was found, and what to do.
        path: the file or folder.
        line: the line of the file, counted from 1.
    """

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None) -> None:
        where = "" if path is None else f"{path}, line {line}: " if line is not None else f"{path}: "
        super().__init__(where + message)
        self.path = None if path is None else Path(path)
        self.line = line
