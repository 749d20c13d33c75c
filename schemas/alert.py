"""Alerts: the message about a run, the channels it goes through, and its delivery so far."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import Record, Verdict


class AlertLevel(StrEnum):
    """How urgent a message is: `failing` stands against a release, `warning` needs a look, `explained` is news only."""

    EXPLAINED = "explained"
    WARNING = "warning"
    FAILING = "failing"

    @property
    def rank(self) -> int:
        """0 is the least urgent."""
        return list(AlertLevel).index(self)


class Channel(Record):
    """A way to tell: Prefect events, a Prefect notification block, or a signed webhook. Holds names, never secrets."""

    kind: Literal["prefect", "block", "webhook"]
    block: str | None = Field(default=None, description="type/name of the block, e.g. slack-webhook/ops")
    url_env: str | None = Field(default=None, description="environment variable that holds the webhook's address")
    secret_env: str | None = Field(default=None, description="environment variable that holds the webhook's signing key")

    @property
    def name(self) -> str:
        """What the channel is called in tags and messages."""
        return f"block:{self.block}" if self.kind == "block" else self.kind


class AlertExample(Record):
    """An example whose reasons changed, as short as a message needs it."""

    id: str
    text: str
    changes: tuple[str, ...] = Field(description="the words that changed most, each with its share before and after")


class AlertMessage(Record):
    """What is said about one explanation. Texts are as they were in the data; whoever shows them escapes them."""

    schema_version: Literal["1"] = "1"
    id: str = Field(description="the same for the same version, fingerprint and level")
    level: AlertLevel
    events: tuple[str, ...] = Field(description="names of the Prefect events, e.g. calig.drift.failed")
    model: str
    version: str
    uri: str
    fingerprint: str
    verdict: Verdict
    reference: str | None = Field(description="version compared with; None: nothing was")
    findings: tuple[str, ...] = Field(description="what changed and by how much against its limit, gravest first")
    examples: tuple[AlertExample, ...] = Field(description="at most three, worst first")
    next_step: str
    link: str = Field(description="the run's page, or where the report lies")
    created_at: datetime


class OutboxEntry(Record):
    """A message on its way: kept on disk until every channel has taken it, and afterwards as the proof that it was told."""

    message: AlertMessage
    registered: bool = Field(description="about a registry version, so that deliveries are noted on it")
    channels: tuple[Channel, ...]
    delivered: dict[str, datetime] = Field(default_factory=dict, description="channel name to time")
    noted: tuple[str, ...] = Field(default=(), description="deliveries that are noted on the model version")
    last_error: str | None = None

    @property
    def pending(self) -> tuple[Channel, ...]:
        """Channels that have not taken the message yet."""
        return tuple(channel for channel in self.channels if channel.name not in self.delivered)

    @property
    def done(self) -> bool:
        """Told everywhere, and noted where others look."""
        return not self.pending and (not self.registered or set(self.delivered) <= set(self.noted))
