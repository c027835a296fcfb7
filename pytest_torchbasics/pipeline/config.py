"""What a project asks of its pipeline: `[tool.torchbasics.ci]` of its pyproject.toml, read once and checked."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found]

from .. import __version__
from ..results.errors import ResultError
from ..results.safe import MIB, check_name, read_bytes, safe_text

PYPROJECT = Path("pyproject.toml")
SECTION = "tool.torchbasics.ci"
QUICK, FULL = "quick", "full"
PROFILES = (QUICK, FULL)
LATEST = "latest"

#: A kind of value: how it is written, and an example for who wrote another.
VERSION = (r"3\.[0-9]{1,2}", "a version of Python such as '3.13'")
TORCH = (r"latest|[0-9]+\.[0-9]+(\.[0-9]+)?(\.\*)?", "'latest' or a version of torch such as '2.6.*'")
LABEL = (r"[A-Za-z0-9][A-Za-z0-9._:/=+-]*", "a label of a runner such as 'ubuntu-24.04'")
DEVICE = (r"[a-z][a-z0-9_]*(:[0-9]+)?", "a device such as 'cuda' or 'cuda:1'")
NAME = (r"[A-Za-z0-9][A-Za-z0-9._-]*", "the name of a device")
NAMES = (r"[A-Za-z0-9._,-]*", "names with commas between")
INDEX = (r"(https://[A-Za-z0-9._~:/?&=%+-]+)?", "the https address of a package index")
BRANCH = (r"[A-Za-z0-9._/*-]+", "the name of a branch")
CRON = (r"(([0-9*/,-]+ ){4}[0-9*/,-]+)?", "five fields of cron such as '17 3 * * *'")
#: `${{` would be replaced by GitHub before a shell sees the quotes around it.
TEXT = (r"(?!.*\$\{\{).+", "text of one line without '${{'")
WORD = (r"(?!.*\$\{\{)[^ ]+", "one word without spaces and '${{'")


@dataclass(frozen=True)
class Device:
    """A device to test on, and the machines that have it.

    Attributes:
        name: how its legs are called; the device's name by default.
        device: what pytest's --device gets.
        dtype: what --dtype gets; empty for the project's own choice.
        runs_on: labels of its runners; none for the hosted runners of `os`.
        index: the package index that torch is installed from; empty for pip's own.
        gpus: how many GPUs its machine has: as many workers check in parallel.
        speed: whether it is timed as well.
    """

    name: str
    device: str
    dtype: str = ""
    runs_on: tuple[str, ...] = ()
    index: str = ""
    gpus: int = 1
    speed: bool = True


@dataclass(frozen=True)
class Profile:
    """What is run on one occasion: a part of the pipeline.

    Attributes:
        devices, torch, python, os: the values of each axis.
        shards: how many shares the cases of a leg are cut in.
        pytest: more arguments of pytest.
    """

    devices: tuple[Device, ...]
    torch: tuple[str, ...]
    python: tuple[str, ...]
    os: tuple[str, ...]
    shards: int
    pytest: tuple[str, ...]


@dataclass(frozen=True)
class Exclude:
    """A combination that does not exist; an axis that is not named may have any value."""

    device: str = ""
    torch: str = ""
    python: str = ""
    os: str = ""

    def __str__(self) -> str:
        given = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return ", ".join(f'{name} = "{value}"' for name, value in given if value)


@dataclass(frozen=True)
class Config:
    """A pipeline.

    Attributes:
        profiles: by name.
        exclude: combinations that are left out.
        paths: what pytest collects; nothing for the project's testpaths.
        install: the arguments with which pip installs the project.
        plugin: what pip installs this plugin from.
        branches: pushes to these run the pipeline.
        schedule: when everything is run, as cron has it; empty for never.
        timeout_minutes: of a job.
    """

    profiles: Mapping[str, Profile]
    exclude: tuple[Exclude, ...]
    paths: tuple[str, ...]
    install: tuple[str, ...]
    plugin: str
    branches: tuple[str, ...]
    schedule: str
    timeout_minutes: int

    def profile(self, name: str) -> Profile:
        """The profile of that name.

        Raises:
            ResultError: there is none.
        """
        if name not in self.profiles:
            raise ResultError(f"there is no profile {safe_text(name)!r}; there are {', '.join(self.profiles)}")
        return self.profiles[name]


def read_config(path: Path = PYPROJECT) -> Config:
    """The pipeline of a project; what it does not say has a default, and without a file all has.

    Raises:
        ResultError: the file is no TOML, or asks for something that is not there; one line that says where.
    """
    document: Any = {}
    if path.exists():
        try:
            document = tomllib.loads(read_bytes(path, MIB).decode("utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ResultError(f"is not valid TOML: {safe_text(error)}", path) from None
    name = ""
    for key in SECTION.split("."):
        name = f"{name}.{key}" if name else key
        document = document.get(key, {})
        if not isinstance(document, dict):
            raise ResultError(f"{name} must be a table", path)
    return parse_config(document, path)


def parse_config(section: Mapping[str, Any], path: Path | None = None) -> Config:
    """The pipeline that a table describes.

    Raises:
        ResultError: it is wrong.
    """
    table = _Table(section, f"[{SECTION}]", path)
    everything = Profile(
        devices=tuple(_devices(table)),
        torch=table.texts("torch", TORCH, (LATEST,)),
        python=table.texts("python", VERSION, ("3.13",)),
        os=table.texts("os", LABEL, ("ubuntu-24.04",)),
        shards=table.number("shards", 1, 256),
        pytest=table.texts("pytest", WORD, ()),
    )
    config = Config(
        profiles=_profiles(table, everything),
        exclude=tuple(_exclude(part, everything) for part in table.tables("exclude")),
        paths=table.texts("paths", TEXT, ()),
        install=table.texts("install", TEXT, ("-e", ".")),
        plugin=table.text("plugin", TEXT, f"pytest-torchbasics=={__version__}"),
        branches=table.texts("branches", BRANCH, ("main",)),
        schedule=table.text("schedule", CRON, "17 3 * * *"),
        timeout_minutes=table.number("timeout_minutes", 60, 7200),
    )
    table.refuse_others()
    return config


class _Table:
    """Takes known keys out of a TOML table; what is left over was misspelt."""

    def __init__(self, values: Mapping[str, Any], where: str, path: Path | None) -> None:
        self.values, self.where, self.path = values, where, path
        self.known: list[str] = []

    def error(self, message: str) -> ResultError:
        return ResultError(f"{self.where} {message}", self.path)

    def take(self, key: str, default: Any) -> Any:
        self.known.append(key)
        return self.values.get(key, default)

    def text(self, key: str, kind: tuple[str, str], default: str) -> str:
        return self._checked(key, self.take(key, default), kind)

    def texts(self, key: str, kind: tuple[str, str], default: tuple[str, ...]) -> tuple[str, ...]:
        """A list of texts. Words of a command may be none, and stand there twice; the values of an axis may not."""
        found, are_words = self.take(key, list(default)), kind in (TEXT, WORD)
        if not isinstance(found, list) or not (found or are_words or not default):
            raise self.error(f"{key} must be a list, each {kind[1]}; found {safe_text(found)!r:.80}")
        texts = tuple(self._checked(key, value, kind) for value in found)
        for text in texts:
            if texts.count(text) > 1 and not are_words:
                raise self.error(f"{key} names {text!r} twice")
        return texts

    def number(self, key: str, default: int, most: int) -> int:
        found = self.take(key, default)
        if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= most:
            raise self.error(f"{key} must be a whole number from 1 to {most}, found {safe_text(found)!r:.80}")
        return found

    def switch(self, key: str, default: bool) -> bool:
        found = self.take(key, default)
        if not isinstance(found, bool):
            raise self.error(f"{key} must be true or false, found {safe_text(found)!r:.80}")
        return found

    def tables(self, key: str) -> Iterator[_Table]:
        found = self.take(key, [])
        if not isinstance(found, list) or not all(isinstance(value, dict) for value in found):
            raise self.error(f"{key} must be a list of tables")
        for number, value in enumerate(found, 1):
            yield _Table(value, f"[{SECTION}] {key}, number {number}:", self.path)

    def refuse_others(self) -> None:
        for key in self.values:
            if key not in self.known:
                near = difflib.get_close_matches(key, self.known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(self.known))}"
                raise self.error(f"knows no {safe_text(key)!r:.80}; {hint}")

    def _checked(self, key: str, value: Any, kind: tuple[str, str]) -> str:
        if not isinstance(value, str):
            hint = " (write it in quotes)" if isinstance(value, (int, float)) else ""
            raise self.error(f"{key} must be {kind[1]}, found {safe_text(value)!r:.80}{hint}")
        if not value.isprintable() or not re.fullmatch(kind[0], value):
            raise self.error(f"{key} must be {kind[1]}, found {safe_text(value)!r:.80}")
        return value


def _devices(table: _Table) -> Iterator[Device]:
    found = table.take("devices", ["cpu"])
    if not isinstance(found, list) or not found:
        raise table.error(f"devices must be a list of devices or tables, found {safe_text(found)!r:.80}")
    names: list[str] = []
    for value in found:
        if not isinstance(value, (str, dict)):
            raise table.error(f"devices must be a list of devices or tables, found {safe_text(value)!r:.80} in it")
        values = {"device": value} if isinstance(value, str) else value
        device = _device(_Table(values, f"[{SECTION}] devices, number {len(names) + 1}:", table.path))
        if device.name in names:
            raise table.error(f"devices names {device.name!r} twice; give one of them another name: name = ...")
        names.append(device.name)
        yield device


def _device(table: _Table) -> Device:
    if "device" not in table.values:
        raise table.error("lacks the key 'device'")
    device = table.text("device", DEVICE, "")
    found = Device(
        name=check_name(table.text("name", TEXT, device.replace(":", "-")), f"{table.where} the name"),
        device=device,
        dtype=table.text("dtype", NAMES, ""),
        runs_on=table.texts("runs_on", LABEL, ()),
        index=table.text("index", INDEX, ""),
        gpus=table.number("gpus", 1, 64),
        speed=table.switch("speed", True),
    )
    table.refuse_others()
    if found.gpus > 1 and device != "cuda":
        raise table.error(f"gpus = {found.gpus} shares several GPUs of the device 'cuda', found the device {device!r}")
    return found


def _profiles(table: _Table, everything: Profile) -> dict[str, Profile]:
    """Every profile that is asked for, and the two that are always there."""
    found = table.take("profiles", {})
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise table.error("profiles must be a table of tables: [tool.torchbasics.ci.profiles.quick]")
    profiles = {QUICK: _quick(everything), FULL: everything}
    for name, values in found.items():
        check_name(name, f"[{SECTION}] the profile")
        profiles[name] = _profile(_Table(values, f"[{SECTION}.profiles.{name}]", table.path), everything)
    return profiles


def _quick(everything: Profile) -> Profile:
    """The last version of each, on hosted runners, which are made anew for each job: a pull request may do anything."""
    hosted = tuple(device for device in everything.devices if not device.runs_on)
    return Profile(
        devices=hosted,
        torch=everything.torch[-1:],
        python=everything.python[-1:],
        os=everything.os[:1],
        shards=everything.shards,
        pytest=everything.pytest,
    )


def _profile(table: _Table, everything: Profile) -> Profile:
    devices = {device.name: device for device in everything.devices}
    found = Profile(
        devices=tuple(devices[name] for name in _part(table, "devices", NAME, tuple(devices))),
        torch=_part(table, "torch", TORCH, everything.torch),
        python=_part(table, "python", VERSION, everything.python),
        os=_part(table, "os", LABEL, everything.os),
        shards=table.number("shards", everything.shards, 256),
        pytest=table.texts("pytest", WORD, everything.pytest),
    )
    table.refuse_others()
    return found


def _part(table: _Table, key: str, kind: tuple[str, str], whole: tuple[str, ...]) -> tuple[str, ...]:
    chosen = table.texts(key, kind, whole)
    for name in chosen:
        if name not in whole:
            raise table.error(f"{key}: {name!r} is none of those of [{SECTION}]: {', '.join(whole)}")
    return chosen


def _exclude(table: _Table, everything: Profile) -> Exclude:
    axes = {
        "device": tuple(device.name for device in everything.devices),
        "torch": everything.torch,
        "python": everything.python,
        "os": everything.os,
    }
    given = {key: table.text(key, TEXT, "") for key in axes if key in table.values}
    table.known = list(axes)
    table.refuse_others()
    if not given:
        raise table.error("names nothing; give one or several of device, torch, python, os")
    for key, value in given.items():
        if value not in axes[key]:
            raise table.error(f"{key}: {value!r} is none of those of [{SECTION}]: {', '.join(axes[key])}")
    return Exclude(**given)
