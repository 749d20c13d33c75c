"""Deliveries of webhooks: signatures checked, each reduced to the version that it names, once within the timestamp window.

Secrets are never shown; there may be several while they are rotated. Nothing else in a delivery is believed: the registry is
asked again. Which were seen is written in the background every fraction of a second, so that a restart remembers them. What a
crash loses is at worst handed over twice, and then the idempotency key starts it once all the same.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from components.common.errors import CouldNotRunError, InputError
from flows.trigger.listener.limits import Refusal
from schemas.trigger import ASKING

VARIABLE = "CALIG_WEBHOOK_SECRET"
FILE_VARIABLE = "CALIG_WEBHOOK_SECRET_FILE"
_SHORTEST = 16
_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(32))' makes one; give the same to MLflow's webhook"


def read_secrets() -> tuple[bytes, ...]:
    """The secrets that a delivery may be signed with: the lines of the file, or the variable's.

    Raises:
        InputError: there is none, it is too short, or the file cannot be read. The error never holds the secret.
    """
    found = tuple(line.strip() for line in _text().splitlines() if line.strip())
    if not found:
        raise InputError(
            "there is no webhook secret", allowed=f"{VARIABLE}, or {FILE_VARIABLE} naming a file", next_step=_MAKE_ONE
        )
    if min(map(len, found)) < _SHORTEST:
        raise InputError("the webhook secret is too short", allowed=f"at least {_SHORTEST} characters", next_step=_MAKE_ONE)
    return tuple(secret.encode() for secret in found)


def _text() -> str:
    path = os.environ.get(FILE_VARIABLE, "").strip()
    if not path:
        return os.environ.get(VARIABLE, "")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file that {FILE_VARIABLE} names cannot be read", got=path) from error


ID_HEADER = "x-mlflow-delivery-id"
TIMESTAMP_HEADER = "x-mlflow-timestamp"
SIGNATURE_HEADER = "x-mlflow-signature"

_SCHEME = "v1,"
_ID = re.compile(r"[\x21-\x7e]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_MOST_SIGNATURES = 8


class Delivery(NamedTuple):
    """What a delivery's headers say about it."""

    id: str
    timestamp: int
    signatures: tuple[str, ...]


def read_headers(headers: Mapping[str, str]) -> Delivery:
    """The delivery's id, time and signatures.

    Raises:
        Refusal: 401 without a signature, 400 when id or timestamp are missing or no such things.
    """
    signatures = tuple(one for one in headers.get(SIGNATURE_HEADER, "").split()[:_MOST_SIGNATURES] if one.startswith(_SCHEME))
    if not signatures:
        raise Refusal(401, "signature", "no signature of a known version")
    delivery, timestamp = headers.get(ID_HEADER, ""), headers.get(TIMESTAMP_HEADER, "")
    if _ID.fullmatch(delivery) is None or _SECONDS.fullmatch(timestamp) is None:
        raise Refusal(400, "malformed", "delivery id or timestamp is missing or malformed")
    return Delivery(delivery, int(timestamp), signatures)


def check_signature(delivery: Delivery, body: bytes, secrets: Sequence[bytes]) -> None:
    """Compare in constant time with what each secret gives over the raw body.

    Raises:
        Refusal: 401, when none fits.
    """
    signed = f"{delivery.id}.{delivery.timestamp}.".encode() + body
    good = False
    for secret in secrets:
        expected = _SCHEME + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        for signature in delivery.signatures:
            good |= hmac.compare_digest(expected.encode(), signature.encode())
    if not good:
        raise Refusal(401, "signature", "the signature does not fit")


def check_time(delivery: Delivery, now_s: float, window_s: float) -> None:
    """Refuse what was signed too long ago, or in the future.

    Raises:
        Refusal: 400.
    """
    if abs(now_s - delivery.timestamp) > window_s:
        raise Refusal(400, "timestamp", f"the timestamp is more than {window_s:.0f} seconds off")


#: MLflow's `test_webhook` sends its events about this model.
_EXAMPLE = "example_model"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_LONGEST_NAME = 256


class Event(NamedTuple):
    """A version to look at, or an event that starts nothing: its `version` is None."""

    kind: str
    name: str
    version: str | None


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
        return Event(kind, str(name), None)
    if kind not in {"model_version.created", "model_version_tag.set"}:
        return Event(kind[:100], str(name), None)
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= _LONGEST_NAME
        or not name.isprintable()
        or _NUMBER.fullmatch(version) is None
    ):
        raise Refusal(400, "malformed", "the event names no model version")
    return Event(kind, name, None if name == _EXAMPLE else version)


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
