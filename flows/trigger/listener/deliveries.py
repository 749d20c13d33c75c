"""Deduplication of deliveries within the timestamp window: in memory, and in SQLite across restarts.

Writing is done in the background every fraction of a second. What a crash loses is at worst handed over twice, and then the
idempotency key starts it once all the same.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from pathlib import Path

from components.common.errors import CouldNotRunError

_SCHEMA = "CREATE TABLE IF NOT EXISTS delivery (id TEXT PRIMARY KEY, expires_s REAL NOT NULL) WITHOUT ROWID"


class DeliveryStore:
    """Ids of deliveries until they are too old to be accepted anyway; at most `capacity`, the oldest go first."""

    def __init__(self, path: Path, capacity: int) -> None:
        self._capacity = capacity
        self._expires: OrderedDict[str, float] = OrderedDict()
        self._unwritten: dict[str, float] = {}
        self._lock, self._writing = threading.Lock(), threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(_SCHEMA)
            rows = self._database.execute("SELECT id, expires_s FROM delivery ORDER BY expires_s DESC LIMIT ?", (capacity,))
            self._expires.update(sorted(rows.fetchall(), key=lambda row: row[1]))
        except (OSError, sqlite3.Error) as error:
            raise CouldNotRunError(
                "the file that remembers deliveries cannot be opened",
                got=f"{path}: {error}",
                next_step="correct listener.replay_store in the watch file, or delete the file when it is damaged",
            ) from error

    def __len__(self) -> int:
        return len(self._expires)

    def add(self, delivery: str, expires_s: float, now_s: float) -> bool:
        """Remember a delivery; False when it is remembered already. Never touches the disk."""
        with self._lock:
            if self._expires.get(delivery, 0.0) >= now_s:
                return False
            self._expires.pop(delivery, None)
            self._expires[delivery] = self._unwritten[delivery] = expires_s
            while len(self._expires) > self._capacity:
                self._expires.popitem(last=False)
            return True

    def write(self, now_s: float) -> None:
        """Bring what is new to disk, and forget what has expired.

        Raises:
            sqlite3.Error: nothing is lost in memory, the next call tries again.
        """
        with self._writing:
            with self._lock:
                new = dict(self._unwritten)
                for delivery in [one for one, expires_s in self._expires.items() if expires_s < now_s]:
                    del self._expires[delivery]
            with self._database as transaction:
                transaction.executemany("INSERT OR REPLACE INTO delivery VALUES (?, ?)", new.items())
                transaction.execute("DELETE FROM delivery WHERE expires_s < ?", (now_s,))
            with self._lock:
                for delivery in new:
                    self._unwritten.pop(delivery, None)

    def close(self, now_s: float) -> None:
        """Write the rest and let go of the file."""
        try:
            self.write(now_s)
        finally:
            self._database.close()
