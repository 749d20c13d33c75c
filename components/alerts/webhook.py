"""Signed webhook by the Standard Webhooks specification (https://www.standardwebhooks.com); read from the environment when sent.

The receiver gives headers and body to the `verify` of any Standard Webhooks library, with the secret (`whsec_…`). A message
is sent at least once, always with the same `webhook-id`: a receiver may drop one that it has seen.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from standardwebhooks import Webhook

from components.alerts.message import subject_of, text_of
from components.common.errors import CouldNotRunError, InputError
from schemas.alert import AlertMessage, Channel

_TIMEOUT_S = 10.0
_PREFIX = "whsec_"
_SECRET_BYTES = range(24, 65)  # as the specification asks


def post(message: AlertMessage, channel: Channel) -> None:
    """Send `message` once; the receiver has it when its answer is 2xx.

    Raises:
        InputError: a variable is not set, the address is none, or the secret is not of the specification's form.
        CouldNotRunError: the receiver did not take it. Errors never hold the address or the key.
    """
    url, secret = _setting(channel.url_env), _setting(channel.secret_env)
    if not url.lower().startswith(("http://", "https://")):
        raise InputError("the webhook's address is no http or https address", got=f"the value of {channel.url_env} (not shown)")
    _check_secret(secret, channel.secret_env)
    body = body_of(message)
    headers = {"Content-Type": "application/json", "User-Agent": "calig", **signed_headers(secret, message.id, body)}
    problem = _problem(url, body, headers)
    if problem is not None:  # raised here, outside of any `except`: the original error may quote the address
        raise CouldNotRunError(f"the webhook did not take the message: {problem}")


def body_of(message: AlertMessage) -> bytes:
    """The message as JSON in the specification's form: `type` (its gravest event), `timestamp`, and `data`.

    `data` is the message with its readable form under `subject` and `text`.
    """
    data = {**message.model_dump(mode="json"), "subject": subject_of(message), "text": text_of(message)}
    content = {"type": message.events[0], "timestamp": message.created_at.isoformat(), "data": data}
    return json.dumps(content, ensure_ascii=False, sort_keys=True).encode()


def signed_headers(secret: str, message_id: str, body: bytes) -> dict[str, str]:
    """Id, time and signature of one delivery: base64 of HMAC-SHA256 over `id.timestamp.body` after `v1,`."""
    now = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
    }


def _check_secret(secret: str, variable: str | None) -> None:
    """Libraries decode what they can and drop the rest: a secret in another form would be a weaker one than it looks."""
    try:
        n_bytes = len(base64.b64decode(secret.removeprefix(_PREFIX), validate=True)) if secret.startswith(_PREFIX) else 0
    except (binascii.Error, ValueError):
        n_bytes = 0
    if n_bytes not in _SECRET_BYTES:
        raise InputError(
            "the webhook's secret is not of the form that Standard Webhooks asks for",
            got=f"the value of {variable} (not shown)",
            allowed="whsec_ and 24 to 64 bytes in base64",
            next_step='echo "whsec_$(openssl rand -base64 32)" makes one; give it to the receiver, too',
        )


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
