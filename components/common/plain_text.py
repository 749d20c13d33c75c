"""Text from models, data sets and servers as nothing but text: no control or direction characters, no markup that acts."""

from __future__ import annotations

import re
import unicodedata

_GAP = "\N{ZERO WIDTH SPACE}"

#: What Markdown, or the HTML inside it, would take for more than text; and what begins a list.
_MARKDOWN = re.compile(r"([\\`*_{}\[\]#|~>]|^[-+])")
_NUMBERED = re.compile(r"^(\d+)([.)])")


def word_key(word: str) -> str:
    """What a word is looked up by in lists: neither its case nor the form of its apostrophe counts."""
    return word.casefold().replace("’", "'")


def printable(text: str, *, keep: str = "\n") -> str:
    """`text` without characters that move a cursor, colour a terminal, turn the direction, or hide; `keep` stays."""
    return "".join(
        char
        for char in text
        if char in keep or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} or char == "\N{ZERO WIDTH JOINER}"
    )


def on_one_line(text: str) -> str:
    """`text` on one line, without control and direction characters."""
    return printable(" ".join(text.split()))


def cut(text: str, limit: int) -> str:
    """The beginning of `text` within `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def markdown_text(text: str) -> str:
    """`text` on one line as Markdown shows it literally, and as no HTML."""
    plain = on_one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return _NUMBERED.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\1", plain))


def defused(text: str) -> str:
    """`text` so that no channel takes it for more than text, whichever markup it speaks.

    Entities would not do: some channels show them, some unescape them (Apprise's Slack plugin lets `<!channel>` through and
    escapes `&` a second time). So angle brackets become look-alikes (HTML, Slack's mentions and links), Markdown links are
    broken, addresses and @-mentions are cut by a space of no width, and control and direction characters are dropped.
    """
    kept = printable(text, keep="").replace("<", "‹").replace(">", "›").replace("](", f"]{_GAP}(").replace("]:", f"]{_GAP}:")
    kept = re.sub(r"(?i)\b(https?|ftp|mailto|javascript|data|file|tel)(:)", rf"\1{_GAP}\2", kept)
    kept = re.sub(r"(?i)\bwww\.", f"www{_GAP}.", kept)
    return kept.replace("@", f"@{_GAP}")
