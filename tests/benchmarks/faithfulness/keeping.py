"""What every row gave, in a file that a later run with the same settings goes on with: hours of work survive a stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.base import digest_of
from schemas.release import Example
from tests.benchmarks.faithfulness.sets import BenchmarkSet
from tests.benchmarks.machine import describe


class KeptRows:
    """Lines by row, for one set under one configuration. Lines of other settings in the same file are passed over."""

    def __init__(self, path: Path, given: BenchmarkSet, **settings: Any) -> None:
        self._path = path
        self._settings = settings | {"weights": given.snapshot.weights_digest, "machine": describe()}
        self._lines = {line["key"]: line for line in _read(path)}

    def find(self, example: Example) -> dict[str, Any] | None:
        """The row's line, if there is one."""
        return self._lines.get(self._key(example))

    def add(self, example: Example, line: dict[str, Any]) -> None:
        """Keep a row's line from now on, in memory and on disk."""
        key = self._key(example)
        self._lines[key] = line
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" + json.dumps({"key": key} | line))  # first the end of a line that a killed run left half written

    def _key(self, example: Example) -> str:
        return digest_of(self._settings | {"row": example.model_dump(mode="json", exclude={"image"})})


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """Every whole line; a run that was killed may have left the last one unfinished."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
