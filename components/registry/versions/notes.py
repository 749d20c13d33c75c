"""Watched versions with their tags, and the notes left on them: state, request, channels told. No model is downloaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from components.common.errors import InputError
from components.registry.connection import connect, is_missing, tracking_errors
from components.registry.versions.lookup import all_versions, find_model
from schemas.alert import AlertMessage
from schemas.base import Verdict
from schemas.tags import Tag, alert_tag
from schemas.trigger import State, WatchedVersion

_PAUSES_S = (0.05, 0.2)


def watched_versions(watched: Callable[[str], bool], newest: int | None) -> list[WatchedVersion]:
    """The versions of all models whose name is `watched`, by name, oldest first; only the `newest` so many of each, if set.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    client = connect()
    found: list[WatchedVersion] = []
    with tracking_errors("list the registered models"):
        for model in _all_models(client):
            if watched(model.name):
                versions = sorted(all_versions(client, model.name), key=lambda version: int(version.version))
                found += [_seen(version, model) for version in versions[-newest if newest else 0 :]]
    return found


def watched_version(name: str, version: str) -> WatchedVersion | None:
    """One version as it is now; None when it does not exist. Errors as above."""
    client = connect()
    with tracking_errors(f"look up models:/{name}/{version}"):
        model = find_model(client, name)
        if model is None:
            return None
        try:
            return _seen(client.get_model_version(name, version), model)
        except Exception as error:
            if is_missing(error):
                return None
            raise


def note_queued(version: WatchedVersion, request: str, attempt: int) -> None:
    """Note that a run was asked for; the request last, so that an interrupted note is simply written again."""
    _drop(version.name, version.version, Tag.REASON)
    tags: dict[str, str] = {Tag.STATE: State.QUEUED, Tag.ATTEMPTS: str(attempt), Tag.REQUEST: request}
    _set(version.name, version.version, tags)


def note_running(name: str, version: str, request: str | None) -> None:
    """Note that a run has begun, unless another request has come since (None: started by hand)."""
    if _in_charge(name, version, request):
        _set(name, version, {Tag.STATE: State.RUNNING})


def note_done(name: str, version: str, request: str | None) -> None:
    """Note that the explanation is published; a later request stays open."""
    if not _in_charge(name, version, request):
        return
    settled: dict[str, str] = {} if request is None else {Tag.SETTLED: request}
    _set(name, version, {Tag.STATE: State.DONE, **settled})


def note_state(version: WatchedVersion, state: State) -> None:
    """Put only the state right."""
    _set(version.name, version.version, {Tag.STATE: state})


def note_gave_up(version: WatchedVersion, request: str, attempts: int, reason: str) -> None:
    """Settle a version that could not be explained: inconclusive, with the reason."""
    tags: dict[str, str] = {Tag.REASON: reason, Tag.ATTEMPTS: str(attempts), Tag.VERDICT: Verdict.INCONCLUSIVE.value}
    last: dict[str, str] = {Tag.STATE: State.GAVE_UP, Tag.REQUEST: request, Tag.SETTLED: request}
    _set(version.name, version.version, {**tags, **last})


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
    if not channels <= before:
        told = ",".join(sorted(before | channels))
        _set(message.model, message.version, {alert_tag(message.level, message.fingerprint): told})


def _all_models(client: Any) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while token is None or token:
        page = client.search_registered_models(max_results=1000, page_token=token)
        found += page
        token = page.token or ""
    return sorted(found, key=lambda model: str(model.name))


def _seen(version: Any, model: Any) -> WatchedVersion:
    return WatchedVersion(
        name=version.name,
        version=str(version.version),
        created_ms=version.creation_timestamp,
        status=version.status,
        status_message=version.status_message or "",
        tags=dict(version.tags),
        model_tags=dict(model.tags),
    )


def _in_charge(name: str, version: str, request: str | None) -> bool:
    """Whether the version still waits for `request`; a run by hand counts only where no trigger has asked for one."""
    known = watched_version(name, version)
    if known is None:
        raise InputError("the version does not exist any more", got=f"models:/{name}/{version}")
    return known.tags.get(Tag.REQUEST) == request


def _set(name: str, version: str, tags: Mapping[str, str]) -> None:
    client = connect()
    with tracking_errors(f"tag models:/{name}/{version}"):
        for key, value in tags.items():
            _in_company(partial(client.set_model_version_tag, name, version, str(key), str(value)))


def _drop(name: str, version: str, tag: Tag) -> None:
    client = connect()
    with tracking_errors(f"tag models:/{name}/{version}"):
        if tag.value in client.get_model_version(name, version).tags:
            _in_company(partial(client.delete_model_version_tag, name, version, tag.value))


def _in_company(write: Callable[[], object]) -> None:
    """Write a tag that another process may be writing too: MLflow's store lets one of the two fail, a moment later it fits."""
    for pause_s in _PAUSES_S:
        try:
            write()
        except Exception as error:
            if is_missing(error):
                raise
            time.sleep(pause_s)
        else:
            return
    write()
