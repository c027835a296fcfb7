"""Where the commands write: the terminal, a pipe that may close, or a file; and how they end."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..results.errors import ResultError
from ..results.files import replace_file
from ..results.safe import escape_csv, printable, safe_text

if TYPE_CHECKING:
    import pandas as pd

    from ..report.document import Document

FORMATS = ("terminal", "markdown", "html", "csv", "json")
ENDINGS = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".csv": "csv", ".json": "json"}
#: Of text that no terminal shows.
WIDTH = 100

GATED, UNUSABLE, NOT_COMPARABLE, INCOMPLETE = 1, 2, 3, 4

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Of the output; by default the ending of --out tells, else terminal.",
)
out_option = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")


def _results(ctx: click.Context, param: click.Parameter, value: str) -> Path:
    """The folder; of a URL its mirror."""
    from ..results.load import local

    try:
        return local(value)
    except ResultError as error:
        fail(UNUSABLE, str(error))


results_option = click.option(
    "--results",
    callback=_results,
    default="results",
    show_default=True,
    help="The folder, or its URL, in which runs are looked for by id.",
)


def chosen_format(format_: str | None, out: Path | None) -> str:
    """The format that the options ask for."""
    return format_ or ENDINGS.get(out.suffix.lower() if out else "", "terminal")


def screen(out: Path | None) -> tuple[int, bool]:
    """The width of the output, and whether it may be coloured."""
    if out is not None or not sys.stdout.isatty():
        columns = os.environ.get("COLUMNS", "")
        return (int(columns) if columns.isascii() and columns.isdigit() and len(columns) < 5 else WIDTH, False)
    return shutil.get_terminal_size((WIDTH, 24)).columns, not os.environ.get("NO_COLOR")


def rendered(document: Document, format_: str, out: Path | None, details: bool = False) -> str:
    """A report in one of the formats for people: terminal, markdown, html."""
    if format_ == "markdown":
        from ..report import markdown

        return markdown.render(document)
    if format_ == "html":
        from ..report import html

        return html.render(document)
    from ..report import terminal

    width, color = screen(out)
    return terminal.render(document, width, color, details)


def write(text: str, out: Path | None, format_: str) -> None:
    """Write a report to the file, or to standard output.

    Raises:
        ResultError: the file cannot be written.
    """
    if out is not None:
        if not out.parent.is_dir():
            raise ResultError("cannot be written: there is no such folder", out)
        replace_file(out, text.encode("utf-8"))
        return
    if format_ == "terminal":
        from ..report.terminal import to_ascii

        try:
            text.encode(sys.stdout.encoding or "ascii")
        except (UnicodeError, LookupError):
            text = to_ascii(text)
        data = text.encode(sys.stdout.encoding or "ascii")
    else:
        # A table keeps every character of a text, for who reads it; a terminal would obey some of them.
        data = (printable(text) if sys.stdout.isatty() else text).encode("utf-8")
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader, `head` perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as CSV in which no text is a formula."""
    import pandas as pd

    plain = frame.copy()
    for column in plain.columns:
        if not pd.api.types.is_numeric_dtype(plain[column].dtype):
            plain[column] = plain[column].astype(object).where(plain[column].notna(), "").map(escape_csv)
    # RFC 4180's ends of lines; with another one a carriage return in a text would not be quoted.
    text: str = plain.to_csv(index=False, lineterminator="\r\n")
    return text


def json_text(frame: pd.DataFrame) -> str:
    """A frame as strict JSON: a list of objects."""
    records = [{key: _plain(value) for key, value in record.items()} for record in frame.to_dict("records")]
    return json.dumps(records, allow_nan=False, indent=1) + "\n"


def fail(code: int, reason: str) -> NoReturn:
    """End with an exit code; the last line says why."""
    click.echo(f"torchbasics: exit {code}: {safe_text(reason)}", err=True)
    raise SystemExit(code)


def _plain(value: Any) -> Any:
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if hasattr(value, "dtype"):  # a numpy number
        return _plain(value.tolist())
    return value if isinstance(value, (str, int, float, bool)) else str(value)
