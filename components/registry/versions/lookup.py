"""Find the version a reference names in the registry, or say what there is instead."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from components.common.errors import CouldNotRunError, InputError
from components.registry.addresses import without_password
from components.registry.connection import is_missing, tracking_errors
from schemas.release import ModelRef, RegisteredVersion

_LISTED = 10


def resolve_version(client: Any, ref: ModelRef) -> Any:
    """The MLflow `ModelVersion` that `ref` names.

    Raises:
        InputError: unknown model, alias or version (with what exists), or one whose registration failed.
        CouldNotRunError: the registry does not answer, or the version is still being registered.
    """
    with tracking_errors(f"look up {ref.uri}"):
        model = registered_model(client, ref.name)
        number = ref.version if ref.alias is None else _version_of_alias(model, ref.alias)
        version = _model_version(client, ref.name, str(number))
    if version.status == "FAILED_REGISTRATION":
        raise InputError(
            "The registration of the version failed, so it holds no model.",
            got=f"{ref.uri}: {version.status_message or 'no reason is given'}",
            next_step="register the model again",
        )
    if version.status != "READY":
        raise CouldNotRunError(
            f"The version is not ready yet: its registration is {version.status}.",
            got=ref.uri,
            next_step=version.status_message or "wait until it is, then run again",
        )
    return version


def registered_as(version: Any) -> RegisteredVersion:
    """The registry's own entry of an MLflow `ModelVersion`."""
    return RegisteredVersion(
        created_ms=int(version.creation_timestamp),
        source=without_password(str(version.source or "")),
        run_id=version.run_id or None,
        model_id=version.model_id or None,
    )


def find_model(client: Any, name: str) -> Any | None:
    """The registered model, or None."""
    return _or_none(client.get_registered_model, name)


def all_versions(client: Any, name: str) -> list[Any]:
    """All `ModelVersion`s of a registered model, over all pages of the answer."""
    found: list[Any] = []
    token: str | None = None
    while token is None or token:
        page = client.search_model_versions(f"name={quoted(name)}", max_results=1000, page_token=token)
        found += page
        token = page.token or ""
    return found


def registered_model(client: Any, name: str) -> Any:
    """The registered model; InputError with the known names when there is none."""
    model = find_model(client, name)
    if model is None:
        names = [known.name for known in client.search_registered_models(max_results=1000)]
        raise InputError(
            f"There is no registered model {name!r} in {without_password(client.tracking_uri)}.",
            allowed=_known_models(names),
            next_step=_did_you_mean(name, names) or "check the name and the tracking URI",
        )
    return model


def _version_of_alias(model: Any, alias: str) -> str:
    if alias not in model.aliases:
        known = [f"@{name} (version {version})" for name, version in sorted(model.aliases.items())]
        raise InputError(
            f"The model {model.name!r} has no alias {alias!r}.", allowed=_listed(known) or "it has no aliases yet: name a version"
        )
    return str(model.aliases[alias])


def _model_version(client: Any, name: str, number: str) -> Any:
    version = _or_none(client.get_model_version, name, number)
    if version is None:
        numbers = sorted((int(known.version) for known in all_versions(client, name)), reverse=True)
        raise InputError(
            f"The model {name!r} has no version {number}.", allowed=_listed(map(str, numbers)) or "it has no versions yet"
        )
    return version


def _or_none(look_up: Any, *key: str) -> Any | None:
    try:
        return look_up(*key)
    except Exception as error:
        if is_missing(error):
            return None
        raise


def _known_models(names: list[str]) -> str:
    return f"a registered model: {_listed(sorted(names))}" if names else "none: no model is registered there"


def _did_you_mean(name: str, names: list[str]) -> str | None:
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else None


def _listed(items: Any) -> str:
    items = list(items)
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more


def quoted(text: str) -> str:
    """`text` as a literal of MLflow's filter language, which has no escapes."""
    return f'"{text}"' if "'" in text else f"'{text}'"
