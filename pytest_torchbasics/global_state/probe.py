"""One piece of global state, and reading, comparing and putting back many of them."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: How many of a list are told.
SHOWN = 5
WITHIN = "change it in a `with` block, by monkeypatch, or in a fixture that puts it back"


class _Unreadable:
    def __repr__(self) -> str:
        return "unreadable"


#: The value of what cannot be read: torch is too old, a module is not imported, the directory was removed.
UNREADABLE = _Unreadable()


def attempt(read: Callable[[], Any]) -> Any:
    """What a function gives, or `UNREADABLE`."""
    try:
        return read()
    except (AttributeError, LookupError, OSError, RuntimeError):
        return UNREADABLE


def values(old: Any, new: Any) -> str | None:
    """What a change is called: both values, if they are short."""
    return f"{new}, before {old}" if len(f"{old}{new}") < 60 else ""


@dataclass(frozen=True, eq=False)
class Probe:
    """One piece of global state.

    Attributes:
        name: as a user would look for it.
        read: its value now.
        write: puts a value back; None where nothing can.
        remedy: what a test does instead of leaving it changed.
        tell: says in a few words what became of a value, possibly none; None if nobody is to blame.
        silent: a test may change it: it is put back without a word.
        lasting: it is slow to read, so its value after a test also counts as the one before the next.
        same: tells quickly whether it still has a value, where reading makes a large copy.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object] | None = None
    remedy: str = WITHIN
    tell: Callable[[Any, Any], str | None] = values
    silent: bool = False
    lasting: bool = False
    same: Callable[[Any], bool] | None = None

    def value(self, last: Any = UNREADABLE) -> Any:
        """Its value now, which may be the last one; or `UNREADABLE`."""
        same = self.same
        if same is not None and last is not UNREADABLE and attempt(lambda: same(last)) is True:
            return last
        return attempt(self.read)

    def put_back(self, old: Any) -> None:
        """Give it its old value again, if that is possible; whether it was, a look at it tells."""
        if self.write is not None:
            with contextlib.suppress(Exception):
                self.write(old)


State = dict[Probe, Any]


@dataclass(frozen=True)
class Change:
    """What was left changed.

    Attributes:
        what: a phrase: "the default dtype (torch.float64, before torch.float32)".
        remedy: what to do about it.
        undone: it was put back.
    """

    what: str
    remedy: str
    undone: bool


def read(probes: Iterable[Probe], last: Mapping[Probe, Any] | None = None) -> State:
    """The values now; the last ones, if they are known, make it faster."""
    last = last or {}
    return {probe: probe.value(last.get(probe, UNREADABLE)) for probe in probes}


def changed(before: State, after: State) -> list[Probe]:
    """The probes whose value is another one; what could not be read before has none."""
    return [
        probe for probe, old in before.items() if old is not UNREADABLE and probe in after and differ(old, after[probe])
    ]


def undo(before: State, after: State) -> list[Change]:
    """Put back what changed, in the order of the table, and tell what is not silent."""
    found = []
    for probe in changed(before, after):
        phrase = None if probe.silent else probe.tell(before[probe], after[probe])
        if probe.silent or phrase is not None:
            probe.put_back(before[probe])
        if phrase is not None:
            what = f"{probe.name} ({phrase})" if phrase else probe.name
            found.append(Change(what, probe.remedy, not differ(before[probe], probe.value())))
    return found


def merged(base: Any, before: Any, after: Any) -> Any:
    """A value with a change made to it that somebody else made to another value."""
    if isinstance(base, dict) and isinstance(before, dict) and isinstance(after, dict):
        keys = {key for key in {**before, **after} if differ(before.get(key), after.get(key))}
        kept = {key: value for key, value in base.items() if key not in keys}
        return kept | {key: merged(base.get(key), before.get(key), after[key]) for key in keys if key in after}
    if isinstance(base, frozenset) and isinstance(before, frozenset) and isinstance(after, frozenset):
        return (base - (before - after)) | (after - before)
    return base if differ(base, before) else after


def differ(old: Any, new: Any) -> bool:
    """True if two values are not the same; tensors and arrays among them say so by raising."""
    try:
        return old is not new and bool(old != new)
    except (RuntimeError, ValueError):
        return True


def keys_told(old: Any, new: Any) -> str | None:
    """What a change of a mapping is called: the keys, with values where they are short."""
    if not isinstance(new, dict):
        return values(old, new)
    keys = [key for key in {**old, **new} if differ(old.get(key), new.get(key))]
    return several(f"{key}: {shown}" if (shown := values(old.get(key), new.get(key))) else str(key) for key in keys)


def several(words: Iterable[str]) -> str:
    """The first few of a list."""
    words = list(words)
    more = len(words) - SHOWN
    return ", ".join(words[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def called(name: str, owner: Any, getter: str, setter: str = "", **more: Any) -> Probe:
    """A probe of what one function reads and another one, if any, sets; both are found when they are called."""
    get, set_ = operator.attrgetter(getter), operator.attrgetter(setter) if setter else None
    write = (lambda value: set_(owner)(value)) if set_ else None
    return Probe(name, lambda: get(owner)(), write, **more)


def flag(name: str, owner: Any, path: str) -> Probe:
    """A probe of an attribute."""
    parent, _, attribute = path.rpartition(".")
    get, parent_of = operator.attrgetter(path), operator.attrgetter(parent)
    return Probe(name, lambda: get(owner), lambda value: setattr(parent_of(owner), attribute, value))
