"""Watches the shards of all explanations: once finished, a shard's file must stay the file it is."""

from __future__ import annotations

import json
from pathlib import Path


class Shards:
    """What became of shards between two looks.

    A shard is finished when its task is: the file is in place and Prefect keeps the task's result.
    """

    def __init__(self, output: Path, results: Path) -> None:
        self._tables, self._results = output / ".cache" / "attributions", results
        self._finished: dict[Path, tuple[int, int]] = {}
        self._damaged: dict[Path, tuple[int, int] | None] = {}
        self.recomputed: list[str] = []
        self.gone: list[str] = []
        self.repaired = 0

    def look(self) -> None:
        """Compare with the last look, and take up what was finished since."""
        for path, identity in list(self._finished.items()):
            now = _identity(path)
            if now != identity:
                del self._finished[path]
                (self.gone if now is None else self.recomputed).append(f"{path.parent.name}/{path.name}")
        for path in self._tables.glob("*/shard-*.parquet"):
            identity = _identity(path)
            if path in self._finished or identity is None or self._damaged.get(path) == identity or not self._has_result(path):
                continue
            self._finished[path] = identity
            self.repaired += self._damaged.pop(path, None) is not None

    def truncate_newest(self) -> bool:
        """Cut the shard that was finished last in half, as a disk does that ran full; False when there is none."""
        self.look()
        newest = max(self._finished, key=lambda path: self._finished[path][1], default=None)
        if newest is None:
            return False
        with newest.open("r+b") as file:
            file.truncate(newest.stat().st_size // 2)
        del self._finished[newest]
        self._damaged[newest] = _identity(newest)
        return True

    @property
    def count(self) -> int:
        """Finished shards."""
        return len(self._finished)

    @property
    def newest_time(self) -> float | None:
        """When the shard that was finished last was written, seconds since 1970."""
        return max((mtime / 1e9 for _, mtime in self._finished.values()), default=None)

    def _has_result(self, path: Path) -> bool:
        """Whether Prefect keeps the result, whole: one cut short by a full disk is none to Prefect either."""
        try:
            json.loads((self._results / f"calig-shard-{path.parent.name}-{path.stem.removeprefix('shard-')}").read_bytes())
        except (OSError, ValueError):
            return False
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
