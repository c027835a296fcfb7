"""No test of ours leaks into the next: what it leaves changed is put back, and it fails by its name."""

from __future__ import annotations

import os
from collections.abc import Container, Generator, Sequence

import pytest

from ..global_state.probe import Change
from ..global_state.watch import Watch, WideFixture
from .items import is_own

#: Of an item: why its process should run no other; what cannot be put back.
LEFT: pytest.StashKey[str] = pytest.StashKey()


class LeakGuard:
    """Watches items of ours from before their fixtures until after them; a plugin of the process that runs them."""

    def __init__(self, nodeids: Container[str]) -> None:
        self._nodeids = nodeids
        self._watch = Watch()
        self._told: list[str] = []
        self._left: list[str] = []
        self._pid = os.getpid()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Begin to watch."""
        if item.nodeid in self._nodeids:
            self._watch.start()
        else:
            self._watch.forget()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Put back what is changed, and fail the item if it is to blame."""
        try:
            result = yield
        except BaseException:
            if text := self._end(item):
                item.add_report_section("teardown", "torchbasics", text)
            raise
        if text := self._end(item):
            pytest.fail(text, pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """What a fixture of a wider scope changes is for all its items; what is left after it, is its own doing."""
        if fixturedef.scope == "function" or is_own(fixturedef):
            return (yield)
        fixture = WideFixture(self._watch)

        def has_ended() -> None:
            fixture.has_ended()
            if fixturedef.scope != "session" and self._watch.begun:  # in an item of ours
                self._tell(f"the fixture {fixturedef.argname!r}", fixture.left())

        fixturedef.addfinalizer(has_ended)  # the last one that is called
        try:
            return (yield)
        finally:
            fixture.is_set_up()
            fixturedef.addfinalizer(fixture.ends)  # called before the fixture's own

    def _end(self, item: pytest.Item) -> str:
        """Who has left what; empty if nothing is left, or in a process that a test forked."""
        if not self._watch.begun or os.getpid() != self._pid:
            return ""
        self._tell("the test", self._watch.end())
        text, self._told = "\n".join(self._told), []
        if self._left:
            item.stash[LEFT] = f"it leaves what cannot be put back: {', '.join(self._left)}"
        self._left = []
        return text

    def _tell(self, who: str, changes: Sequence[Change]) -> None:
        if not changes:
            return
        remedies = "; ".join(dict.fromkeys(change.remedy for change in changes))
        what = ", ".join(change.what for change in changes)
        self._told.append(f"{who} leaves global state changed: {what}; {remedies}")
        self._left += [change.what for change in changes if not change.undone]
