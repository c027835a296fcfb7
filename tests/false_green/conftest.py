"""A process that forks a run of pytest for each row, and the small project of the integration tests."""

from ..faults.conftest import server
from ..integration.conftest import run

__all__ = ["run", "server"]
