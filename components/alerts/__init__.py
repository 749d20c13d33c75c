"""Telling others about a verdict: what is said, how it is shown, and an outbox that forgets nothing. Prefect is elsewhere."""

from components.alerts.message import message_of, subject_of, text_of
from components.alerts.outbox import Outbox
from components.alerts.webhook import post

__all__ = ["Outbox", "message_of", "post", "subject_of", "text_of"]
