"""The small project of the integration tests, for runs that must not be green."""

from ..integration.conftest import run

__all__ = ["run"]
