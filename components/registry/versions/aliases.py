"""Aliases of registered models: set one; move @champion to a version that passed, and only forward."""

from __future__ import annotations

from typing import Any

from components.common.errors import InputError
from components.registry.connection import connect, tracking_errors
from components.registry.versions.lookup import find_model, registered_as
from schemas.governance import GovernanceReport

CHAMPION = "champion"


def set_alias(name: str, alias: str, version: str) -> None:
    """Point `alias` of the registered model `name` to `version`.

    Raises:
        InputError: an empty alias. CouldNotRunError: when MLflow fails.
    """
    if not alias:
        raise InputError("An alias needs a name.", next_step="for example champion")
    client = connect()
    with tracking_errors(f"set the alias {alias!r} of {name}"):
        client.set_registered_model_alias(name, alias, version)


def promote(record: GovernanceReport, *, rollback: bool = False) -> str:
    """Move @champion to the version that `record` is about; what was done, in one sentence.

    The caller has seen to it that the verdict is pass. A version is promoted over the champion it was compared with: when
    @champion has moved since, the comparison says nothing about the version it would replace. `rollback` lifts both rules.

    Raises:
        InputError: the version is older than the champion, was not compared with it, or is not what was explained.
        CouldNotRunError: the registry does not answer.
    """
    name, version = record.model.name, record.model.version
    client = connect()
    with tracking_errors(f"move @{CHAMPION} of {name}"):
        model = find_model(client, name)
        before = None if model is None else model.aliases.get(CHAMPION)
        _check_entry(record, client)
        if before is not None and str(before) == version:
            return f"@{CHAMPION} is version {version} already"
        if before is not None and not rollback:
            _check(record, str(before))
        client.set_registered_model_alias(name, CHAMPION, version)
    return f"@{CHAMPION} moved to version {version}" + ("; there was none" if before is None else f" from version {before}")


def _check_entry(record: GovernanceReport, client: Any) -> None:
    """The version may have been deleted, and another registered under its number, since the record was looked at."""
    model = record.model
    if registered_as(client.get_model_version(model.name, model.version)) != model.registered:
        raise InputError(
            "The registry holds another version under this name and number than was explained.",
            got=model.uri,
            next_step=f"explain it: calig explain {model.uri} --dataset VALIDATION_SET",
        )


def _check(record: GovernanceReport, champion: str) -> None:
    name, version, reference = record.model.name, record.model.version, record.drift.reference
    if int(version) < int(champion):
        raise InputError(
            f"@{CHAMPION} only moves forward.",
            got=f"version {version}, and @{CHAMPION} is version {champion}",
            next_step="add --rollback to go back on purpose",
        )
    compared = None if reference is None or reference.name != name else reference.version
    if compared != champion:
        against = "nothing" if compared is None else f"version {compared}"
        raise InputError(
            f"The version passed, but not against the @{CHAMPION} it would replace.",
            got=f"compared with {against}, and @{CHAMPION} is version {champion}",
            next_step=f"explain it against it: calig explain models:/{name}/{version} --dataset VALIDATION_SET",
        )
