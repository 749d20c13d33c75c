"""Lines of results in a file, each made once: a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

Line = dict[str, Any]


class Finished:
    """The lines of `path` that were made with these settings, by their keys."""

    def __init__(self, path: Path, settings: str) -> None:
        self._path, self._settings = path, settings
        stored = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        self._lines: dict[str, Line] = {line["key"]: line for line in map(json.loads, stored) if line["settings"] == settings}

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    def line(self, key: str, make: Callable[[], Line]) -> Line:
        """The line, made and kept with the processor's seconds if it is not there yet."""
        if key not in self._lines:
            started = process_time()
            made = make() | {"key": key, "settings": self._settings, "seconds": round(process_time() - started, 1)}
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(made) + "\n")
            self._lines[key] = made
        return self._lines[key]
