"""Writing a final file so that at every moment either the old one or the new one is there, whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import ResultError
from .safe import MIB, check_size

#: Where the cache is kept, instead of the user's folder for such files.
CACHE_VARIABLE = "TORCHBASICS_CACHE"


def replace_file(path: Path, data: bytes) -> None:
    """Write a file by way of a temporary one beside it, through to the disk, and read it back.

    Raises:
        ResultError: it cannot be written, or what is read back differs.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)
        written = path.read_bytes()
    except OSError as error:
        raise ResultError(f"cannot be written: {error.strerror or error}", path) from None
    # Another run may have replaced a file that runs share (LATEST); length and content are its own then.
    if written != data and path.name != "LATEST":
        raise ResultError("what was read back after writing differs from what was written; is the disk failing?", path)


def to_json(value: Any) -> bytes:
    """Strict JSON, one key a line; what is no plain value becomes text."""
    # What UTF-8 cannot hold, such as the bytes of an argument in another encoding, becomes a question mark.
    return (json.dumps(value, indent=1, allow_nan=False, default=str, ensure_ascii=False) + "\n").encode(
        errors="replace"
    )


def cache_folder() -> Path:
    """Where this user's files are kept that can be made again: `TORCHBASICS_CACHE`, or the system's place for such."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder)
    import platformdirs

    return platformdirs.user_cache_path("pytest-torchbasics")


def sha256(data: bytes) -> str:
    """The hash of a file's content."""
    return hashlib.sha256(data).hexdigest()


def sha256_of(paths: Iterable[Path], limit: int) -> str:
    """The hash of the content of files, one after the other, each of at most `limit` bytes.

    Raises:
        ResultError: one cannot be read or is too large.
    """
    found = hashlib.sha256()
    for path in paths:
        check_size(path, limit)
        try:
            with path.open("rb") as file:
                while block := file.read(MIB):
                    found.update(block)
        except OSError as error:
            raise ResultError(f"cannot be read: {error.strerror or error}", path) from None
    return found.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make the new name last; not every system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
