"""Secrets that must never be read in a log, an error, a tag or a record: the one module that knows what they look like.

Two sources: the environment, whose variables are taken for secret by generous rules about their names, and the text itself, in
which credentials in addresses, named values and well-known token formats are recognised. Hiding too much costs a word in a
message; hiding too little costs a password.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"

#: Parts of the names of variables that hold a secret, as whole words between underscores.
_SECRET_WORDS = {
    *("PASS", "PASSWORD", "PASSWD", "PASSPHRASE", "PWD", "PW", "SECRET", "SECRETS", "TOKEN", "TOKENS", "KEY", "KEYS", "APIKEY"),
    *("AUTH", "AUTHORIZATION", "BEARER", "CREDENTIAL", "CREDENTIALS", "CREDS", "COOKIE", "SAS", "PAT", "PIN", "SALT"),
    *("DSN", "CONNECTION", "CONN", "CONNSTR", "CONNECTIONSTRING", "WEBHOOK", "WEBHOOKS", "HOOK"),
}
#: The same inside longer words: PGPASSWORD, DBPASSWD.
_SECRET_PARTS = re.compile(r"(?i)passw(or)?d|passphrase|secret|credential|apikey|accesskey|(?<!wrong)token(?!i[sz])")
#: What such a variable holds instead when its name ends like this: a place, a number, a choice.
_NO_SECRET = re.compile(
    r"(?i)(_(file|path|dir|folder|env|sock|socket|expiration|expires|timeout|ttl|seconds|days|retries|limit|size|pool|count|"
    r"type|method|mode|scheme|schemes|enabled|disabled|required|name|region|ips|parallelism)|^(old)?pwd|^xauthority)$"
)
#: Anything shorter would blot out ordinary words.
_SHORTEST = 6
#: Of a longer text only the ends are kept: nobody reads the rest, and looking through it takes long.
_LONGEST = 50_000

_NAMED = r"password|passwd|passphrase|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|account[_-]?key|auth(?:orization)?"
_CREDENTIALS = re.compile(r"(\b[a-zA-Z][\w+.-]{0,30}://)[^\s/?#@\"']{0,256}(?::[^\s@\"']{0,256})?@")
_PARAMETERS = re.compile(r"(?i)([?&;](?:pass|key|sig|signature|code)=)[^&;\s\"']+")
_HEADERS = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_ASSIGNED = re.compile(
    rf"(?i)((?:{_NAMED}|auth_string|_pass|_dsn)[\"']?\s*=\s*)(?!\*\*\*)(?:bearer\s+|basic\s+)?('[^']*'|\"[^\"]*\"|[^\s,;&]+)"
)
_STATED = re.compile(
    r"(?i)((?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|authorization)[\"']?\s*:\s*)(?!\*\*\*)"
    r"(?:bearer\s+|basic\s+)?('[^']*'|\"[^\"]*\"|\S+)"
)
#: Messages about tokens of a text have blanks and short words there.
_STATED_TOKEN = re.compile(r"(?i)(token[\"']?\s*:)(?!\*\*\*)(?:[^\s,]+|\s+[\"']?[\w.~+/=-]{16,})")
#: The part of a webhook's address that lets anybody send: long, and no word.
_HOOKS = re.compile(r"(?i)(\bhttps?://[^\s\"'?]{0,100}?hook[^\s\"'?]{0,60}?/)(?=[^\s\"'/?]*\d)[\w~%.=-]{16,}(?:/[^\s\"']*)?")
_SLACK = re.compile(r"(?i)(\bhttps?://hooks\.slack\.com/)[^\s\"']+")
_FORMATS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_\w{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}|\bhf_\w{20,}|\bpn[ub]_\w{16,}"
    r"|\bxox[abeoprs]-[\w-]{10,}|\bsk-[\w-]{20,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
    re.DOTALL,
)
_IN_VALUE = re.compile(
    r"(?i)(?:password|passwd|pwd|accountkey|sharedaccesskey|sharedaccesssignature|secret|token)\s*=\s*([^;&\s]+)"
)


def hidden(text: str) -> str:
    """`text` with every secret that this process knows, and whatever looks like one, as `***`."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    for secret in _known(tuple(os.environ.items())):
        text = text.replace(secret, HIDDEN)
    text = _CREDENTIALS.sub(rf"\1{HIDDEN}@", _FORMATS.sub(HIDDEN, text))
    text = _HOOKS.sub(rf"\1{HIDDEN}", _SLACK.sub(rf"\1{HIDDEN}", text))
    text = _HEADERS.sub(rf"\1 {HIDDEN}", _PARAMETERS.sub(rf"\1{HIDDEN}", text))
    for named in (_ASSIGNED, _STATED, _STATED_TOKEN):
        text = named.sub(rf"\1{HIDDEN}", text)
    return text


def guard_logs() -> None:
    """From now on no log line of this process, its traceback included, holds a secret; calling it again changes nothing."""
    before = logging.getLogRecordFactory()
    if getattr(before, "hides_secrets", False):
        return

    def factory(*args: Any, **options: Any) -> logging.LogRecord:
        return _cleaned(before(*args, **options))

    factory.hides_secrets = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(factory)


def guard_tracebacks() -> None:
    """From now on no traceback that the interpreter itself prints, also of a thread, holds a secret."""
    sys.excepthook = _print
    threading.excepthook = lambda thread: _print(thread.exc_type, thread.exc_value, thread.exc_traceback)


def is_secret_name(name: str) -> bool:
    """Whether a variable called `name` is taken to hold a secret."""
    if _NO_SECRET.search(name):
        return False
    return bool(_SECRET_WORDS & set(name.upper().split("_")) or _SECRET_PARTS.search(name))


def _print(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    sys.stderr.write(hidden("".join(traceback.format_exception(kind, error, trace))))


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


@lru_cache(maxsize=4)
def _known(environment: tuple[tuple[str, str], ...]) -> list[str]:
    """Secrets in the environment, also as they look when unquoted; the longest first."""
    found = {secret for name, value in environment for secret in _secrets_of(name, value)}
    spelled = {spelling for secret in found for spelling in (secret, unquote(secret), unquote_plus(secret))}
    return sorted((secret for secret in spelled if len(secret) >= _SHORTEST), key=len, reverse=True)


def _secrets_of(name: str, value: str) -> Iterator[str]:
    """A secret variable's value whole, line by line, and the password of a `user:password`; passwords inside any value."""
    if is_secret_name(name):
        yield value.strip()
        yield from value.split()
        yield value.partition(":")[2]
    for _, password in re.findall(r"://([^\s/:@]*):([^\s@]+)@", value):
        yield password
    yield from _IN_VALUE.findall(value)
