"""Digests of files as they lie on disk: cheap enough for every pass, read again only when size or time changed."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from components.errors import InputError


def digest_of_data(path: Path) -> str:
    """SHA-256 of a data set's file, or of the names and contents of all files in its folder.

    Pictures that a table only names are not covered: name the data set anew when they change.

    Raises:
        InputError: it does not exist or cannot be read.
    """
    if not path.is_dir():
        return digest_of_file(path, "data set")
    parts = hashlib.sha256()
    for file in sorted(one for one in path.rglob("*") if one.is_file()):
        parts.update(f"{file.relative_to(path).as_posix()}\0{digest_of_file(file, 'data set')}\0".encode())
    return parts.hexdigest()


def digest_of_file(path: Path, what: str) -> str:
    """SHA-256 of a file's bytes; errors as above, calling it `what`."""
    try:
        known = path.stat()
        return _digest(path, known.st_size, known.st_mtime_ns)
    except OSError as error:
        raise InputError(f"the {what} cannot be read", got=f"{path}: {error.strerror}", next_step="correct its path") from error


@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
