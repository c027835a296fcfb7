"""Results folders in object storage: any URL that fsspec knows, `s3://bucket/results`.

A run is made in a mirror on this machine's disk, where a journal can be written line by line, and published when it
ends. A run that has ended never changes, so the mirror of a folder is brought up to date by fetching what it lacks;
many machines may publish to one URL at once, as no two write the same run.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from .collect import RUN_JSON
from .errors import ResultError
from .files import cache_folder
from .safe import check_name
from .store import LATEST, RunFolder

#: A scheme of two letters or more; one is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://.+")
#: Marks a run of the mirror that is, or was, at the URL.
PUBLISHED = ".published"
#: Of a run folder; what else stands there is not fetched.
_FILES = re.compile(r"run\.json|rows(-[A-Za-z0-9._-]+)?\.jsonl|(rows|samples)\.parquet|report\.(html|md)")


def is_url(text: str) -> bool:
    """True for what fsspec opens, and not a path."""
    return _URL.fullmatch(text) is not None


def mirror_of(url: str) -> Path:
    """Where the results folder of a URL is mirrored."""
    return cache_folder() / "mirrors" / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


def fetched(url: str) -> Path:
    """The mirror of a results folder, brought up to date.

    Raises:
        ResultError: it cannot be reached, or is none.
    """
    if not refresh(url):
        raise ResultError(f"{url} holds no run: there is no run.json below it")
    return mirror_of(url)


def refresh(url: str) -> bool:
    """Bring the mirror of a results folder up to date; False if there is no run at the URL.

    Raises:
        ResultError: it cannot be reached.
    """
    root = mirror_of(url)
    with _reaching(url) as (files, base):
        found = dict(_listed(files, base))
        if not found:
            return False
        _drop_what_was_removed(root, {name.split("/")[1] for name in found})
        for name, size in sorted(found.items()):
            path = root / name
            if path.is_file() and path.stat().st_size == size and path.name != RUN_JSON:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.part")
            files.get_file(f"{base}/{name}", str(part))
            part.replace(path)
        for name in {name.split("/")[1] for name in found}:
            (root / "runs" / name / PUBLISHED).touch()
    return True


def _drop_what_was_removed(root: Path, there: set[str]) -> None:
    """Take runs out of the mirror that were at the URL and are not any more; those that never were stay."""
    for marker in (root / "runs").glob(f"*/{PUBLISHED}"):
        if marker.parent.name not in there:
            shutil.rmtree(marker.parent)


def publish(folder: RunFolder, url: str) -> None:
    """Put a run that has ended under the URL; its run.json last, which makes it one.

    Raises:
        ResultError: it cannot be written. The run is in the mirror still.
    """
    name = check_name(folder.run_id, "the run id")
    with _reaching(url) as (files, base):
        target = f"{base}/runs/{name}"
        files.makedirs(target, exist_ok=True)
        names = [path.name for path in folder.path.iterdir() if path.is_file() and _FILES.fullmatch(path.name)]
        for file in sorted(names, key=lambda name: name == RUN_JSON):
            files.put_file(str(folder.path / file), f"{target}/{file}")
    (folder.path / PUBLISHED).touch()


def require_writable(url: str) -> None:
    """Find out before anything is measured whether results can be put there.

    Raises:
        ResultError: they cannot.
    """
    with _reaching(url) as (files, base):
        files.makedirs(base, exist_ok=True)
        files.pipe_file(f"{base}/.torchbasics", b"")


def publish_all(root: Path, url: str, removed: Iterable[str] = ()) -> None:
    """Put the runs of a results folder that the URL lacks there, or has in an earlier state, and take some away.

    Args:
        root: the results folder.
        url: where they go.
        removed: ids of runs that are not to be there any more. Others that the folder lacks stay.

    Raises:
        ResultError: something cannot be written.
    """
    with _reaching(url) as (files, base):
        there = dict(_listed(files, base)) if files.exists(base) else {}
    for path in sorted((root / "runs").iterdir()):
        sizes = {file.name: file.stat().st_size for file in path.iterdir() if _FILES.fullmatch(file.name)}
        if RunFolder.is_at(path) and any(there.get(f"runs/{path.name}/{name}") != size for name, size in sizes.items()):
            publish(RunFolder.open(path), url)
    with _reaching(url) as (files, base):
        for name in removed:
            if files.exists(f"{base}/runs/{check_name(name, 'the run id')}"):
                files.rm(f"{base}/runs/{name}", recursive=True)


def _listed(files: Any, base: str) -> Iterator[tuple[str, int]]:
    """The files of the runs below a folder, as `runs/ID/NAME`, and their sizes."""
    details = files.find(base, detail=True)
    for full, entry in sorted(details.items()):
        parts = PurePosixPath(full.replace("\\", "/")).parts[-3:]
        if len(parts) == 3 and parts[0] == "runs" and _FILES.fullmatch(parts[2]) and parts[1] != LATEST:
            yield f"runs/{check_name(parts[1], 'the run id')}/{parts[2]}", int(entry.get("size") or 0)


@contextlib.contextmanager
def _reaching(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of a URL and the folder in it; whatever it raises becomes one documented error."""
    try:
        import fsspec
    except ImportError:
        raise ResultError(f"{url} needs fsspec: pip install 'pytest-torchbasics[remote]'") from None
    try:
        files, base = fsspec.core.url_to_fs(url)
        yield files, base.rstrip("/")
    except ResultError:
        raise
    except Exception as error:  # every storage raises errors of its own
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResultError(f"{url} cannot be reached: {type(error).__name__}: {message[:200]}") from None
