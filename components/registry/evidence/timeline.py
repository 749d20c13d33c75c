"""All versions of a registered model with their published evidence; a version without any is listed with the reason."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from components.common.errors import CaligError, InputError
from components.registry.connection import connect, tracking_errors
from components.registry.evidence.newest import NeverExplainedError, Verify, newest_of
from components.registry.versions.lookup import all_versions, registered_model
from schemas.evidence import VersionEntry
from schemas.tags import Tag

NEVER = "never explained"


def timeline(name: str, verify: Verify) -> tuple[VersionEntry, ...]:
    """Every version of the model `name`, oldest first.

    Raises:
        InputError: there is no such model, or it has no version.
        CouldNotRunError: the registry does not answer.
    """
    client = connect()
    with tracking_errors(f"list the versions of {name}"):
        model = registered_model(client, name)
        versions = sorted(all_versions(client, name), key=lambda version: int(version.version))
    if not versions:
        raise InputError(f"The model {name!r} has no versions yet.", next_step="register one, then: calig explain")
    aliases: dict[str, list[str]] = defaultdict(list)
    for alias, number in sorted(model.aliases.items()):
        aliases[str(number)].append(alias)
    return tuple(_entry(client, version, verify, tuple(aliases[str(version.version)])) for version in versions)


def _entry(client: Any, version: Any, verify: Verify, aliases: tuple[str, ...]) -> VersionEntry:
    evidence, problem = None, _given_up(version) or NEVER
    try:
        evidence = None if _given_up(version) else newest_of(client, version, verify)
    except NeverExplainedError:
        pass
    except CaligError as error:  # one version's trouble must not hide the others
        problem = f"its evidence cannot be read: {' '.join(str(error).split())}"
    created = datetime.fromtimestamp(version.creation_timestamp / 1000, UTC)
    return VersionEntry(
        version=str(version.version),
        created_at=created,
        aliases=aliases,
        evidence=evidence,
        problem=None if evidence else problem,
    )


def _given_up(version: Any) -> str | None:
    """Why the trigger gave this version up, if it did."""
    reason = version.tags.get(Tag.REASON)
    return None if reason is None else f"given up: {reason}"
