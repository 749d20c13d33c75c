"""The webhook's secret: from the environment or a file, never shown; several while secrets are rotated."""

from __future__ import annotations

import os
from pathlib import Path

from components.errors import InputError

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
