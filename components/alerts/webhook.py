"""Signed webhook: JSON by POST, HMAC-SHA256 over `timestamp.body`; address and key are read from the environment when sent.

The receiver computes HMAC-SHA256 with the shared key over the bytes `X-Calig-Timestamp` + "." + body, compares it in constant
time with the hex digits after `v1=` in `X-Calig-Signature`, and refuses timestamps older than a few minutes. `X-Calig-Alert`
names the message: it is sent at least once, and a receiver may drop one that it has seen.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from components.alerts.message import subject_of, text_of
from components.common.errors import CouldNotRunError, InputError
from schemas.alert import AlertMessage, Channel

_TIMEOUT_S = 10.0


def post(message: AlertMessage, channel: Channel) -> None:
    """Send `message` once; the receiver has it when its answer is 2xx.

    Raises:
        InputError: a variable is not set, or the address is none.
        CouldNotRunError: the receiver did not take it. Errors never hold the address or the key.
    """
    url, key = _setting(channel.url_env), _setting(channel.secret_env)
    if not url.lower().startswith(("http://", "https://")):
        raise InputError("the webhook's address is no http or https address", got=f"the value of {channel.url_env} (not shown)")
    body, timestamp = body_of(message), str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "calig",
        "X-Calig-Alert": message.id,
        "X-Calig-Timestamp": timestamp,
        "X-Calig-Signature": signature(key, timestamp, body),
    }
    problem = _problem(url, body, headers)
    if problem is not None:  # raised here, outside of any `except`: the original error may quote the address
        raise CouldNotRunError(f"the webhook did not take the message: {problem}")


def body_of(message: AlertMessage) -> bytes:
    """The message as JSON, with its readable form under `subject` and `text`."""
    content = {**message.model_dump(mode="json"), "subject": subject_of(message), "text": text_of(message)}
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()


def signature(key: str, timestamp: str, body: bytes) -> str:
    """`v1=` and the hex HMAC-SHA256 of `timestamp.body`."""
    return "v1=" + hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class _NoRedirects(HTTPRedirectHandler):
    """A redirected POST would become a GET without a body, and count as delivered."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none: the answer stays 3xx, an error."""


def _problem(url: str, body: bytes, headers: dict[str, str]) -> str | None:
    """Send it; None when it was taken, else what went wrong, in words that hold nothing of the address."""
    try:
        request = Request(url, data=body, headers=headers, method="POST")  # noqa: S310 - the scheme was checked
        with build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_S):
            return None
    except HTTPError as error:
        error.close()
        return f"it answered {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"{type(reason if isinstance(reason, Exception) else error).__name__}"


def _setting(variable: str | None) -> str:
    value = os.environ.get(variable or "", "").strip()
    if not value:
        raise InputError(f"the environment variable {variable} is not set", next_step="set it, then: calig alerts resend")
    return value
