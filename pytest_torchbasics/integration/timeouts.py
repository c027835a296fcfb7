"""An item that runs too long ends its process, by its name and with the stacks of all threads.

Nothing can stop a hanging thread from within its process. So a second thread writes the row `timeout` and ends the
process; where the hang holds the GIL, and no second thread runs, faulthandler's timer in C ends it a little later, and
whoever reads the journal finds the cell in flight.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator

import pytest

#: How much later the timer in C ends what the second thread could not.
GRACE_S = 5.0
#: What pytest ends with when a test failed.
FAILED = 1


class Watch:
    """Watches items.

    Args:
        config: of the run; standard error is looked up past its capture.
        seconds: that an item may take; 0 for no limit.
        keep: is called in the second thread with the name of the test and a reason, before the process ends.
    """

    def __init__(self, config: pytest.Config, seconds: float, keep: Callable[[str, str], None]) -> None:
        self._seconds, self._keep = seconds, keep
        self._stderr = _standard_error(config) if seconds else -1
        if seconds:  # what is imported once is no item's own time
            importlib.import_module("pytest_torchbasics.checks.running")
            importlib.import_module("pytest_torchbasics.timing")

    @contextlib.contextmanager
    def over(self, nodeid: str) -> Iterator[None]:
        """End the process if the block takes too long."""
        if not self._seconds:
            yield
            return
        timer = threading.Timer(self._seconds, self._fire, (nodeid, threading.get_ident()))
        timer.name, timer.daemon = "torchbasics-timeout", True
        timer.start()
        faulthandler.dump_traceback_later(self._seconds + GRACE_S, exit=True, file=self._stderr)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            timer.cancel()

    def _fire(self, nodeid: str, thread: int) -> None:
        frame = sys._current_frames().get(thread)
        places = traceback.extract_stack(frame)[-1:] if frame is not None else []
        where = "".join(f"; it was at {place.filename}:{place.lineno} in {place.name}" for place in places)
        reason = f"it ran for more than {self._seconds:g} s (--item-timeout){where}"
        os.write(self._stderr, f"\ntorchbasics: timeout: {nodeid}: {reason}\n".encode(errors="replace"))
        faulthandler.dump_traceback(self._stderr, all_threads=True)
        # What it waits for may be held by the thread that hangs.
        keeper = threading.Thread(target=self._keep, args=(nodeid, reason), daemon=True)
        keeper.start()
        keeper.join(GRACE_S)
        os._exit(FAILED)


def _standard_error(config: pytest.Config) -> int:
    """A descriptor of the standard error that the process was started with."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        return os.dup(2)
