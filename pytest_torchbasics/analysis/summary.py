"""What one or several runs came to: support of each case, times, and why what did not pass did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ..results.errors import ResultError
from ..results.rows import OUTCOMES
from ..results.schema import KEYS, PHASES

if TYPE_CHECKING:
    import pandas as pd

#: Outcomes that need somebody's attention.
PROBLEMS = ("failed", "error", "timeout", "crashed", "xpassed", "not_run")
#: Outcomes that somebody declared beforehand.
DECLARED = ("xfailed", "unsupported", "skipped")
#: Outcomes of cells that ran.
RAN = ("passed", "failed", "error", "timeout", "crashed", "xfailed", "xpassed")
#: Where a cell runs; the columns of the support table.
PLACE = ("mode", "device", "dtype")
TIMES = ("median_s", "low_s", "high_s")


def require_columns(frame: pd.DataFrame, columns: tuple[str, ...] = (*KEYS, "outcome")) -> pd.DataFrame:
    """The frame, if it is one of `load()`.

    Raises:
        ResultError: it lacks columns.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ResultError(f"the frame lacks the columns {', '.join(missing)}; give one that load() returned")
    return frame


def counts(frame: pd.DataFrame) -> pd.DataFrame:
    """How many cells ended in each outcome: a row per outcome, the columns `check`, `timing` and `total`."""
    import pandas as pd

    found = pd.crosstab(frame["outcome"].astype(str), frame["kind"].astype(str))
    table: pd.DataFrame = found.reindex(index=list(OUTCOMES), columns=["check", "timing"], fill_value=0)
    table.columns.name = None
    table["total"] = table["check"] + table["timing"]
    return table


def support_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per case; a column for each (mode, device, dtype, field).

    The fields are the outcomes, with the number of checks that ended so, and for each phase that was timed
    `forward_s`, `forward_low_s`, `forward_high_s` (the median over runs) and `forward_outcome`.
    """
    import pandas as pd

    require_columns(frame, (*KEYS, "outcome", *TIMES))
    cases = list(dict.fromkeys(frame["case"].astype(str)))
    parts = [*_check_counts(frame), *_phase_times(frame)]
    places = sorted_places(frame)
    table: pd.DataFrame = pd.concat(parts, axis=1) if parts else pd.DataFrame()
    if not parts:
        return table
    fields = [*OUTCOMES, *(f"{phase}_{end}" for phase in PHASES[1:] for end in ("outcome", "s", "low_s", "high_s"))]
    others = sorted(set(table.columns.get_level_values("field")).difference(fields))
    present = {tuple(column) for column in table.columns}
    columns = [(*place, field) for place in places for field in (*fields, *others) if (*place, field) in present]
    names = [*PLACE, "field"]
    # reindex, never pivot_table: that would drop a case that nothing supports.
    full: pd.DataFrame = table.reindex(index=cases, columns=pd.MultiIndex.from_tuples(columns, names=names))
    full.index.name = "case"
    return full


def sorted_places(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """The (mode, device, dtype) of a frame: modes as they come, devices and dtypes in their order."""
    places = frame[list(PLACE)].drop_duplicates()
    modes = {mode: position for position, mode in enumerate(dict.fromkeys(places["mode"].astype(str)))}
    places = places.assign(_mode=places["mode"].astype(str).map(modes)).sort_values(["device", "_mode", "dtype"])
    return [(str(mode), str(device), str(dtype)) for mode, device, dtype in zip(*_columns(places), strict=True)]


def not_applicable(frame: pd.DataFrame) -> pd.DataFrame:
    """What does not apply and why: a row per (subject, reason), with its cases and dtypes.

    The subject is the check, or `timing forward`.
    """
    return _grouped(frame, ("not_applicable",), ["subject", "reason"])


def declared(frame: pd.DataFrame) -> pd.DataFrame:
    """Failures, lack of support and skips that were declared: a row per (outcome, reason), with its subjects."""
    return _grouped(frame, DECLARED, ["outcome", "reason"])


def problems(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells that failed, crashed, passed against a declared failure, or never ran; a row each, the gravest first."""
    require_columns(frame)
    found = frame[frame["outcome"].isin(PROBLEMS)]
    order = {outcome: position for position, outcome in enumerate(PROBLEMS)}
    found = found.assign(
        subject=subjects(found),
        outcome=found["outcome"].astype(str),
        _order=found["outcome"].astype(str).map(order).astype("int64"),
    )
    columns = ["outcome", "case", "subject", "mode", "device", "dtype", "reason", "nodeid", "run_id"]
    found = found.sort_values("_order", kind="stable")
    table: pd.DataFrame = found[[column for column in columns if column in found]].reset_index(drop=True)
    return table


