"""A process that forks a run of pytest for each row."""

from ..faults.conftest import server

__all__ = ["server"]
