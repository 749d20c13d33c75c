"""What must never be read in a log, an error or a record: secrets of the environment, and credentials inside addresses."""

from __future__ import annotations

import logging
import os
import re
import traceback
from typing import Any
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"

#: Names of variables that hold a secret; those that name a file or another variable do not.
_SECRET = re.compile(r"(?i)(password|passwd|passphrase|token|secret|credential|api_?key|access_?key|private_?key|text_?key)")
_NO_SECRET = re.compile(r"(?i)(_file|_path|_env|_expiration|_timeout|parallelism)$")
#: Anything shorter would blot out ordinary words.
_SHORTEST = 6
_CREDENTIALS = re.compile(r"(\b[a-zA-Z][\w+.-]*://)[^\s/?#@\"']*(?::[^\s@\"']*)?@")
_PARAMETERS = re.compile(r"(?i)([?&;](?:password|passwd|token|secret|api_?key|sig|signature)=)[^&;\s\"']+")
_HEADERS = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")


def hidden(text: str) -> str:
    """`text` with every secret that this process knows, and whatever looks like credentials in an address, as `***`."""
    for secret in _known():
        text = text.replace(secret, HIDDEN)
    text = _PARAMETERS.sub(rf"\1{HIDDEN}", _CREDENTIALS.sub(rf"\1{HIDDEN}@", text))
    return _HEADERS.sub(rf"\1 {HIDDEN}", text)


def guard_logs() -> None:
    """From now on no log line of this process, its traceback included, holds a secret; calling it again changes nothing."""
    before = logging.getLogRecordFactory()
    if getattr(before, "hides_secrets", False):
        return

    def factory(*args: Any, **options: Any) -> logging.LogRecord:
        return _cleaned(before(*args, **options))

    factory.hides_secrets = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


def _cleaned(record: logging.LogRecord) -> logging.LogRecord:
    """Records without secrets stay as they are: some formatters read their arguments."""
    try:
        message = record.getMessage()
    except (TypeError, ValueError, KeyError):  # a malformed call of some library; logging will say so
        return record
    cleaned = hidden(message)
    if cleaned != message:
        record.msg, record.args = cleaned, ()
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = hidden("".join(traceback.format_exception(*record.exc_info))).rstrip()
    return record


def _known() -> list[str]:
    """Values of secret variables and passwords in addresses, also as they look when unquoted; the longest first."""
    found: set[str] = set()
    for name, value in os.environ.items():
        if _SECRET.search(name) and not _NO_SECRET.search(name):
            found |= set(value.split())
        found |= {password for _, password in re.findall(r"://([^\s/:@]*):([^\s@]+)@", value)}
    spelled = {spelling for secret in found for spelling in (secret, unquote(secret), unquote_plus(secret))}
    return sorted((secret for secret in spelled if len(secret) >= _SHORTEST), key=len, reverse=True)
