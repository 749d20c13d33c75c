"""Whether a delivery is MLflow's, and of now: HMAC-SHA256 over `id.timestamp.body`, as in the Standard Webhooks specification."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flows.listening.refusal import Refusal

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
