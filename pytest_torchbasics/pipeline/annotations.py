"""What failed, as workflow commands that GitHub shows beside the change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..results.safe import safe_text

if TYPE_CHECKING:
    import pandas as pd

#: Of each kind GitHub shows ten in a step.
MOST = 10
#: Outcomes, and how loud they are.
LEVELS = {
    "error": ("failed", "error", "timeout", "crashed", "xpassed"),
    "warning": ("not_run",),
}
CELL = ("case", "check", "phase", "mode", "device", "dtype")


def annotated(frame: pd.DataFrame, root: Path) -> Iterator[str]:
    """A line for each cell that failed or never ran; the last of many tells how many more there are.

    Args:
        frame: of `load`.
        root: where the paths of the tests begin.
    """
    for level, outcomes in LEVELS.items():
        found = frame[frame["outcome"].isin(outcomes)]
        shown = found if len(found) <= MOST else found.head(MOST - 1)
        columns = ("outcome", "reason", "nodeid", "leg", *CELL)
        for row in shown[list(columns)].astype(str).itertuples(index=False):
            values = dict(zip(columns, row, strict=True))
            cell = " ".join(values[name] for name in CELL if values[name])
            leg = f" ({values['leg']})" if values["leg"] else ""
            message = f"{cell}: {values['reason'] or 'no reason was given'}{leg}"
            yield command(level, message, title=f"torchbasics: {values['outcome']}", **_place(values["nodeid"], root))
        if len(found) > len(shown):
            yield command(level, f"and {len(found) - len(shown)} more; the report has all of them", title="torchbasics")


def command(level: str, message: str, **properties: str) -> str:
    """A workflow command; nothing in its texts ends it or begins another one."""
    given = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
    return f"::{level} {given}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    """As GitHub's own toolkit does: https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts."""
    return re.sub(f"[%\r\n{more}]", lambda found: f"%{ord(found[0]):02X}", safe_text(text))


def _place(nodeid: str, root: Path) -> dict[str, str]:
    """The file of a test, and the line where its function begins, if they are there."""
    name, *parts = nodeid.split("::")
    path = Path(name)
    if not parts or path.is_absolute() or ".." in path.parts or not (root / path).is_file():
        return {}
    function = re.escape(parts[-1].partition("[")[0])
    lines = (root / path).read_text(encoding="utf-8", errors="replace").splitlines()
    line = next((n for n, text in enumerate(lines, 1) if re.match(rf"\s*(async )?def {function}\b", text)), None)
    return {"file": path.as_posix(), **({} if line is None else {"line": str(line)})}
