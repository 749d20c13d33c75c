"""SHA-256 of files, and files kept between runs with theirs beside them: used again only while they are what was written."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

SUFFIX = ".sha256"

_LOG = logging.getLogger("calig.cache")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; the file is streamed."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def is_as_written(path: Path, sha256: str) -> bool:
    """Whether `path` is there and has this digest."""
    return path.is_file() and file_digest(path) == sha256


def note_digest(path: Path) -> None:
    """Note what was written to `path`; call it before the file can be found at its place, or by whoever has just written it."""
    _note(path).write_text(file_digest(path), encoding="ascii")


def unchanged(path: Path) -> bool:
    """Whether `path` is there and as it was noted; one line is logged when it is there and is not."""
    if not path.is_file():
        return False
    same = _note(path).is_file() and _note(path).read_text(encoding="ascii", errors="replace") == file_digest(path)
    if not same:
        _LOG.warning("%s changed since it was written, or nothing says what it was: it is made again", path)
    return same


def _note(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
