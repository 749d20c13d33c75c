"""Names of words in redacted texts: a keyed hash, or the place of the first occurrence; and the key of the hash."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from calig.words import word_spans
from components.common.errors import InputError
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


#: A word of a text → its name, alike for all spellings in upper and lower case, as drift counts words.
Naming = Callable[[str], str]

#: 64 bits: two of a million words share a name with probability 3e-8.
_DIGITS = 16


def hashed(key: bytes) -> Naming:
    """HMAC-SHA256 of the case-folded word, its first 16 digits: the same under the same key, wherever it occurs."""
    known: dict[str, str] = {}

    def name(word: str) -> str:
        folded = word.casefold()
        if folded not in known:
            known[folded] = hmac.new(key, folded.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGITS]
        return known[folded]

    return name


def placed(rows: Iterable[tuple[int, str]]) -> Naming:
    """`word 3 of row 17`: where it first occurs among `rows` (number, text), words counted from 1; else only numbered."""
    places: dict[str, str] = {}
    for row, text in rows:
        for n, (start, end) in enumerate(word_spans(text), start=1):
            places.setdefault(text[start:end].casefold(), f"word {n} of row {row}")
    others: dict[str, str] = {}

    def name(word: str) -> str:
        folded = word.casefold()
        return places.get(folded) or others.setdefault(folded, f"word {len(others) + 1} outside the rows")

    return name
