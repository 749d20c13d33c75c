"""Which channels have been told about an explanation, noted on the model version, so that another machine does not repeat it."""

from __future__ import annotations

from components.registry.connection import connect, tracking_errors
from schemas.alert import AlertMessage
from schemas.tags import alert_tag


def told_channels(message: AlertMessage) -> frozenset[str]:
    """Names of the channels that have taken `message`, from wherever it was sent.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    client = connect()
    with tracking_errors(f"read the tags of {message.uri}"):
        tags = client.get_model_version(message.model, message.version).tags
    return frozenset(name for name in tags.get(alert_tag(message.level, message.fingerprint), "").split(",") if name)


def note_told(message: AlertMessage, channels: frozenset[str]) -> None:
    """Add `channels` to those that have taken `message`; errors as for `told_channels`."""
    before = told_channels(message)
    if channels <= before:
        return
    client = connect()
    with tracking_errors(f"tag {message.uri}"):
        client.set_model_version_tag(
            message.model, message.version, alert_tag(message.level, message.fingerprint), ",".join(sorted(before | channels))
        )
