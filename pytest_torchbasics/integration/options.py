"""The command line options and their ini twins: one list, from which everything else follows.

Each option has a long name of its own (`--torchbasics-device`), which pytest knows from the start, and a bare
name (`--device`). Bare names are registered after the initial conftests, and only where they are free: a
project's conftest or another plugin may define them, and registering twice would end pytest at the start.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

PREFIX = "torchbasics"


class Option(NamedTuple):
    """A command line option; the ini twin of `--measure-dtype` is `torchbasics_measure_dtype`."""

    name: str
    help: str
    metavar: str = ""
    repeatable: bool = False
    ini: bool = True

    @property
    def dest(self) -> str:
        """The name of the parsed value, and of the ini twin."""
        return f"{PREFIX}_{self.name.replace('-', '_')}"

    @property
    def flags(self) -> dict[str, Any]:
        """How argparse is to read it."""
        if not self.metavar:
            return {"action": "store_true", "default": False, "help": self.help}
        action = "append" if self.repeatable else "store"
        return {"action": action, "default": None, "metavar": self.metavar, "help": self.help}


OPTIONS = (
    Option(
        "device", "devices: cpu, cuda, cuda:1, ...; auto (cpu and the accelerator, the default); all", "NAMES", True
    ),
    Option("dtype", "dtypes: float32, bf16, ...; floating, low-precision, complex, integral, all", "NAMES", True),
    Option("measure-dtype", "dtypes that are timed (default: those of --dtype)", "NAMES", True),
    Option(
        "mode",
        "execution modes, such as eager (default), compile, channels_last+autocast (docs/timing.md)",
        "NAMES",
        True,
    ),
    Option("threads", "threads of the CPU that are timed, such as 1,2 (default: 1)", "NUMBERS", True),
    Option("phase", "what is timed: forward, backward, forward_backward (default: all three)", "NAMES", True),
    Option("checks", "run only these checks (--list-checks lists them)", "NAMES", True),
    Option("list-checks", "list the checks, one line each on what fault it finds, and stop", ini=False),
    Option("results", "write this run's tables under DIR, a folder or a URL (default, and if empty: nowhere)", "DIR"),
    Option(
        "resume",
        "go on with a run of --results that died: an id, a folder or latest; what ended is kept",
        "RUN",
        ini=False,
    ),
    Option("leg", "name of this leg of a CI matrix, kept in the results", "NAME"),
    Option("shard", "run the K-th of N deterministic shares of the cases", "K/N"),
    Option("isolate", "run items in processes of their own: one that dies or hangs is named, and the rest goes on"),
    Option("item-timeout", "end the process of an item that takes longer, with its stack (default: 0, no limit)", "S"),
    Option("cold-cache", "time accelerators after their cache was cleared too (device_cold)"),
    Option("timer-quality", "how much time a measurement may take: quick, standard (default), precise", "NAME"),
)

#: Bare names that somebody else defined: {option name: "project" or "plugin"}.
FOREIGN: pytest.StashKey[dict[str, str]] = pytest.StashKey()


def add_long_names(parser: pytest.Parser) -> None:
    """Register `--torchbasics-...` and the ini twins."""
    group = parser.getgroup(PREFIX, "torchbasics: PyTorch layers, right and fast")
    for option in OPTIONS:
        group.addoption(f"--{PREFIX}-{option.name}", dest=option.dest, **option.flags)
        if option.ini:
            parser.addini(option.dest, option.help, default=None)


def taken_names(parser: pytest.Parser) -> set[str]:
    """All option strings that are registered so far."""
    # There is no public way to ask; both attributes exist in pytest 8.2 to 9.2.
    groups = {id(group): group for group in [*parser._groups, parser._anonymous]}.values()
    return {name for group in groups for option in group.options for name in option.names()}


def any_given(config: pytest.Config) -> bool:
    """True if an option is on the command line or in the configuration file."""
    return any(
        config.getoption(option.dest, None) not in (None, False) or (option.ini and config.getini(option.dest))
        for option in OPTIONS
    )


def add_bare_names(parser: pytest.Parser, config: pytest.Config, before_conftests: set[str]) -> None:
    """Register `--device` and the others where they are free, and remember who has the rest."""
    group = parser.getgroup(PREFIX)
    taken = taken_names(parser)
    foreign = config.stash.setdefault(FOREIGN, {})
    for option in OPTIONS:
        bare = f"--{option.name}"
        if bare not in taken:
            group.addoption(bare, dest=option.dest, **option.flags)
        else:
            foreign[option.name] = "plugin" if bare in before_conftests else "project"
