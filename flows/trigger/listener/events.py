"""Reduces a delivery to the version that it names. Nothing else in it is believed: the registry is asked again."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from flows.trigger.listener.limits import Refusal
from schemas.trigger import ASKING

#: MLflow's `test_webhook` sends its events about this model.
_EXAMPLE = "example_model"
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_LONGEST_NAME = 256


class Event(NamedTuple):
    """A version to look at (`version` is set), or why there is none."""

    kind: str
    name: str
    version: str | None
    why_not: str = ""


def read_event(body: bytes) -> Event:
    """The event in a delivery's body.

    A new version is looked at, and one whose tag says anew what to explain it with; our own tags are not, since that would be
    a loop. An alias is not either: what a version was compared with is part of its record, and another @champion later does
    not make that wrong.

    Raises:
        Refusal: 400, when the body is no event of a registry.
    """
    content = _json(body)
    data, kind = content.get("data"), f"{content.get('entity')}.{content.get('action')}"
    if not isinstance(data, dict) or not isinstance(content.get("entity"), str) or not isinstance(content.get("action"), str):
        raise Refusal(400, "malformed", "the body is no event: entity, action and data are expected")
    name, version = data.get("name"), str(data.get("version"))
    if kind == "model_version_tag.set" and data.get("key") not in ASKING:
        return Event(kind, str(name), None, "the tag names nothing to explain with")
    if kind not in {"model_version.created", "model_version_tag.set"}:
        return Event(kind[:100], str(name), None, "no such event starts an explanation")
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= _LONGEST_NAME
        or not name.isprintable()
        or _VERSION.fullmatch(version) is None
    ):
        raise Refusal(400, "malformed", "the event names no model version")
    return Event(kind, name, None, "a test delivery") if name == _EXAMPLE else Event(kind, name, version)


def _json(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "malformed", "the body is not JSON") from error
    if not isinstance(content, dict):
        raise Refusal(400, "malformed", "the body is no JSON object")
    return content
