"""Raw times with the names that readers know their cells by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..results.schema import KEYS
from .naming import told_apart

if TYPE_CHECKING:
    import pandas as pd

#: What the samples of one cell have in common, as a comparison matches cells.
CELL = ("case", "phase", "mode", "device", "dtype", "sizes")


def named(samples: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """The samples of rows that passed, in the order of the rows.

    Args:
        samples: of `load_samples`.
        frame: of `load`, of the same runs.

    Returns:
        The samples with `title`, the name of the case told apart from others.
    """
    import pandas as pd

    keys = ["run_id", *KEYS, "nodeid"]
    passed = frame["outcome"].astype(str) == "passed"
    plain = pd.DataFrame({name: frame[name].astype(str) for name in keys})
    plain["title"] = told_apart(frame)["case"].astype(str)
    given = samples.assign(**{name: samples[name].astype(str) for name in keys})
    found: pd.DataFrame = plain[passed].drop_duplicates(keys).merge(given, how="inner", on=keys, sort=False)
    return found
