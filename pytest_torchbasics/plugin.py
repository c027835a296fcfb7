"""pytest's hooks, and nothing else: each hands over to `integration`."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from .integration import options
from .integration.fixtures import (  # noqa: F401  (pytest finds fixtures in the plugin's module)
    _torchbasics_clock,
    case,
    check,
    device,
    dtype,
    generator,
    measure,
    mode,
    phase,
    torchbasics_check,
    torchbasics_device,
    torchbasics_dtype,
    torchbasics_sizes,
    torchbasics_threads,
)

#: A test that uses none of these is not ours.
_OWN = frozenset({"case", "check", "measure", "device", "dtype", "mode", "phase", "generator"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options under their long names."""
    options.add_long_names(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser) -> Generator[None, Any, Any]:
    """Register the bare names that no conftest has taken."""
    before = options.taken_names(parser)
    result = yield
    options.add_bare_names(parser, early_config, before)
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and describe the markers."""
    from .integration import configuring

    configuring.configure(config)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer --list-checks."""
    if not config.option.torchbasics_list_checks:
        return None
    from .integration import configuring

    return configuring.list_checks()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Turn a test of ours into its items."""
    marks = metafunc.definition.own_markers
    if not _OWN.isdisjoint(metafunc.fixturenames) or (marks and any(mark.name == "cases" for mark in marks)):
        from .integration import items

        items.parametrize(metafunc)


@pytest.hookimpl(tryfirst=True)  # before an xdist worker tells that it has collected: its journal is there then
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to record, if anything is ours."""
    if "pytest_torchbasics.integration.items" in sys.modules:  # else no test of ours was met
        from .integration import items

        items.require_usable(session.config)
    if any("check" in names or "measure" in names for names in map(_fixture_names, session.items)):
        from .integration import recording

        recording.start(session)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where this run's results are."""
    from .integration import recording

    node.workerinput["torchbasics_folder"] = str(recording.announce_folder(node.config).path)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is selected, if anything is."""
    from .integration import configuring

    return configuring.header(config)


def _fixture_names(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])
