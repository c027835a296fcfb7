"""The row, the journal that keeps it, the files of a run, and reading them back. Knows no pytest."""

from .errors import ResultError

__all__ = ["ResultError"]
