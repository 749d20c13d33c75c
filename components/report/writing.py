"""Write a page to its place."""

from __future__ import annotations

from pathlib import Path

from components.errors import CouldNotRunError


def write_text(page: str, path: Path) -> None:
    """Write `page` to `path`, making its folder.

    Raises:
        CouldNotRunError: the disk refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8", errors="replace")
    except OSError as error:
        raise CouldNotRunError(
            f"the report cannot be written to {path}", got=error, next_step="check the folder and its free space"
        ) from error
