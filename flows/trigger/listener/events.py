"""Deliveries of webhooks: each reduced to the version that it names, once within the timestamp window, restarts included.

Nothing else in a delivery is believed: the registry is asked again. Which were seen is written in the background every fraction
of a second. What a crash loses is at worst handed over twice, and then the idempotency key starts it once all the same.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from components.common.errors import CouldNotRunError
from flows.trigger.listener.limits import Refusal
from schemas.trigger import ASKING

#: MLflow's `test_webhook` sends its events about this model.
_EXAMPLE = "example_model"
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_LONGEST_NAME = 256


class Event(NamedTuple):
    """A version to look at (`version` is set), or why there is none."""

    kind: str
    name: str
    version: str | None
    why_not: str = ""


def read_event(body: bytes) -> Event:
    """The event in a delivery's body.

    A new version is looked at, and one whose tag says anew what to explain it with; our own tags are not, since that would be
    a loop. An alias is not either: what a version was compared with is part of its record, and another @champion later does
    not make that wrong.

    Raises:
        Refusal: 400, when the body is no event of a registry.
    """
    content = _json(body)
    data, kind = content.get("data"), f"{content.get('entity')}.{content.get('action')}"
    if not isinstance(data, dict) or not isinstance(content.get("entity"), str) or not isinstance(content.get("action"), str):
        raise Refusal(400, "malformed", "the body is no event: entity, action and data are expected")
    name, version = data.get("name"), str(data.get("version"))
    if kind == "model_version_tag.set" and data.get("key") not in ASKING:
        return Event(kind, str(name), None, "the tag names nothing to explain with")
    if kind not in {"model_version.created", "model_version_tag.set"}:
        return Event(kind[:100], str(name), None, "no such event starts an explanation")
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= _LONGEST_NAME
        or not name.isprintable()
        or _VERSION.fullmatch(version) is None
    ):
        raise Refusal(400, "malformed", "the event names no model version")
    return Event(kind, name, None, "a test delivery") if name == _EXAMPLE else Event(kind, name, version)


def _json(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "malformed", "the body is not JSON") from error
    if not isinstance(content, dict):
        raise Refusal(400, "malformed", "the body is no JSON object")
    return content


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
