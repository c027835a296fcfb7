"""What readers call a case: its name, told apart from others of that name, with its sizes and threads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "?"


def told_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the names that readers see, one for each thing that was checked or timed.

    `relu (tutorial)` and `relu (torch_nn)` where two suites have a `relu`; `relu N=32` where a case has several sizes
    to time, whose column is then empty; `relu 2 threads` where it was timed with several numbers of them. A suite is a
    file of tests. In one file, cases of a name whose hashes differ are told apart by their tests. A cell that never ran
    and whose test is not known is of `relu (?)`.
    """
    return _by_sizes_and_threads(_by_suite(frame, ["case"]))


def apart_in_runs(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The frames with the cases told apart of which one run has several; a test that was moved is the same still."""
    import pandas as pd

    named = _by_suite(pd.concat(frames, ignore_index=True), ["run_id", "case"])
    ends = [0, *itertools.accumulate(map(len, frames))]
    return [named.iloc[start:end] for start, end in itertools.pairwise(ends)]


def _by_suite(frame: pd.DataFrame, within: list[str]) -> pd.DataFrame:
    """Cases of one name are told apart if they are of several suites `within` one of these."""
    import pandas as pd

    if frame.empty or "nodeid" not in frame:
        return frame
    plain = pd.DataFrame({name: frame[name].astype(str) for name in ("run_id", "case", "case_hash", "nodeid")})
    test = plain["nodeid"].str.split("[", n=1).str[0]
    file = test.str.split("::", n=1).str[0]
    hashes = plain["case_hash"].where(plain["case_hash"] != "")
    several_in_file = hashes.groupby([plain["run_id"], file, plain["case"]]).transform("nunique") > 1
    suite = file.where(~several_in_file, test)
    known = suite.where(suite != "")
    several = known.groupby([plain[name] for name in within]).transform("nunique") > 1
    ambiguous = several.groupby(plain["case"]).transform("any")
    if not ambiguous.any():
        return frame
    titles = _titles(known[ambiguous].dropna().unique().tolist())
    named = plain["case"] + " (" + known.map(titles).fillna(UNKNOWN) + ")"
    renamed: pd.DataFrame = frame.assign(case=plain["case"].where(~ambiguous, named))
    return renamed


def _by_sizes_and_threads(frame: pd.DataFrame) -> pd.DataFrame:
    if frame.empty or not {"sizes", "kind", "threads"} <= set(frame.columns):
        return frame
    case, sizes = frame["case"].astype(str), frame["sizes"].astype(str)
    timed = frame["kind"].astype(str) == "timing"
    several = timed & (frame["threads"].where(timed).groupby(case).transform("nunique") > 1)
    if not several.any() and not (sizes != "").any():
        return frame
    number = frame["threads"].astype(str) + (frame["threads"] != 1).map({True: " threads", False: " thread"})
    case = case + (" " + sizes).where(sizes != "", "") + (" " + number).where(several, "")
    renamed: pd.DataFrame = frame.assign(case=case, sizes="")
    return renamed


def _titles(suites: list[str]) -> dict[str, str]:
    """`torch_nn` for `suites/torch_nn/test_torch_nn.py`; what is long is shortened only where all stay different."""
    short = {suite: _title(suite) for suite in suites}
    return short if len(set(short.values())) == len(suites) else {suite: suite for suite in suites}


def _title(suite: str) -> str:
    file, _, test = suite.partition("::")
    return test or PurePosixPath(file).stem.removeprefix("test_")
