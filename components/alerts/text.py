"""A message as people read it in a channel: plain text in which nothing from the data can act."""

from __future__ import annotations

from components.plain_text import defused
from schemas.alert import AlertLevel, AlertMessage

_SIGNS = {AlertLevel.FAILING: "✗", AlertLevel.WARNING: "!", AlertLevel.EXPLAINED: "·"}


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
