"""Text from elsewhere as it may go to a terminal through rich."""

from __future__ import annotations

from components.plain_text import printable


def safe(text: str) -> str:
    """`text` without escape sequences or direction characters, its brackets no markup."""
    from rich.markup import escape

    return escape(printable(text))
