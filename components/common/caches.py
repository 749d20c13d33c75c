"""The caches below an output folder: who uses them, and how they are shrunk by age and size.

Everything in them can be computed or downloaded again. Results, and alerts that wait to be sent, are no caches.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from components.common.errors import CouldNotRunError

#: How many folders below each cache one entry lies, by the cache's name; files of any other cache are entries themselves.
_DEPTHS = {"models": 2, "profiles": 3}
_DEPTHS |= dict.fromkeys(("attributions", "scored", "onnx", "rows", "probe", "numerics", "prefect"), 1)
_KEPT = {"outbox"}
#: Held by many at once or by one alone, which filelock offers by an SQLite database only: no help on a shared mount.
_LOCK = "in-use.lock"
_DAY_S = 86_400.0


class Entry(NamedTuple):
    """Something in a cache that is removed whole."""

    path: Path
    n_bytes: int
    used_s: float


class Cleaned(NamedTuple):
    """What was removed, or would be, and what stays."""

    removed: tuple[Entry, ...]
    kept: tuple[Entry, ...]


@contextmanager
def in_use(output: Path) -> Iterator[None]:
    """While inside, nothing is removed from the caches of `output`; waits while somebody cleans them."""
    with _lock_file(output) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def clean(output: Path, *, older_than_days: float | None, larger_than_bytes: int | None, dry_run: bool) -> Cleaned:
    """Remove what was last used longer ago, then the least recently used until the rest fits.

    Raises:
        CouldNotRunError: an explanation uses the caches now, or the disk refuses.
    """
    with _alone(output):
        entries = sorted(_entries(output / ".cache"), key=lambda entry: entry.used_s)
        removed = _chosen(entries, older_than_days, larger_than_bytes)
        if not dry_run:
            for entry in removed:
                _remove(entry.path)
            _remove_empty(output / ".cache")
    return Cleaned(tuple(removed), tuple(entry for entry in entries if entry not in removed))


def _chosen(entries: list[Entry], older_than_days: float | None, larger_than_bytes: int | None) -> list[Entry]:
    oldest_s = 0.0 if older_than_days is None else time.time() - older_than_days * _DAY_S
    removed = [entry for entry in entries if entry.used_s < oldest_s]
    left = sum(entry.n_bytes for entry in entries) - sum(entry.n_bytes for entry in removed)
    for entry in entries[len(removed) :]:
        if larger_than_bytes is None or left <= larger_than_bytes:
            break
        removed.append(entry)
        left -= entry.n_bytes
    return removed


def _entries(cache: Path) -> Iterator[Entry]:
    for kind in sorted(cache.iterdir()) if cache.is_dir() else []:
        if kind.name in _KEPT or kind.name == _LOCK:
            continue
        for path in _below(kind, _DEPTHS.get(kind.name, 0)):
            yield _measured(path)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    """Paths `depth` folders below; what a broken download left is hidden, and lies higher."""
    if depth == 0 or folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
        yield folder
        return
    for inner in folder.iterdir():
        yield from _below(inner, depth - 1)


def _measured(path: Path) -> Entry:
    """Links are counted and removed as what they are, never followed."""
    files = [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]
    n_bytes, used_s = 0, 0.0
    for file in files:
        with suppress(OSError):
            stat = file.lstat()
            is_folder = file.is_dir() and not file.is_symlink()
            n_bytes += 0 if is_folder else stat.st_size
            used_s = max(used_s, stat.st_mtime, 0.0 if is_folder else stat.st_atime)  # measuring reads folders
    return Entry(path, n_bytes, used_s)


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise CouldNotRunError("A cache cannot be removed.", got=error, next_step="check its owner and permissions") from error


def _remove_empty(cache: Path) -> None:
    for folder in sorted((path for path in cache.rglob("*") if path.is_dir() and not path.is_symlink()), reverse=True):
        if not _KEPT & set(folder.relative_to(cache).parts):
            with suppress(OSError):  # it holds something
                folder.rmdir()


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    with _lock_file(output) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CouldNotRunError(
                "An explanation is running in this folder, so nothing was removed.",
                got=output,
                next_step="run again when it has ended",
            ) from error
        yield


def _lock_file(output: Path) -> TextIO:
    cache = output / ".cache"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return (cache / _LOCK).open("a", encoding="utf-8")
    except OSError as error:
        raise CouldNotRunError(
            "The output folder cannot be written.", got=f"{cache}: {error.strerror}", next_step="choose another with --output"
        ) from error
