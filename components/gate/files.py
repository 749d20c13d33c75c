"""Files that a CI system reads."""

from __future__ import annotations

import tempfile
from pathlib import Path

from components.common.errors import CouldNotRunError


def write_whole(content: bytes, path: Path, *, option: str) -> None:
    """Write a file that a CI system reads, whole or not at all; `option` is the one that named it.

    Raises:
        CouldNotRunError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
        path.chmod(0o644)
    except OSError as error:
        raise CouldNotRunError(
            f"the file of {option} cannot be written", got=f"{path}: {error}", next_step=f"check {option}"
        ) from error
