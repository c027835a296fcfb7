"""Reading files that others wrote, and showing text that others wrote. Files are data: never code, never markup.

The one place of limits (what a file may ask for), of names (what may become a path) and of escaping.
"""

from __future__ import annotations

import html
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import ResultError

MIB = 1 << 20
#: The largest files that are read, in bytes.
JSON_BYTES = 256 * MIB
JOURNAL_BYTES = 4096 * MIB
PARQUET_BYTES = 4096 * MIB
#: What a Parquet file may unpack to: 64 kB can ask for 2 GiB.
UNPACKED_BYTES = 8192 * MIB
UNPACKED_RATIO = 1_000
#: Below this size the ratio says nothing: a column of one repeated word packs well.
RATIO_MATTERS_FROM = 64 * MIB
ROWS = 20_000_000
COLUMNS = 5_000
LINE_BYTES = 64 * MIB
NESTING = 100

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{i}" for d in ("com", "lpt") for i in range(1, 10))}
#: A dash, plus, equals sign or number is markup only where a line begins.
_MARKDOWN = re.compile(r"([\\`*_\[\]()#|~<>&$]|^[+=-]|(?<=^\d)\.|(?<=^\d\d)\.)")
#: What GitHub makes a link of wherever it stands.
_LINK = re.compile(r"(?i)\b(https?:|ftp:|mailto:|xmpp:|www\.)")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def check_name(name: str, what: str) -> str:
    """The name, if it may become a part of a path.

    Raises:
        ResultError: it may not.
    """
    if not _NAME.fullmatch(name) or name.endswith(".") or name.split(".")[0].lower() in _WINDOWS_DEVICES:
        raise ResultError(
            f"{what} {safe_text(name)[:80]!r} cannot be used as a name: it must begin with a letter or digit, hold "
            "only letters, digits, '.', '_' and '-', be at most 64 long, and be no device name of Windows"
        )
    return name


def safe_text(value: object) -> str:
    """Text that cannot drive a terminal: control, direction and zero-width characters are written out."""
    string = str(value)
    if string.isascii() and string.isprintable():
        return string
    return "".join(_shown(character) for character in string)


def printable(text: str) -> str:
    """Lines that cannot drive a terminal."""
    return re.sub(r"[^\n\t]+", lambda found: safe_text(found[0]), text.replace("\r\n", "\n"))


def without_home(value: object) -> str:
    """Text in which the home folder, which tells who the user is, is `~`."""
    home = os.path.expanduser("~").rstrip(os.sep)
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", str(value)) if home else str(value)


def without_commands(line: str) -> str:
    """A line of the same width that no CI takes for a command (`::error::`, `##[error]` in GitHub's log)."""
    return re.sub(r"^(\s*):(?=:)", r"\1.", line).replace("##[", "#.[")


def escape_html(value: object) -> str:
    """Text for the inside of an HTML element or a quoted attribute."""
    return html.escape(safe_text(value), quote=True)


def escape_markdown(value: object) -> str:
    """Text for a cell or a line of Markdown; no markup, mention or issue link comes alive."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", safe_text(value).strip()).replace("\\<", "&lt;").replace("\\>", "&gt;")
    escaped = escaped.replace("\\&", "&amp;").replace("@", "@\u200b")
    return _LINK.sub(lambda found: f"{found[0][:-1]}\u200b{found[0][-1]}", escaped)


def escape_csv(value: object) -> str:
    """Text for a CSV cell that no spreadsheet takes for a formula; `unescape_csv` undoes it."""
    string = str(value)
    return f"'{string}" if string.startswith(_FORMULA) else string


def unescape_csv(value: str) -> str:
    """What `escape_csv` was given."""
    return value[1:] if value.startswith("'") and value[1:].startswith(_FORMULA) else value


def parse_json(data: bytes, path: Path | None = None, line: int | None = None) -> Any:
    """Strict JSON: no duplicate keys, no NaN, no numbers beyond a float, bounded nesting, no half characters.

    Raises:
        ResultError: it is not that.
    """
    try:
        string = data.decode("utf-8")
        _check_nesting(string)
        found = json.loads(string, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite_float)
        if _SURROGATE.search(string):  # of a pair, which is one character, or alone, which is none
            json.dumps(found, ensure_ascii=False).encode("utf-8")
        return found
    except (ValueError, RecursionError) as error:
        raise ResultError(f"not valid JSON: {str(error)[:200]}", path, line) from None


def read_json(path: Path) -> Any:
    """The content of a JSON file of at most `JSON_BYTES`.

    Raises:
        ResultError: it cannot be read, is too large, or is not strict JSON.
    """
    return parse_json(read_bytes(path, JSON_BYTES), path)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file of at most `JSON_BYTES`.

    Raises:
        ResultError: it cannot be read, or is none.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # type: ignore[import-not-found]

    try:
        found: dict[str, Any] = tomllib.loads(read_bytes(path, JSON_BYTES).decode("utf-8"))
    except ValueError as error:
        raise ResultError(f"is no TOML: {error}", path) from None
    return found


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes.

    Raises:
        ResultError: it cannot be read or is too large.
    """
    check_size(path, limit)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror or error}", path) from None


def is_schema(value: object, newest: int) -> bool:
    """True for the number of a schema from 1 to the newest one that is read."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= newest


def is_there(path: Path) -> bool:
    """True if there is such a path; what is too long for one, or goes in circles, is none."""
    try:
        return path.exists()
    except OSError:
        return False


def check_size(path: Path, limit: int) -> int:
    """The size of a plain file.

    Raises:
        ResultError: it is not there, no plain file, or larger than the limit.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ResultError(f"cannot be read: {error.strerror or error}", path) from None
    if not path.is_file():
        raise ResultError("is not a plain file", path)
    if size > limit:
        raise ResultError(f"is {size / MIB:,.0f} MiB; at most {limit // MIB:,} MiB are read", path)
    return size


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
    return character


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:40]!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite_float(digits: str) -> float:
    found = float(digits)
    if found in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:40]} is too large")
    return found


def _check_nesting(string: str) -> None:
    """Raise for brackets that nest deeper than `NESTING`; cheap for what is flat."""
    if string.count("[") + string.count("{") <= NESTING:
        return
    depth, quoted = 0, False
    for token in re.finditer(r'\\.|["\[\]{}]', string):
        mark = token.group()
        if mark == '"':
            quoted = not quoted
        elif quoted or mark[0] == "\\":
            continue
        else:
            depth += 1 if mark in "[{" else -1
            if depth > NESTING:
                raise ValueError(f"nested deeper than {NESTING}")
