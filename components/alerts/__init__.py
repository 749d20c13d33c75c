"""Alerts about a verdict: findings, message formats, a signed webhook, and a persistent outbox. Prefect is elsewhere."""

from components.alerts.message import message_of, subject_of, text_of
from components.alerts.outbox import Outbox
from components.alerts.webhook import post

__all__ = ["Outbox", "message_of", "post", "subject_of", "text_of"]
