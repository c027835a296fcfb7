"""The peak of memory on the CPU, of which torch keeps no statistics: its profiler tells every block taken and freed."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Read by the profiler's library when it starts to log; it would write to stderr about every start, and about GPUs.
_LOG_LEVEL = "KINETO_LOG_LEVEL"
#: The name of the call in the trace.
_CALL = "torchbasics: the call"


def peak_of(call: Callable[..., object], prepare: Callable[[], tuple[Any, ...]]) -> int | None:
    """The most bytes that torch's CPU allocator holds at once for a call, beyond what is there when it is called.

    What is prepared is made under the profiler as well: it does not know the size of a block that was there before,
    and warns of each that is freed.

    Returns:
        The bytes; None if another profiler is running, as there can be one at a time.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile, record_function

    if torch._C._autograd._profiler_enabled():
        return None
    with _quiet():
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            arguments = prepare()
            with record_function(_CALL):
                result = call(*arguments)
        del result
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.json"
            profiler.export_chrome_trace(str(path))
            return _highest(json.loads(path.read_text(encoding="utf-8"))["traceEvents"])


def _highest(events: Sequence[Mapping[str, Any]]) -> int:
    """The highest sum of what was taken and freed since the call began; device type 0 is the CPU."""
    begin = next(event["ts"] for event in events if event.get("name") == _CALL)
    blocks = [event for event in events if event.get("name") == "[memory]" and event["args"]["Device Type"] == 0]
    since = sorted((block for block in blocks if block["ts"] >= begin), key=lambda block: block["ts"])
    return max(itertools.accumulate((int(block["args"]["Bytes"]) for block in since), initial=0))


@contextmanager
def _quiet() -> Iterator[None]:
    before = os.environ.get(_LOG_LEVEL)
    os.environ[_LOG_LEVEL] = "99"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LOG_LEVEL]
        else:
            os.environ[_LOG_LEVEL] = before
