"""What cannot be done with covered texts, said before it is tried; and what may be said of an error."""

from __future__ import annotations

from components.secrets import hidden
from schemas.config import PrivacyConfig


def hindrance(theirs: PrivacyConfig, ours: PrivacyConfig, *, same_rows: bool = True) -> str | None:
    """Why an earlier explanation's tables cannot be held against ours, if so.

    On the same rows, tables with kept or redacted texts can: the rows themselves say what stands at their characters. Hashed
    words have other places, and need our own texts hashed by the same key.

    Args:
        theirs, ours: how texts were covered there, and how they are here.
        same_rows: whether both explain the same data set.
    """
    if theirs.texts == "redact" and not same_rows:
        return "its texts were redacted (privacy.texts), so that its words cannot be told apart"
    if theirs.texts != "hash" or (ours.texts == "hash" and theirs.key_id == ours.key_id):
        return None
    if ours.texts != "hash":
        return f"its texts were hashed by key {theirs.key_id}, and here they are to be {_DONE[ours.texts]} (privacy.texts)"
    return f"its texts were hashed by another key ({theirs.key_id}, here {ours.key_id})"


_DONE = {"keep": "kept", "redact": "redacted"}


def told(error: Exception, config: PrivacyConfig) -> str:
    """An error as a record may tell it: without secrets, and messages of libraries can quote the text they worked on."""
    if config.texts == "keep":
        return hidden(f"{type(error).__name__}: {error}")
    return f"{type(error).__name__} (its message may quote texts and is left out, as privacy.texts asks)"
