"""`torchbasics compare BASE HEAD...`: ratios, verdicts, the baseline first, and an exit code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from . import _output as output

if TYPE_CHECKING:
    import pandas as pd

    from ..analysis.rules import Rules
    from ..report.comparison import Pair, View
    from ._sources import Runs

#: What --fail-on can name, and the verdicts it stands for.
GATES = {
    "different-results": ("different results",),
    "regression": ("slower", "worse"),
    "new-failure": ("new failure",),
    "missing": ("missing",),
    "inconclusive": ("inconclusive",),
    "suspect": ("suspect slower", "suspect worse"),
    "still-failing": ("still failing",),
    "not-comparable": ("not comparable",),
}
#: As in analysis.compare, which is imported when it is used.
METRICS = "median_s,peak_bytes,error"


def words(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """An option's words, with commas between."""
    return tuple(word.strip() for word in value.split(",") if word.strip())


def gates_of(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """What --fail-on names."""
    gates = words(ctx, param, value)
    for gate in gates:
        if gate not in GATES:
            raise click.BadParameter(f"{gate!r} is none of {', '.join(GATES)}", ctx, param)
    return gates


@dataclass(frozen=True)
class Compared:
    """What was compared: the rows of both sides, and the comparison of them."""

    base: pd.DataFrame
    head: pd.DataFrame
    pair: Pair


@click.command("compare", short_help="Ratios, verdicts and outcomes of runs against a baseline.")
@click.argument("base")
@click.argument("head", nargs=-1)
@output.results_option
@click.option("--metric", "metrics", default=METRICS, callback=words, show_default=True, help="What is compared.")
@click.option("--filter", "-k", "expression", metavar="EXPR", help="Only these cells: 'linear and not dtype:bfloat16'.")
@click.option("--col", metavar="COLUMN[=BASE]", help="Compare the values of a column with each other: mode=eager.")
@click.option("--table", "sections", default="", callback=words, metavar="KEYS", help="A table each: device,dtype.")
@click.option("--row", "rows", default="", callback=words, metavar="KEYS", help="Fold cells that agree in these.")
@click.option("--sort", type=click.Choice(["change", "significance", "case"]), default="change", show_default=True)
@click.option(
    "--only", type=click.Choice(["changed", "all"]), default="changed", show_default=True, help="What is listed."
)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML with rules; else pyproject.toml.")
@click.option("--threshold", help="A change of less is none; by default 5%, or what the rules say.")
@click.option("--screen", help="With fewer than five runs a side, a change beyond this is suspect; by default 25%.")
@click.option("--explain", metavar="CASE", help="Show how the verdicts of a case came about.")
@click.option("--fail-on", default="", callback=gates_of, metavar="LIST", help=f"Exit 1 on any of: {', '.join(GATES)}.")
@click.option("--allow-mismatch", is_flag=True, help="Show ratios of different machines or cases; they prove nothing.")
@click.option("--allow-incomplete", is_flag=True, help="Accept runs that did not end.")
@click.option(
    "--max-bytes", type=click.IntRange(min=1000), help="The size that the output may have: rows are left out."
)
@output.format_option
@output.out_option
def command(
    base: str,
    head: tuple[str, ...],
    results: Path,
    metrics: tuple[str, ...],
    expression: str | None,
    col: str | None,
    sections: tuple[str, ...],
    rows: tuple[str, ...],
    sort: str,
    only: str,
    config: Path | None,
    threshold: str | None,
    screen: str | None,
    explain: str | None,
    fail_on: tuple[str, ...],
    allow_mismatch: bool,
    allow_incomplete: bool,
    max_bytes: int | None,
    format_: str | None,
    out: Path | None,
) -> None:
    """Compare runs. The first argument is the baseline, always; every other one is a run of the head.

    BASE and HEAD are run folders, results folders, files, ids of runs or their beginnings, or `latest`. Several runs
    of the baseline are given with commas between: base1,base2.

    With five or more runs a side, an exact rank test over runs with a correction for the number of cells decides, and a
    change must be larger than the threshold. With fewer, a change beyond --screen is called suspect, and nothing is
    claimed. With --col, all runs are one set, and the values of the column are compared with each other.
    """
    from ..analysis.projections import checked_keys
    from ..report.comparison import View
    from ._sources import read_runs

    try:
        if not head and not col:
            raise ResultError("name the head too, or compare the values of a column with --col")
        sides = [read_runs([base], results), *([read_runs(head, results)] if head else [])]
        rules = rules_of(config, threshold, screen)
        found = _compared(sides, metrics, expression, col, rules)
        _warn_of_both([set(side.frame["run_id"].astype(str)) for side in sides])
        format_ = output.chosen_format(format_, out)
        view = View(
            only == "all",
            format_ == "html",  # a page has room for everything
            sort,
            checked_keys(sections, "--table"),
            checked_keys(rows, "--row"),
        )
        if explain:
            text = _explained(found, rules, explain, format_, out)
        else:
            text = _fitting(found, view, format_, out, max_bytes)
        output.write(text, out, format_)
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    incomplete = "" if allow_incomplete else _incomplete(sides)
    code, reason = conclusion(found, fail_on, allow_mismatch, incomplete)
    if code:
        output.fail(code, reason)


def _warn_of_both(runs: Sequence[set[str]]) -> None:
    """Say which runs are compared with themselves."""
    both = sorted(set.intersection(*runs)) if len(runs) > 1 else []
    if both:
        click.echo(f"torchbasics: on both sides: {', '.join(both)}", err=True)


def rules_of(config: Path | None, threshold: str | None = None, screen: str | None = None) -> Rules:
    """The rules of the file, or of pyproject.toml, with what the options say in the place of its defaults."""
    from ..analysis.rules import parse_rules, read_rules, share

    here = Path("pyproject.toml")
    path = config or (here if here.is_file() else None)
    options = {name: value for name, value in (("threshold", threshold), ("screen", screen)) if value is not None}
    for name, value in options.items():
        try:
            share(value)
        except ResultError as error:
            raise ResultError(f"--{name}: {error}") from None
    return parse_rules(options) if path is None else read_rules(path, options)


def _compared(
    sides: Sequence[Runs], metrics: Sequence[str], expression: str | None, col: str | None, rules: Rules
) -> list[Compared]:
    import pandas as pd

    from ..analysis.compare import compare
    from ..analysis.filters import matching
    from ..analysis.projections import across
    from ..report.comparison import Pair
    from ..results.load import load
    from ..results.schema import KEYS

    frames = [matching(side.frame, expression) if expression else side.frame for side in sides]
    if col is None:
        pairs = [(sides[0].label, sides[1].label, frames[0], frames[1])]
        ignore: tuple[str, ...] = ()
    else:
        column, _, base = col.partition("=")
        whole = frames[0] if len(frames) == 1 else load([path for side in sides for path in side.paths])
        whole = matching(whole, expression) if expression and len(frames) > 1 else whole
        pairs = list(across(whole, column, base or None))
        ignore = (column,) if column in KEYS else ()
    found = []
    for base_label, head_label, base_frame, head_frame in pairs:
        table = compare(base_frame, head_frame, metric=metrics, rules=rules, ignore=ignore)
        found.append(Compared(base_frame, head_frame, Pair(base_label, head_label, table)))
    tables = pd.concat([each.pair.table[["base_outcome", "head_outcome"]] for each in found])
    if not ((tables["base_outcome"] != "") & (tables["head_outcome"] != "")).any():
        raise ResultError("no matching data: no cell is in the baseline and in the head")
    return found


def _incomplete(sides: Sequence[Runs]) -> str:
    """Why sides are no whole runs; empty if they are."""
    found = [
        f"{name}: {side.incomplete}" for name, side in zip(("baseline", "head"), sides, strict=False) if side.incomplete
    ]
    return f"{'; '.join(found)} (--allow-incomplete compares it all the same)" if found else ""


def conclusion(
    found: Sequence[Compared], gates: Sequence[str], allow_mismatch: bool, incomplete: str = ""
) -> tuple[int, str]:
    """The exit code that the comparison asks for, and why.

    Args:
        found: the comparisons.
        gates: what --fail-on names.
        allow_mismatch: sides that cannot be compared are no reason.
        incomplete: why a side is no whole run, if that is one.
    """
    import pandas as pd

    table = pd.concat([each.pair.table for each in found])
    passed = table[(table["base_outcome"] == "passed") & (table["head_outcome"] == "passed")]
    if not allow_mismatch:
        for obstacle, what in (("machine", "different machines"), ("threads", "different numbers of threads")):
            count = int((passed["obstacle"] == obstacle).sum())
            if count:
                return (
                    output.NOT_COMPARABLE,
                    f"{count} cells were measured on {what} (--allow-mismatch shows the ratios without a verdict)",
                )
        valued = passed[passed["ratio"].notna()]
        if len(passed) and (passed["obstacle"] == "case").all():
            return output.NOT_COMPARABLE, "no cell has the same case hash on both sides: every case was changed"
        if len(valued) and (valued["obstacle"] != "").all():
            return output.NOT_COMPARABLE, f"no cell can be compared: {valued['reason'].iloc[0]}"
    if incomplete:
        return output.INCOMPLETE, incomplete
    for gate in gates:
        count = int((table["verdict"].isin(GATES[gate]) & table["gate"]).sum())
        if count:
            return (
                output.GATED,
                f"{count} {'cell is' if count == 1 else 'cells are'} {gate} (--fail-on {','.join(gates)})",
            )
    if gates and passed.empty and not (table["verdict"] == "fixed").any():
        return output.UNUSABLE, f"--fail-on {','.join(gates)}: no cell passed on both sides, so nothing was compared"
    return 0, ""


def _fitting(found: Sequence[Compared], view: View, format_: str, out: Path | None, limit: int | None) -> str:
    """The comparison in at most so many bytes: without what did not change, then with fewer and fewer rows.

    Raises:
        ResultError: not even the counts fit.
    """
    changed = replace(view, everything=False, details=False)
    for smaller in (view, changed, *(replace(changed, most=most) for most in (20, 5, 0))):
        text = rendered(found, smaller, format_, out)
        if limit is None or len(text.encode()) <= limit:
            return text
    raise ResultError(f"--max-bytes={limit}: the counts alone take {len(text.encode())} bytes")


def rendered(
    found: Sequence[Compared], view: View, format_: str, out: Path | None, about: Mapping[str, str] | None = None
) -> str:
    """The comparison in a format; `about` stands in the header of those for people."""
    if format_ in ("csv", "json"):
        rows = _table(found)
        if not view.everything:
            from ..analysis.compare import UNCHANGED

            rows = rows[~rows["verdict"].isin(UNCHANGED)]
        return output.csv_text(rows) if format_ == "csv" else output.json_text(rows)
    from ..report.comparison import comparison

    return output.rendered(comparison([each.pair for each in found], view, about), format_, out)


def _table(found: Sequence[Compared]) -> pd.DataFrame:
    """All comparisons in one frame; which is which stands first if there are several."""
    import pandas as pd

    if len(found) == 1:
        return found[0].pair.table
    named = [each.pair.table.assign(base_is=each.pair.base, head_is=each.pair.head) for each in found]
    table = pd.concat(named, ignore_index=True)
    result: pd.DataFrame = table[["base_is", "head_is", *(c for c in table if c not in ("base_is", "head_is"))]]
    return result


def _explained(found: Sequence[Compared], rules: Rules, case: str, format_: str, out: Path | None) -> str:
    import pandas as pd

    from ..report.explanation import Explained, explanation

    parts = []
    for each in found:
        table = each.pair.table[each.pair.table["case"].astype(str) == case].reset_index(drop=True)
        parts.append(Explained(each.pair.base, each.pair.head, table, each.base, each.head))
    rows = pd.concat([part.table for part in parts], ignore_index=True)
    if rows.empty:
        raise ResultError(f"--explain={case}: no such case is on either side")
    if format_ in ("csv", "json"):
        return output.csv_text(rows) if format_ == "csv" else output.json_text(rows)
    return output.rendered(explanation(parts, rules), format_, out)
