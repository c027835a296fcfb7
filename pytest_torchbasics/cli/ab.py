"""`torchbasics ab BASE HEAD`: which of two is faster, measured in turn, in about a minute."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..results.errors import ResultError
from ..results.safe import safe_text
from . import _output as output
from .compare import GATES, Compared, conclusion, gates_of, rendered, rules_of

if TYPE_CHECKING:
    from ..ab.session import Contest, Session
    from ..analysis.rules import Rules
    from ..report.comparison import View


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{value!r} is no KEY=VALUE", ctx, param)
        found[name] = text
    return found


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(s|min|)", value.strip())
    if match is None or float(match[1]) <= 0:
        raise click.BadParameter(f"{value!r} is no time; write 60s or 2min", ctx, param)
    return float(match[1]) * (60 if match[2] == "min" else 1)


@click.command("ab", short_help="Which of two is faster, measured in turn: revisions, environments, settings.")
@click.argument("base")
@click.argument("head")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- FILES AND OPTIONS OF PYTEST]")
@click.option("-k", "expression", metavar="EXPR", help="Only these tests, as pytest's -k.")
@click.option("--device", help="As pytest's --device.")
@click.option("--dtype", help="As pytest's --measure-dtype.")
@click.option("--phase", help="As pytest's --phase.")
@click.option("--threads", help="As pytest's --threads.")
@click.option("--base-env", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="A variable of the baseline.")
@click.option("--head-env", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="A variable of the head.")
@click.option("--base-mode", help="The mode of the baseline: eager.")
@click.option("--head-mode", help="The mode of the head: compile.")
@click.option("--base-case", help="Only this case, as the baseline of --head-case.")
@click.option("--head-case", help="Only this case, compared with --base-case.")
@click.option("--budget", callback=_seconds, metavar="TIME", help="How long it may take: 60s, 2min.")
@click.option("--results", metavar="DIR", help="Keep what was measured as a run of each side in this results folder.")
@click.option("--only", type=click.Choice(["changed", "all"]), default="changed", show_default=True)
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="TOML with rules; else pyproject.toml.")
@click.option("--fail-on", default="", callback=gates_of, metavar="LIST", help=f"Exit 1 on any of: {', '.join(GATES)}.")
@output.format_option
@output.out_option
def command(
    base: str,
    head: str,
    pytest_arguments: tuple[str, ...],
    expression: str | None,
    device: str | None,
    dtype: str | None,
    phase: str | None,
    threads: str | None,
    base_env: dict[str, str],
    head_env: dict[str, str],
    base_mode: str | None,
    head_mode: str | None,
    base_case: str | None,
    head_case: str | None,
    budget: float | None,
    results: str | None,
    only: str,
    config: Path | None,
    fail_on: tuple[str, ...],
    format_: str | None,
    out: Path | None,
) -> None:
    """Compare two sides by blocks that two live processes measure in turn.

    BASE and HEAD are revisions of this repository (each gets a worktree), virtual environments or interpreters, or `.`,
    the project as it is. Both collect the same tests; every cell's results are compared first, then its times: all
    cells are screened, what is not clearly the same is confirmed on fresh pairs of processes.
    """
    from ..ab.keeping import keep
    from ..ab.session import SIDES, Session
    from ..ab.sides import opened
    from ..report.comparison import View
    from ..workers import WorkerDied

    options = {
        "-k": expression,
        "--torchbasics-device": device,
        "--torchbasics-measure-dtype": dtype,
        "--torchbasics-phase": phase,
        "--torchbasics-threads": threads,
    }
    shared = [word for name, value in options.items() if value is not None for word in _option(name, value)]
    modes = {"base": base_mode, "head": head_mode}
    try:
        if (base_case is None) != (head_case is None):
            raise ResultError("--base-case and --head-case belong together")
        format_ = output.chosen_format(format_, out)
        rules = rules_of(config)
        ignore = (*(("mode",) if base_mode != head_mode else ()), *(("case",) if base_case else ()))
        with contextlib.ExitStack() as stack, _terminated_as_interrupted():
            sides = {}
            for name, text, environment in (("base", base, base_env), ("head", head, head_env)):
                mode = modes[name]
                more = [f"--torchbasics-mode={mode}"] if mode else []
                arguments = [*pytest_arguments, *shared, *more]
                sides[name] = stack.enter_context(opened(name, text, arguments, environment, Path.cwd()))
            chosen = {"base": base_case, "head": head_case} if base_case and head_case else {}
            session = Session(sides["base"], sides["head"], ignore, budget, chosen, tell=_tell)
            contests = session.run()
        if session.interrupted and len(session.facts) < len(SIDES):
            output.fail(output.INCOMPLETE, "it was interrupted before anything was known")
        if not any(contest.outcomes for contest in contests):
            raise ResultError("no matching data: neither side collected a cell to time")
        for name, case in chosen.items():
            if not any(name in contest.cells for contest in contests):
                raise ResultError(f"--{name}-case: {case!r} is no case that is timed there")
        found = [_compared(session, contests, rules)]
        view = View(only == "all", format_ == "html", command="ab", repeated="blocks")
        output.write(_report(found, view, session, contests, format_, out), out, format_)
        if results:
            keep(session, contests, Path(results))
    except WorkerDied as error:
        what, *printed = str(error).splitlines()
        for line in printed:
            click.echo(safe_text(line), err=True)
        output.fail(output.UNUSABLE, what)
    except ResultError as error:
        output.fail(output.UNUSABLE, str(error))
    except KeyboardInterrupt:
        output.fail(output.INCOMPLETE, "it was interrupted before anything was known")
    incomplete = "it was interrupted: what is shown is what was known by then" if session.interrupted else ""
    code, reason = conclusion(found, fail_on, allow_mismatch=True, incomplete=incomplete)
    if code:
        output.fail(code, reason)


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A CI that cancels a job sends SIGTERM and waits: that is Ctrl-C, so that no worktree is left."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _option(name: str, value: str) -> list[str]:
    return [f"{name}={value}"] if name.startswith("--") else [name, value]


def _tell(text: str) -> None:
    click.echo(safe_text(f"torchbasics ab: {text}"), err=True)


def _compared(session: Session, contests: list[Contest], rules: Rules) -> Compared:
    import pandas as pd

    from ..ab.table import table
    from ..report.comparison import Pair

    labels = [f"{side.label}, torch {session.facts[side.name]['torch']}" for side in (session.base, session.head)]
    return Compared(pd.DataFrame(), pd.DataFrame(), Pair(labels[0], labels[1], table(contests, rules)))


def _report(
    found: list[Compared], view: View, session: Session, contests: list[Contest], format_: str, out: Path | None
) -> str:
    from ..ab.deciding import FALSE_ALARMS

    decided = sum(len(contest.decisions) for contest in contests)
    about = {"false alarms": f"{decided * FALSE_ALARMS:.2g} expected among {decided} decisions"}
    if session.out_of_time:
        about["budget"] = "spent before everything was decided"
    return rendered(found, view, format_, out, about)
