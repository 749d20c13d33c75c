"""The demo's own folder, emptied before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from components.errors import InputError

_MARKER = "calig-demo"


def start_afresh(folder: Path) -> None:
    """Empty the demo's own folder; a folder that is not the demo's is left alone."""
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARKER).exists():
        raise InputError(
            "the demo empties its folder first, and this one holds something else",
            got=folder,
            next_step="name another with --folder",
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARKER).write_text("made by `calig demo`; safe to delete\n", encoding="utf-8")
