"""An error's message as it may stand on a model version: one line, short, without passwords and keys."""

from __future__ import annotations

import os
import re

_MOST = 500
_IN_ADDRESS = re.compile(r"(?<=://)[^/\s@]+@")
_NAMED = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|authorization))(\s*[=:]\s*)(?:bearer\s+)?('[^']*'|\"[^\"]*\"|\S+)"
)
_SECRET_NAME = re.compile(r"(?i)(password|secret|token|api_?key|access_?key)")
_SHORTEST_SECRET = 8


def clean_reason(text: str) -> str:
    """`text` on one line of at most 500 characters; what looks like a credential, or is one of this process's, is replaced."""
    line = " ".join(text.split())
    line = _NAMED.sub(r"\1\2***", _IN_ADDRESS.sub("***@", line))
    for value in _own_secrets():
        line = line.replace(value, "***")
    return line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"


def _own_secrets() -> list[str]:
    """Values of environment variables whose name says that they are secret."""
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    return sorted((value for value in named if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)
