"""The clocks of one thread. References are taken here once, so that a test that patches `time` moves none of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns, thread_time_ns

Reading = Callable[[], int]


@dataclass(frozen=True)
class Clock:
    """Clocks in nanoseconds.

    Attributes:
        wall_ns: wall time.
        cpu_ns: time this thread ran; None if it says nothing about the work, as with several threads.
        delay_ns: time this thread was ready to run and another one ran instead; None where the system does not
            tell.
    """

    wall_ns: Reading
    cpu_ns: Reading | None = None
    delay_ns: Reading | None = None


@contextmanager
def system_clock(threads: int = 1) -> Iterator[Clock]:
    """The clocks of the calling thread; those of CPU time and delay only if it does all the work."""
    if threads > 1:
        yield Clock(perf_counter_ns)
        return
    with _run_delay() as delay_ns:
        yield Clock(perf_counter_ns, thread_time_ns, delay_ns)


@contextmanager
def _run_delay() -> Iterator[Reading | None]:
    """Linux: the second number of schedstat is the time spent on a run queue.

    The file is opened once, which binds it to this thread, and read again and again from its start: 1.1 us a
    reading.
    """
    try:
        file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        yield None
        return
    try:
        # Some sandboxes offer the file with nothing but zeros: a thread that has run for 0 ns.
        told = int(os.pread(file, 100, 0).split()[0]) > 0
        yield (lambda: int(os.pread(file, 100, 0).split()[1])) if told else None
    finally:
        os.close(file)
