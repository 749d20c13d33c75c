"""Delivery of alerts through a persistent outbox, to webhooks and Prefect's channels. Failures are told, no result changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from prefect import task
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event

from components import alerts, registry
from components.alerts import Outbox
from components.common.errors import CaligError, CouldNotRunError, InputError
from flows.common import progress
from flows.common.run_limits import RETRIES
from schemas.alert import AlertMessage, Channel, OutboxEntry
from schemas.config import AlertConfig
from schemas.governance import GovernanceReport
from schemas.release import ModelSource, PublishedRun
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


def tell(record: GovernanceReport, folder: Path, published: PublishedRun | None, *, config: AlertConfig, output: Path) -> None:
    """Put the message about `record` into the outbox of `output` and send all that waits there; never raises."""
    say = progress.current().say
    try:
        message = alerts.message_of(record, link=_link(folder, published))
        outbox = Outbox(output)
        with outbox.locked():
            registered = record.model.source is ModelSource.REGISTRY
            outbox.put(message, config.channels(message.level), registered=registered)
            _send_all(outbox, say)
    except Exception as error:  # an alert that fails must not cost a verdict that is known
        say(f"alerts: not sent: {_in_a_line(error)}; the verdict stands")


def resend(output: Path, say: Callable[[str], None]) -> int:
    """Send all that waits in the outbox of `output`; the number of messages that still wait.

    Raises:
        CouldNotRunError: another process is sending from it.
    """
    outbox = Outbox(output)
    with outbox.locked():
        waiting = outbox.unfinished()
        _send_all(outbox, say)
        still = outbox.unfinished()
    for path in outbox.unreadable():
        say(f"alerts: this file holds no message, look at it: {path}")
    say(f"{len(waiting)} waited, {len(waiting) - len(still)} sent, {len(still)} still wait" if waiting else "nothing waits")
    return len(still)


def _send_all(outbox: Outbox, say: Callable[[str], None]) -> None:
    """A channel that does not take one message is left alone for the rest: many that wait must not hold up a run."""
    down: set[Channel] = set()
    for entry in outbox.unfinished():
        down |= _send(entry, outbox, say, skip=down)


def _send(entry: OutboxEntry, outbox: Outbox, say: Callable[[str], None], *, skip: set[Channel]) -> set[Channel]:
    """Send one message to every channel that has not taken it, here or elsewhere; the channels that did not take it now.

    Each success is on disk before the next try.
    """
    entry, failed = _with_told_elsewhere(entry), set()
    outbox.save(entry)
    for channel in (channel for channel in entry.pending if channel not in skip):
        state = send_alert.with_options(task_run_name=f"alert {channel.name}")(entry.message, channel, return_state=True)
        entry = _after(entry, channel, state)
        outbox.save(entry)
        if not state.is_completed():
            failed.add(channel)
            say(f"alerts: {channel.name}: {entry.last_error}; kept, sent again with the next run or by: calig alerts resend")
    outbox.save(_noted(entry))
    return failed


@task(name="alert", cache_policy=NO_CACHE, persist_result=False, **RETRIES)
def send_alert(message: AlertMessage, channel: Channel) -> None:
    """Send `message` through `channel` once more until it is taken."""
    match channel.kind:
        case "prefect":
            emit(message)
        case "block":
            notify(message, channel)
        case "webhook":
            alerts.post(message, channel)


def _after(entry: OutboxEntry, channel: Channel, state: State[None]) -> OutboxEntry:
    if state.is_completed():
        return entry.model_copy(update={"delivered": {**entry.delivered, channel.name: datetime.now(UTC)}})
    problem = state.result(raise_on_failure=False)
    reason = _in_a_line(problem) if isinstance(problem, Exception) else state.name or "it failed"
    return entry.model_copy(update={"last_error": reason})


def _with_told_elsewhere(entry: OutboxEntry) -> OutboxEntry:
    """When the registry does not answer, a second message is better than none."""
    if not entry.registered:
        return entry
    try:
        told = registry.told_channels(entry.message)
    except CouldNotRunError:
        return entry
    now = datetime.now(UTC)
    delivered = {**{channel.name: now for channel in entry.channels if channel.name in told}, **entry.delivered}
    return entry.model_copy(update={"delivered": delivered, "noted": tuple(sorted(told))})


def _noted(entry: OutboxEntry) -> OutboxEntry:
    """Note the deliveries on the version; not now means with the next run."""
    if not entry.registered or entry.done:
        return entry
    try:
        registry.note_told(entry.message, frozenset(entry.delivered))
    except CouldNotRunError:
        return entry
    return entry.model_copy(update={"noted": tuple(sorted({*entry.noted, *entry.delivered}))})


def _link(folder: Path, published: PublishedRun | None) -> str:
    if published is not None:
        return published.run_url or f"{published.artifact_uri}/report.html"
    return str(folder / "report.html")


def _in_a_line(error: Exception) -> str:
    """Our own errors in their words; foreign ones by their kind alone, since they may quote an address or a key."""
    return " ".join(error.problem.split()) if isinstance(error, CaligError) else type(error).__name__
