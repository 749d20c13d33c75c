"""Persistent outbox: one file per version, fingerprint and level, kept after delivery so that nothing is sent twice."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from components.common.errors import CouldNotRunError
from schemas.alert import AlertMessage, Channel, OutboxEntry

_LOCK_WAIT_S = 60.0


class Outbox:
    """The folder `<output>/.cache/outbox`."""

    def __init__(self, output: Path) -> None:
        self.folder = output / ".cache" / "outbox"

    def put(self, message: AlertMessage, channels: tuple[Channel, ...], *, registered: bool) -> OutboxEntry:
        """Keep `message` for `channels`. One that is here already stays as it was first told; new channels are added to it."""
        known = self._read(self._path(message.id)) if self._path(message.id).exists() else None
        entry = known or OutboxEntry(message=message, registered=registered, channels=channels)
        added = tuple(channel for channel in channels if channel.name not in {one.name for one in entry.channels})
        entry = entry.model_copy(update={"channels": (*entry.channels, *added)})
        if entry != known:
            self.save(entry)
        return entry

    def unfinished(self) -> list[OutboxEntry]:
        """Messages that some channel has not taken yet, or that are not noted on their version; oldest first."""
        entries = [self._read(path) for path in self.folder.glob("*.json")]
        return sorted((e for e in entries if e is not None and not e.done), key=lambda e: (e.message.created_at, e.message.id))

    def unreadable(self) -> list[Path]:
        """Files that hold no message; they are left for a person to look at."""
        return sorted(path for path in self.folder.glob("*.json") if self._read(path) is None)

    def save(self, entry: OutboxEntry) -> None:
        """Write the entry whole or not at all, and onto the disk."""
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=self.folder, suffix=".part")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(entry.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(self._path(entry.message.id))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process sends from here at a time; the lock falls with its process.

        Raises:
            CouldNotRunError: another process holds it for a minute.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=_LOCK_WAIT_S)
        except Timeout:
            raise CouldNotRunError(
                "another process is sending from this outbox", got=self.folder, next_step="try again later"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _path(self, alert_id: str) -> Path:
        return self.folder / f"{alert_id}.json"

    def _read(self, path: Path) -> OutboxEntry | None:
        try:
            return OutboxEntry.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
