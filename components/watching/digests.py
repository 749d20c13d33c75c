"""Digests of data sets and files: bounded, and computed again only when size or time changed."""

from __future__ import annotations

import hashlib
import stat
from functools import lru_cache
from itertools import islice
from pathlib import Path

from components.common.errors import InputError
from components.common.file_digests import file_digest

#: A saved data set of more files than this is refused; its shards are of about 500 MB each.
_MOST_FILES = 1000
#: Every folder that `datasets` saves has it.
_SAVED = "state.json"
_FORMS = "a file, or a folder written by datasets.save_to_disk"


def digest_of_data(path: Path, most_bytes: int) -> str:
    """SHA-256 of a data set's file, or of the names and contents of the files of a saved `datasets` folder.

    Pictures that a table only names are not covered: name the data set anew when they change.

    Raises:
        InputError: it does not exist, cannot be read, is another folder, or is larger than `most_bytes`.
    """
    if not path.is_dir():
        _check_size([path], most_bytes, path)
        return digest_of_file(path, "data set")
    if not (path / _SAVED).is_file():
        raise InputError("the data set is a folder that is no saved data set", got=path, allowed=_FORMS)
    files = list(islice((one for one in path.rglob("*") if one.is_file()), _MOST_FILES + 1))
    if len(files) > _MOST_FILES:
        raise InputError(f"the data set is a folder of more than {_MOST_FILES} files", got=path, allowed=_FORMS)
    _check_size(files, most_bytes, path)
    parts = hashlib.sha256()
    for file in sorted(files):
        parts.update(f"{file.relative_to(path).as_posix()}\0{digest_of_file(file, 'data set')}\0".encode())
    return parts.hexdigest()


def digest_of_file(path: Path, what: str) -> str:
    """SHA-256 of a regular file's bytes; InputError, calling it `what`, when there is none or it cannot be read."""
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):
            raise InputError(f"the {what} is no regular file", got=path, allowed=_FORMS)
        return _digest(path, known.st_size, known.st_mtime_ns)
    except OSError as error:
        raise InputError(f"the {what} cannot be read", got=f"{path}: {error.strerror}", next_step="correct its path") from error


def _check_size(files: list[Path], most_bytes: int, path: Path) -> None:
    total = sum(_size(file) for file in files)
    if total > most_bytes:
        raise InputError(
            "the data set is larger than the watch file allows",
            got=f"{path}: {total:,} bytes",
            allowed=f"{most_bytes:,} bytes (dataset_limit_bytes)",
        )


def _size(file: Path) -> int:
    """0 for what cannot be looked at: `digest_of_file` says so."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _mtime_ns: int) -> str:
    return file_digest(path)
