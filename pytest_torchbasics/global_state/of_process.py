"""The probes of the process: what any test can change for all that come after it."""

from __future__ import annotations

import builtins
import gc
import locale
import logging
import math
import os
import random
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .probe import Probe, called, differ, keys_told, several

#: Variables that pytest, libraries and helpers that seed everything set for themselves.
OWN_VARIABLES = re.compile(
    "PYTEST_|_?TORCHINDUCTOR_|TORCH_WARM_POOL|TRITON_|KMP_|CUDA_MODULE_LOADING|CUDA_HOME|DISABLE_CUPTI|TEARDOWN_CUPTI"
)
#: Modules that setuptools takes over, and those that inductor writes.
OWN_MODULES = re.compile("distutils|torch._inductor")
SIGNALS = ("SIGINT", "SIGTERM", "SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD")
#: What is patched most.
PATCHED = (
    *(builtins, os, time, random, math, torch, torch.Tensor, torch.nn.Module, torch.nn.functional),
    *(torch.autograd, torch.cuda, torch.testing),
)


def _environment() -> dict[Any, Any]:
    # As the system has it: decoding takes a hundred times longer.
    return dict(os.environ._data)  # type: ignore[attr-defined]


def _variables(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> dict[str, Any]:
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {name: old.get(key) for key in keys if not OWN_VARIABLES.match(name := os.fsdecode(key))}


def _set_environment(old: Mapping[Any, Any]) -> None:
    for name, value in _variables(old, _environment()).items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = os.fsdecode(value)


def _variables_told(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> str | None:
    return several(_variables(old, new)) or None  # their values may be secrets


def _path_told(old: list[str], new: list[str]) -> str | None:
    added = [entry for entry in new if entry not in old]
    own = bool(added) and all("_vendor" in entry for entry in added)  # setuptools' own packages, when it is imported
    return None if own else several(map(str, added))


def _modules_told(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    names = [name for name, module in old.items() if new.get(name) is not module and not OWN_MODULES.match(name)]
    return several(names) or None  # importing more is no change


def _patched() -> dict[str, dict[str, Any]]:
    return {owner.__name__: dict(vars(owner)) for owner in PATCHED}


def _is_torchs(name: str, function: Any) -> bool:
    """True of what torch itself puts in place of its functions, when a part of it is imported, and of its classes.

    One of its functions by the name of another is somebody's patch.
    """
    if not isinstance(function, type) and getattr(function, "__name__", name) in vars(torch.nn.functional):
        return getattr(function, "__name__", name) == name
    own = function.__module__ if isinstance(function, type) else getattr(function, "__globals__", {}).get("__name__")
    return str(own).partition(".")[0] == "torch"


def _unpatched(last: Mapping[str, Any]) -> bool:
    # By value, which for functions is by identity, and ten times faster than asking each.
    return not any(differ(last[owner.__name__], vars(owner)) for owner in PATCHED)


def _replaced(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [
        (owner, name)
        for owner, functions in old.items()
        for name, function in functions.items()
        if (now := new[owner].get(name)) is not function and callable(function)
        if not name.startswith("_") or name in ("__call__", "__import__")
        if not _is_torchs(name, now)
    ]


def _patches_told(old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]]) -> str | None:
    return several(f"{owner}.{name}" for owner, name in _replaced(old, new)) or None


def _unpatch(old: Mapping[str, Mapping[str, Any]]) -> None:
    owners = {owner.__name__: owner for owner in PATCHED}
    for owner, name in _replaced(old, _patched()):
        setattr(owners[owner], name, old[owner][name])


def _attributes(name: str, *paths: tuple[Any, str]) -> Probe:
    def write(old: dict[str, Any]) -> None:
        for owner, path in paths:
            setattr(owner, path, old[f"{owner.__name__}.{path}"])

    def tell(old: dict[str, Any], new: dict[str, Any]) -> str | None:
        return ", ".join(key for key in old if old[key] is not new[key] and not _torch_put(new[key])) or None

    return Probe(
        name, lambda: {f"{owner.__name__}.{path}": getattr(owner, path) for owner, path in paths}, write, tell=tell
    )


def _handlers() -> dict[str, Any]:
    return {name: signal.getsignal(getattr(signal, name)) for name in SIGNALS if hasattr(signal, name)}


def _torch_put(handler: Any) -> bool:
    """True of what torch sets once and counts on: how it hears of dead workers of a DataLoader, and of dead ranks."""
    return str(getattr(handler, "__module__", "")).partition(".")[0] == "torch"


def _handlers_told(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    return (
        keys_told(old, {name: old[name] if _torch_put(handler) else handler for name, handler in new.items()}) or None
    )


def _set_handlers(old: dict[str, Any]) -> None:
    for name, handler in old.items():
        if handler is not None and not _torch_put(signal.getsignal(getattr(signal, name))):  # None: not set by Python
            signal.signal(getattr(signal, name), handler)


def _logging() -> dict[str, Any]:
    root = logging.root
    own = [handler for handler in root.handlers if not type(handler).__module__.startswith("_pytest.")]
    return {"level": root.level, "disabled": root.manager.disable, "handlers": frozenset(own)}


def _set_logging(old: dict[str, Any]) -> None:
    logging.root.setLevel(old["level"])
    logging.disable(old["disabled"])
    now = _logging()["handlers"]
    logging.root.handlers[:] = [handler for handler in logging.root.handlers if handler not in now - old["handlers"]]
    logging.root.handlers += old["handlers"] - now


def _set_filters(old: list[Any]) -> None:
    warnings.filters[:] = old  # type: ignore[index]
    with warnings.catch_warnings():  # makes warnings forget what it has decided
        pass


def _set_gc(old: tuple[bool, tuple[int, ...]]) -> None:
    (gc.enable if old[0] else gc.disable)()
    gc.set_threshold(*old[1])


def _set_directory(path: str) -> None:
    os.chdir(path)


def _set_start_method(old: str) -> None:
    sys.modules["multiprocessing"].set_start_method(old, force=True)


DIRECTORY = Probe("the working directory", os.getcwd, _set_directory)

PROBES: tuple[Probe, ...] = (
    DIRECTORY,
    Probe("environment variables", _environment, _set_environment, tell=_variables_told),
    Probe("sys.path", lambda: list(sys.path), lambda old: sys.path.__setitem__(slice(None), old), tell=_path_told),
    Probe(
        "modules that were imported",
        sys.modules.copy,
        lambda old: sys.modules.update(
            {name: module for name, module in old.items() if sys.modules.get(name) is not module}
        ),
        tell=_modules_told,
        lasting=True,
        same=lambda last: bool(last == sys.modules),
    ),
    Probe("patched functions", _patched, _unpatch, tell=_patches_told, lasting=True, same=_unpatched),
    Probe("filters of warnings", lambda: list(warnings.filters), _set_filters, silent=True),
    Probe("signal handlers", _handlers, _set_handlers, tell=_handlers_told),
    Probe(
        "the interval timer",
        lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        lambda old: old or signal.setitimer(signal.ITIMER_REAL, 0),
        "cancel the alarm, also when the test fails",
    ),
    Probe("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda value: locale.setlocale(locale.LC_ALL, value)),
    called("the recursion limit", sys, "getrecursionlimit", "setrecursionlimit", silent=True),  # inductor raises it
    called("the switch interval", sys, "getswitchinterval", "setswitchinterval"),
    called("the trace function", sys, "gettrace", "settrace"),
    called("the profile function", sys, "getprofile", "setprofile"),
    _attributes(
        "hooks and streams",
        *((sys, name) for name in ("excepthook", "unraisablehook", "displayhook", "stdin", "stdout", "stderr")),
        (threading, "excepthook"),
    ),
    Probe("logging", _logging, _set_logging, tell=keys_told),
    Probe("garbage collection", lambda: (gc.isenabled(), gc.get_threshold()), _set_gc),
    Probe(
        "the processors to run on",
        lambda: os.sched_getaffinity(0),
        lambda value: os.sched_setaffinity(0, value),
    ),
    Probe(
        "the default timeout of sockets",
        lambda: sys.modules["socket"].getdefaulttimeout(),
        lambda value: sys.modules["socket"].setdefaulttimeout(value),
    ),
    Probe(
        "how multiprocessing starts processes",
        lambda: sys.modules["multiprocessing"].get_start_method(allow_none=True),
        _set_start_method,
        # Whoever starts the first process settles it.
        tell=lambda old, new: None if old is None else f"{new}, before {old}",
    ),
    called("how torch.multiprocessing shares", torch.multiprocessing, "get_sharing_strategy", "set_sharing_strategy"),
    Probe("NumPy's handling of errors", np.geterr, lambda value: np.seterr(**value), tell=keys_told),
)
