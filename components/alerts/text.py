"""A message as people read it in a channel: plain text in which nothing from the data can act."""

from __future__ import annotations

import re
import unicodedata

from schemas.alert import AlertLevel, AlertMessage

_SIGNS = {AlertLevel.FAILING: "✗", AlertLevel.WARNING: "!", AlertLevel.EXPLAINED: "·"}
_GAP = "\N{ZERO WIDTH SPACE}"


def subject_of(message: AlertMessage) -> str:
    """One line: verdict, model, version."""
    against = "" if message.reference is None else f", compared with version {message.reference}"
    return f"{_SIGNS[message.level]} {message.verdict.value}: {defused(message.model)} version {message.version}{against}"


def text_of(message: AlertMessage) -> str:
    """The whole message without its subject."""
    lines = [f"• {defused(finding)}" for finding in message.findings] or ["nothing stands against this version"]
    if message.examples:
        lines += ["", "Same answer, different reason; the worst:"]
        for example in message.examples:
            lines += [f"• {defused(example.id)}: {defused(example.text)}", f"    {defused('; '.join(example.changes))}"]
    return "\n".join([*lines, "", f"Next: {defused(message.next_step)}", f"Evidence: {message.link}"])


def defused(text: str) -> str:
    """`text` so that no channel takes it for more than text, whichever markup it speaks.

    Entities would not do: some channels show them, some unescape them (Apprise's Slack plugin lets `<!channel>` through and
    escapes `&` a second time). So angle brackets become look-alikes (HTML, Slack's mentions and links), Markdown links are
    broken, addresses and @-mentions are cut by a space of no width, and control and direction characters are dropped.
    """
    kept = "".join(
        char for char in text if unicodedata.category(char) not in {"Cc", "Cf", "Cs"} or char == "\N{ZERO WIDTH JOINER}"
    )
    kept = kept.replace("<", "‹").replace(">", "›").replace("](", f"]{_GAP}(").replace("]:", f"]{_GAP}:")
    kept = re.sub(r"(?i)\b(https?|ftp|mailto|javascript|data|file|tel)(:)", rf"\1{_GAP}\2", kept)
    kept = re.sub(r"(?i)\bwww\.", f"www{_GAP}.", kept)
    return kept.replace("@", f"@{_GAP}")
