"""Which jobs there are: a leg for each device, system, version of torch and of Python, in one or several shards.

The plan file is a record of what is expected: `torchbasics merge --expect` tells by it what never arrived.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..results.errors import ResultError
from ..results.plan import SCHEMA
from ..results.safe import check_name
from .config import LATEST, SECTION, Config, Device, Exclude

#: Of a matrix of GitHub's: https://docs.github.com/en/actions/reference/limits
MOST_JOBS = 256


@dataclass(frozen=True)
class Job:
    """A shard of a leg.

    Attributes:
        leg: its name: what pytest's --leg gets.
        shard: `1/2`: what --shard gets.
        device: what is tested on.
        torch: which version, as it was asked for.
        python: which version.
        os: the label of a hosted runner; empty where the device names its runners.
        pytest: more arguments of pytest.
    """

    leg: str
    shard: str
    device: Device
    torch: str
    python: str
    os: str
    pytest: tuple[str, ...] = ()

    @property
    def shard_id(self) -> str:
        """The shard in names of files: `1-2`."""
        return self.shard.replace("/", "-")

    @property
    def entry(self) -> dict[str, Any]:
        """What the plan file says of it, and each variable of its steps."""
        return {
            "leg": self.leg,
            "shard": self.shard,
            "shard_id": self.shard_id,
            "device": self.device.device,
            "dtype": self.device.dtype,
            "torch": "torch" if self.torch == LATEST else f"torch=={self.torch}",
            "python": self.python,
            "os": self.os,
            "runs_on": list(self.device.runs_on) or self.os,
            "index": self.device.index,
            "workers": _workers(self.device),
            "speed": self.device.speed,
            "pytest": " ".join(self.pytest),
        }


def plan(config: Config, profile: str) -> tuple[Job, ...]:
    """The jobs of a profile.

    Raises:
        ResultError: there is no such profile, nothing is left of it, or too much, or an exclude excludes nothing.
    """
    chosen = config.profile(profile)
    legs = list(_legs(config, profile))
    if not legs:
        why = "every leg is excluded" if chosen.devices else "every device has runners of its own"
        raise ResultError(
            f"the profile {profile!r} has no leg: {why}; say in [{SECTION}.profiles.{profile}] what it is to run"
        )
    names = [leg["leg"] for leg in legs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ResultError(f"the profile {profile!r} has two legs {twice[0]!r}: leave one of their versions out")
    jobs = len(legs) * chosen.shards
    if jobs > MOST_JOBS:
        raise ResultError(
            f"the profile {profile!r} has {jobs} jobs ({len(legs)} legs in {chosen.shards} shards); a matrix of GitHub "
            f"has at most {MOST_JOBS}: exclude legs or take fewer shards"
        )
    return tuple(
        Job(**leg, shard=f"{number}/{chosen.shards}", pytest=chosen.pytest)
        for leg in legs
        for number in range(1, chosen.shards + 1)
    )


def plan_json(jobs: Sequence[Job], profile: str) -> str:
    """The plan file: strict JSON in one line."""
    return json.dumps({"schema": SCHEMA, "profile": profile, "legs": [job.entry for job in jobs]}) + "\n"


def _legs(config: Config, profile: str) -> Iterator[dict[str, Any]]:
    chosen = config.profile(profile)
    for device in chosen.devices:
        systems = ("",) if device.runs_on else chosen.os
        for os, torch, python in itertools.product(systems, chosen.torch, chosen.python):
            if any(_holds(exclude, device, os, torch, python) for exclude in config.exclude):
                continue
            words = (device.name, os, f"torch-{LATEST}" if torch == LATEST else f"torch{torch.removesuffix('.*')}")
            leg = check_name("-".join(word for word in (*words, f"py{python}") if word), "the leg")
            yield {"leg": leg, "device": device, "os": os, "torch": torch, "python": python}


def _holds(exclude: Exclude, device: Device, os: str, torch: str, python: str) -> bool:
    pairs = ((exclude.device, device.name), (exclude.os, os), (exclude.torch, torch), (exclude.python, python))
    return all(not wanted or wanted == found for wanted, found in pairs)


def _workers(device: Device) -> str:
    """How checks are spread: over the processors, or one worker for each GPU, which sees no other."""
    if device.device == "cpu":
        return "-n auto"
    if device.gpus == 1:
        return "-n 0"
    each = (f"--tx popen//env:CUDA_VISIBLE_DEVICES={gpu}" for gpu in range(device.gpus))
    return f"--dist load {' '.join(each)}"
