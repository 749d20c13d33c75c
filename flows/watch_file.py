"""Where the watch file is: named by the caller, or by the environment."""

from __future__ import annotations

import os
from pathlib import Path

from components.errors import InputError

VARIABLE = "CALIG_WATCH"


def watch_path(named: Path | None) -> Path:
    """The file `named`, else the one that CALIG_WATCH names.

    Raises:
        InputError: neither is given.
    """
    if named is not None:
        return named
    value = os.environ.get(VARIABLE, "").strip()
    if not value:
        raise InputError(
            "no watch file is named",
            next_step=f"--watch FILE, or set {VARIABLE}; deploy/watch.yaml is an example",
        )
    return Path(value)
