"""The key of hashed words: from a file or the environment, never from the settings; a record names it by its id alone."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from components.errors import InputError
from schemas.config import PrivacyConfig

VARIABLE = "CALIG_TEXT_KEY"
FILE_VARIABLE = "CALIG_TEXT_KEY_FILE"
_SHORTEST = 16
_NEXT = f"openssl rand -base64 32 > text.key, keep it secret, and set {FILE_VARIABLE}=text.key"


def settled(config: PrivacyConfig, modality: str) -> PrivacyConfig:
    """The settings with the id of the key in use.

    Raises:
        InputError: there is no usable key, it is not the one demanded, or the model reads pictures, which are not covered.
    """
    if config.texts == "keep":
        return config.model_copy(update={"key_id": None})
    if modality != "text":
        raise InputError(
            "setting 'privacy.texts': the report shows the pictures of an image model, and they cannot be covered",
            got=config.texts,
            allowed="keep, for image models",
        )
    return config.model_copy(update={"key_id": _id_in_use(config) if config.texts == "hash" else None})


def key_of(config: PrivacyConfig) -> bytes | None:
    """The key of `hash`; None for other settings. Errors as above."""
    return _read() if config.texts == "hash" else None


def _id_in_use(config: PrivacyConfig) -> str:
    found = hmac.new(_read(), b"calig: id of the key of texts", hashlib.sha256).hexdigest()[:16]
    if config.key_id not in {None, found}:
        raise InputError(
            "setting 'privacy.key_id': another key is in use", got=found, allowed=config.key_id, next_step=f"set {FILE_VARIABLE}"
        )
    return found


def _read() -> bytes:
    """The key without the line's end. Its length is checked: words can be guessed, a short key too."""
    path = os.environ.get(FILE_VARIABLE)
    try:
        key = Path(path).expanduser().read_bytes().strip() if path else os.environ.get(VARIABLE, "").encode()
    except OSError as error:
        raise InputError(f"the file that {FILE_VARIABLE} names cannot be read", got=error.strerror, next_step=_NEXT) from error
    if len(key) < _SHORTEST:
        raise InputError(
            "privacy.texts: hash needs a secret key", got=f"{len(key)} bytes", allowed=f"{_SHORTEST} or more", next_step=_NEXT
        )
    return key
