"""Channels of alerts that Prefect offers: events, on which automations act, and notification blocks."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

from prefect.blocks import notifications  # noqa: F401 - makes the built-in blocks known to `Block.load`
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.events import emit_event

from components import alerts
from components.common.errors import CouldNotRunError, InputError
from schemas.alert import AlertMessage, Channel
from schemas.tags import Tag

_NAMESPACE = UUID("7f0cf0a1-4a53-4a0e-8f8c-2f2c7a4c5d11")


def emit(message: AlertMessage) -> None:
    """Emit every event of `message`, about the model version; sent again, each keeps its id.

    Raises:
        CouldNotRunError: Prefect does not take events.
    """
    resource = {
        "prefect.resource.id": f"calig.model-version.{message.model}.{message.version}",
        "prefect.resource.name": message.uri,
        Tag.MODEL: message.model,
        Tag.VERSION: message.version,
        "calig.level": message.level.value,
        Tag.VERDICT: message.verdict.value,
    }
    payload = {**message.model_dump(mode="json"), "subject": alerts.subject_of(message), "text": alerts.text_of(message)}
    for event in message.events:
        if emit_event(event, resource, payload=payload, id=event_id(message, event)) is None:
            raise CouldNotRunError("Prefect did not take the event; is PREFECT_API_URL right?")


def event_id(message: AlertMessage, event: str) -> UUID:
    """The same for the same message and event."""
    return uuid5(_NAMESPACE, f"{message.id}/{event}")


def notify(message: AlertMessage, channel: Channel) -> None:
    """Send `message` through the notification block that `channel` names.

    Raises:
        InputError: there is no such block, or it cannot notify.
        CouldNotRunError: the receiver did not take it.
    """
    block = _loaded(channel)
    problem = _problem(block, message)
    if problem is not None:  # raised here, outside of any `except`: the original error may quote an address
        raise CouldNotRunError(f"the block did not deliver: {problem}")


def _loaded(channel: Channel) -> NotificationBlock:
    problem, block = "it does not send notifications", None
    try:
        block = Block.load(str(channel.block))
    except ValueError:
        problem = "Prefect knows no such block"
    except Exception as error:
        problem = f"it cannot be loaded ({type(error).__name__})"
    if isinstance(block, NotificationBlock):
        return block
    raise InputError(f"the block {channel.block!r} cannot be used: {problem}", next_step="see `prefect block ls`")


def _problem(block: NotificationBlock, message: AlertMessage) -> str | None:
    try:
        with block.raise_on_failure():
            sender: Any = block  # typed as if it were always awaited
            sender.notify(body=alerts.text_of(message), subject=alerts.subject_of(message))
    except Exception as error:  # whatever library the block uses
        response = getattr(error, "response", None)
        return type(error).__name__ if response is None else f"it answered {response.status_code}"
    return None
