"""The options of a run, read once, checked, and frozen."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from ..modes import parse_modes
from ..results.remote import is_url, mirror_of
from ..results.safe import check_name, is_there, safe_text
from .options import FOREIGN, OPTIONS

SETTINGS: pytest.StashKey[Settings] = pytest.StashKey()
DEVICES: pytest.StashKey[tuple[str, ...]] = pytest.StashKey()

#: How much of what was given stands in a message about it.
SHOWN = 200
T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What the options say. None stands for "not given".

    Attributes:
        device_names: as given, or None for `auto`; resolved by `devices_of`.
        device_source: the option or ini key the names come from, for messages.
        dtypes: selected dtypes.
        measure_dtypes: selected dtypes for timing.
        device_is_foreign: the names come from an option of somebody else, whose tests may not need the device.
        notes: lines for the header about options that belong to others.
    """

    device_names: tuple[str, ...] | None
    device_source: str
    dtypes: tuple[str, ...] | None
    measure_dtypes: tuple[str, ...] | None
    modes: tuple[str, ...]
    threads: tuple[int, ...]
    phases: tuple[str, ...] | None
    checks: tuple[str, ...] | None
    results: Path | None
    results_url: str
    leg: str
    shard: tuple[int, int] | None
    quality: str
    cold_cache: bool
    isolate: bool
    item_timeout: float
    resume: str
    device_is_foreign: bool
    notes: tuple[str, ...]


def settings_of(config: pytest.Config) -> Settings:
    """The settings of a run, read when they are first asked for.

    Raises:
        pytest.UsageError: an option has a value that cannot be used; one line, and pytest ends with exit 4.
    """
    if SETTINGS not in config.stash:
        config.stash[SETTINGS] = _read_settings(config)
    return config.stash[SETTINGS]


def _read_settings(config: pytest.Config) -> Settings:
    """Read and check all options."""
    values = {option.name: _Value.of(config, option.name) for option in OPTIONS}
    notes: list[str] = []
    devices, device_source = _foreign(config, "device", values["device"], _looks_like_devices, notes)
    dtypes, dtype_source = _foreign(config, "dtype", values["dtype"], _looks_like_dtypes, notes)
    shard = values["shard"]
    return Settings(
        device_names=devices,
        device_source=device_source,
        dtypes=_parse(dtype_source, dtypes, _parse_dtypes),
        measure_dtypes=_measure_dtypes(values["measure-dtype"], values["dtype"]),
        modes=_parse(values["mode"].source, values["mode"].names, parse_modes) or ("eager",),
        threads=_parse(values["threads"].source, values["threads"].names, _parse_threads) or (1,),
        phases=_choice(values["phase"], _phases),
        checks=_parse(values["checks"].source, values["checks"].names, _parse_checks),
        results=_results(config, values["results"]),
        results_url=(values["results"].text or "") if is_url(values["results"].text or "") else "",
        leg=_leg(values["leg"]),
        shard=_shard(shard) if shard.text else None,
        quality=(_choice(values["timer-quality"], _qualities) or ("standard",))[0],
        cold_cache=_switch(values["cold-cache"]),
        isolate=_isolate(config, values["isolate"]),
        item_timeout=_item_timeout(values["item-timeout"]),
        resume=_resume(config, values["resume"]),
        device_is_foreign=values["device"].text is None,
        notes=tuple(notes),
    )


def devices_of(config: pytest.Config) -> tuple[str, ...]:
    """The devices of the run. Imports torch, so it is called only when a test asks for a device.

    Raises:
        pytest.UsageError: a named device cannot be used on this machine.
    """
    if DEVICES not in config.stash:
        from ..backends import DeviceError, backend_for, resolve_devices

        settings = settings_of(config)
        try:
            config.stash[DEVICES] = resolve_devices(
                ("auto",) if settings.device_names is None else settings.device_names
            )
        except DeviceError as error:
            raise pytest.UsageError(f"{settings.device_source}: {error}") from None
        if worker := getattr(config, "workerinput", None):
            workers = int(worker["workercount"])
            for device in config.stash[DEVICES]:
                backend_for(device).take_share(device, int(worker["workerid"].removeprefix("gw")) % workers, workers)
    return config.stash[DEVICES]


