"""Signature check of deliveries: reads the webhook's secrets and never shows them; several while secrets are rotated."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from components.common.errors import InputError
from flows.trigger.listener.limits import Refusal

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

_VERSION = "v1,"
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
    signatures = tuple(one for one in headers.get(SIGNATURE_HEADER, "").split()[:_MOST_SIGNATURES] if one.startswith(_VERSION))
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
        expected = _VERSION + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
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
