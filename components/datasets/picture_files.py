"""Pictures that rows name: regular files below the data's folder, checked by opening each as the model's users would."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from calig.errors import InvalidInputError
from calig.pictures import MAX_BYTES, open_picture
from components.datasets.values import is_missing

#: Longest path that a row may name, as on Linux.
_LONGEST_PATH = 4096


class PictureFile(NamedTuple):
    """Where a row's picture is, and why it cannot be used. Without a `path` nothing outside the data's folder is ever touched."""

    path: Path | None
    problem: str | None


def find_picture(value: object, folder: Path) -> PictureFile:
    """The file that a row names, relative to `folder`, which is resolved."""
    if is_missing(value):
        return PictureFile(None, "the row names no image file")
    name = str(value)
    if "\0" in name or len(name) > _LONGEST_PATH:
        return PictureFile(None, f"the image's path cannot be used: {name[:40]!r}")
    try:
        path = folder / name
        if not path.resolve().is_relative_to(folder):
            return PictureFile(None, f"the image file lies outside the data's folder: {name[:200]}")
        return PictureFile(path, _problem(path))
    except (OSError, RuntimeError) as error:  # too long a name; a ring of links
        return PictureFile(None, f"the image's path cannot be used: {type(error).__name__}")


def _problem(path: Path) -> str | None:
    if not path.exists():
        return f"the image file does not exist: {path.name}"
    if not path.is_file():
        return f"the image is not a regular file: {path.name}"
    if path.stat().st_size > MAX_BYTES:
        return f"the image file is too large: more than {MAX_BYTES // 2**20} MiB"
    try:
        open_picture(path)
    except InvalidInputError as error:
        return ", ".join(line.removeprefix("got: ") for line in str(error).split("\n")[:2] if str(path) not in line)
    return None