class _Value(NamedTuple):
    """The text of an option and where it comes from; the command line wins over the ini file."""

    source: str
    text: str | None
    from_command_line: bool

    @classmethod
    def of(cls, config: pytest.Config, name: str) -> _Value:
        option = next(option for option in OPTIONS if option.name == name)
        given = config.getoption(option.dest, None)
        if given is not None and given is not False:
            text = ",".join(given) if isinstance(given, list) else str(given)
            return cls(f"--{name}={_shown(text)}", text, True)
        written = config.getini(option.dest) if option.ini else None
        if written is None or written == "":
            return cls(f"--{name}", None, False)
        text = ",".join(written) if isinstance(written, list) else str(written)
        return cls(f"{option.dest} = {_shown(text)} (in the configuration file)", text, False)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The text as a list."""
        if self.text is None:
            return None
        return tuple(name for part in re.split(r"[,\n]", self.text) if (name := part.strip()))


def _shown(text: str) -> str:
    """What was given, in a message: one line that drives no terminal."""
    return safe_text(text.strip().replace("\n", ","))[:SHOWN]


def _foreign(
    config: pytest.Config, name: str, value: _Value, fits: Callable[[Sequence[str]], bool], notes: list[str]
) -> tuple[tuple[str, ...] | None, str]:
    """The names of `--device` or `--dtype`; where somebody else defined the option, theirs if it fits."""
    owner = config.stash.get(FOREIGN, {}).get(name)
    if owner is None or value.text is not None:
        return value.names, value.source
    theirs = config.getoption(f"--{name}", None)
    if theirs is None or theirs == [] or theirs == "":
        return None, value.source
    text = ",".join(map(str, theirs)) if isinstance(theirs, (list, tuple)) else str(theirs)
    names = _Value(name, text, True).names or ()
    whose = "this project's conftest" if owner == "project" else "another plugin"
    if fits(names):
        notes.append(f"--{name}={text} is an option of {whose}, and is followed")
        return names, f"--{name}={text}"
    notes.append(f"--{name} is an option of {whose}; {text!r} is not followed, use --torchbasics-{name}")
    return None, value.source


def _looks_like_devices(names: Sequence[str]) -> bool:
    """Names of devices, wrong ones such as `gpu0` too: what is meant as a device is refused, never passed over."""
    from ..backends import backends

    found = backends()
    kinds = {*found, "auto", "all", *(name for backend in found.values() for name in backend.also_called)}
    return bool(names) and all(re.split(r"[:\d]", name.strip().lower())[0] in kinds for name in names)


def _looks_like_dtypes(names: Sequence[str]) -> bool:
    try:
        return bool(_parse_dtypes(names))
    except ValueError:
        return False


def _parse(source: str, names: tuple[str, ...] | None, parse: Callable[[Sequence[str]], T]) -> T | None:
    if names is None:
        return None
    try:
        return parse(names)
    except ValueError as error:
        raise pytest.UsageError(f"{source}: {error}") from None


def _parse_dtypes(names: Sequence[str]) -> tuple[str, ...]:
    from ..numerics.dtypes import NAMES, parse_dtypes

    if not names:
        raise ValueError(f"no dtype is named; there are: {', '.join(NAMES)}")
    return parse_dtypes(names)


def _parse_checks(names: Sequence[str]) -> tuple[str, ...]:
    from ..checks import parse_checks

    return parse_checks(names)


def _parse_threads(names: Sequence[str]) -> tuple[int, ...]:
    if not names or not all(re.fullmatch("[1-9][0-9]{0,3}", name) for name in names):
        raise ValueError("write numbers of threads from 1 to 9999 with commas between, such as 1,2")
    return tuple(dict.fromkeys(map(int, names)))


def _measure_dtypes(measure: _Value, dtype: _Value) -> tuple[str, ...] | None:
    """The command line wins over the ini file, and --measure-dtype over --dtype of the same place."""
    order = [measure, dtype] if measure.from_command_line or not dtype.from_command_line else [dtype, measure]
    chosen = next((value for value in order if value.text is not None), dtype)
    return _parse(chosen.source, chosen.names, _parse_dtypes)


def _phases() -> Sequence[str]:
    from ..timing import PHASES

    return tuple(PHASES)


def _qualities() -> Sequence[str]:
    from ..timing import QUALITIES

    return tuple(QUALITIES)


def _choice(value: _Value, known_names: Callable[[], Sequence[str]]) -> tuple[str, ...] | None:
    """The named members of a registry, which is asked only if something is named."""
    if value.names is None:
        return None
    known = known_names()
    for name in value.names:
        if name not in known:
            raise pytest.UsageError(f"{value.source}: unknown name {name!r}; there are: {', '.join(known)}")
    if not value.names:
        raise pytest.UsageError(f"{value.source}: nothing is named; there are: {', '.join(known)}")
    return tuple(dict.fromkeys(value.names))


def _switch(value: _Value) -> bool:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    text = (value.text or "false").lower()
    if text not in words:
        raise pytest.UsageError(f"{value.source}: write true or false")
    return words[text]


def _results(config: pytest.Config, value: _Value) -> Path | None:
    if not value.text:
        return None  # not given; or switched off, on the command line, where the configuration file gives it
    if is_url(value.text):
        return mirror_of(value.text)
    base = config.invocation_params.dir if value.from_command_line else config.rootpath
    path = (base / value.text).absolute()
    if is_there(path) and not path.is_dir():
        raise pytest.UsageError(f"{value.source}: {path} is a file, not a folder")
    return path


def _isolate(config: pytest.Config, value: _Value) -> bool:
    if not _switch(value):
        return False
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError(f"{value.source}: it has workers of its own; leave out -n")
    for name in ("json", "autosave", "save", "compare"):
        if config.getoption(f"benchmark_{name}", None):
            raise pytest.UsageError(
                f"{value.source}: times are taken in other processes, of which --benchmark-{name} sees nothing; "
                "--results keeps them"
            )
    if config.getoption("usepdb", False):
        raise pytest.UsageError(f"{value.source}: --pdb needs the test in this process")
    return True


def _resume(config: pytest.Config, value: _Value) -> str:
    if value.text and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(f"{value.source}: go on without -n")
    return value.text or ""


def _item_timeout(value: _Value) -> float:
    text = (value.text or "0").strip().removesuffix("s")
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text):
        raise pytest.UsageError(f"{value.source}: write seconds, such as 60, or 0 for no limit")
    return float(text)


def _leg(value: _Value) -> str:
    if value.text is not None:
        try:
            return check_name(value.text, "the leg")
        except ValueError as error:
            raise pytest.UsageError(f"{value.source}: {error}") from None
    return ""


def _shard(value: _Value) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", value.text or "")
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise pytest.UsageError(f"{value.source}: write K/N with 1 <= K <= N, such as 2/4")
    return int(found[1]), int(found[2])
