"""An error's message as it may stand on a model version: one line, short, without secrets."""

from __future__ import annotations

from components.errors import shortened
from components.plain_text import printable
from components.secrets import hidden

_MOST = 500


def clean_reason(text: str) -> str:
    """`text` on one line of at most 500 characters, without secrets and control characters."""
    return shortened(printable(" ".join(hidden(text).split())), _MOST)