def subjects(frame: pd.DataFrame) -> pd.Series[str]:
    """What each row is about: the check, or `timing forward`."""
    check, phase = frame["check"].astype(str), frame["phase"].astype(str)
    named = check.where(frame["kind"].astype(str) == "check", "timing " + phase)
    return cast("pd.Series[str]", named)


def _grouped(frame: pd.DataFrame, outcomes: tuple[str, ...], by: list[str]) -> pd.DataFrame:
    import pandas as pd

    require_columns(frame)
    found = frame[frame["outcome"].isin(outcomes)]
    plain = pd.DataFrame({name: found[name].astype(str) for name in ("outcome", "reason", "case", "device", "dtype")})
    plain["subject"] = subjects(found)
    groups = plain.groupby(by, sort=False)
    columns = [name for name in ("subject", "case", "device", "dtype") if name not in by]
    table = pd.DataFrame({f"{name}s": groups[name].agg(_unique) for name in columns})
    table["cells"] = groups.size()
    listed: pd.DataFrame = table.reset_index()
    return listed


def _unique(values: pd.Series[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _check_counts(frame: pd.DataFrame) -> list[pd.DataFrame]:
    checks = frame[frame["kind"].astype(str) == "check"]
    if checks.empty:
        return []
    keys = ["case", *PLACE, "outcome"]
    numbers = _plain(checks, keys).value_counts(sort=False)
    table = numbers.unstack(keys[1:], fill_value=0)
    table.columns.names = [*PLACE, "field"]
    return [table]


def _phase_times(frame: pd.DataFrame) -> list[pd.DataFrame]:
    timings = frame[frame["kind"].astype(str) == "timing"]
    if timings.empty:
        return []
    keys = ["case", *PLACE, "phase"]
    plain = _plain(timings, [*keys, "outcome"]).join(timings[list(TIMES)])
    plain.loc[plain["outcome"] != "passed", list(TIMES)] = float("nan")
    rank = plain["outcome"].map({outcome: position for position, outcome in enumerate(SEVERITY)})
    worst = plain.assign(_rank=rank).sort_values("_rank", kind="stable").drop_duplicates(keys, keep="last")
    parts = [_by_place(worst.set_index(keys)["outcome"], "outcome")]
    medians = plain.groupby(keys, sort=False)[list(TIMES)].median()
    for column, end in zip(TIMES, ("s", "low_s", "high_s"), strict=True):
        parts.append(_by_place(medians[column], end))
    return parts


#: The outcomes from the best to the gravest, where several runs have the same cell.
SEVERITY = (
    "not_applicable",
    "passed",
    "xfailed",
    "unsupported",
    "skipped",
    "not_run",
    "xpassed",
    "failed",
    "error",
    "timeout",
    "crashed",
)


def _by_place(values: pd.Series[float], end: str) -> pd.DataFrame:
    """A series by (case, place, phase) as a table with one row per case."""
    import pandas as pd

    table = values.unstack(list(values.index.names[1:]))  # raises where a cell stands twice
    tuples = [(*column[:-1], f"{column[-1]}_{end}") for column in table.columns]
    table.columns = pd.MultiIndex.from_tuples(tuples, names=[*PLACE, "field"])
    return table


def _plain(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The columns as text: categories would multiply into cells that nobody asked for."""
    import pandas as pd

    plain: pd.DataFrame = pd.DataFrame({column: frame[column].astype(str) for column in columns})
    return plain


def _columns(places: pd.DataFrame) -> list[pd.Series[str]]:
    return [places[name] for name in PLACE]
