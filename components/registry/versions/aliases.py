"""Aliases of versions: @champion moves only forward; the reference, its twins and the accepted versions to compare with."""

from __future__ import annotations

from typing import Any

from components.common.errors import InputError
from components.registry.connection import connect, tracking_errors
from components.registry.evidence.runs import complete_runs
from components.registry.versions.lookup import all_versions, find_model, registered_as, resolve_version
from schemas.base import Verdict
from schemas.governance import GovernanceReport
from schemas.release import ModelRef, ModelSnapshot, ModelSource
from schemas.tags import Tag

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


def reference_for(snapshot: ModelSnapshot, alias: str = "champion") -> ModelRef | None:
    """The version to compare `snapshot` with: the one `alias` points to (it may be this very one), or None without the alias.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    if snapshot.source is not ModelSource.REGISTRY:
        return None
    client = connect()
    with tracking_errors(f"look up the alias {alias!r}"):
        model = find_model(client, snapshot.name)
    version = None if model is None else model.aliases.get(alias)
    if version is None:
        return None
    uri = f"models:/{snapshot.name}/{version}"
    return ModelRef(uri=uri, source=ModelSource.REGISTRY, name=snapshot.name, version=str(version), alias=alias)


def resolve_reference(ref: ModelRef) -> ModelRef:
    """`ref` with its version number: an alias is looked up, a version is checked to exist.

    Raises:
        InputError: not a registry version, or there is no such model, version or alias.
    """
    if ref.source is not ModelSource.REGISTRY:
        raise InputError(
            "A reference is a registered version, or the folder of a finished explanation.",
            got=ref.uri,
            allowed="models:/NAME/VERSION, models:/NAME@alias, or a folder with record.json and attributions/",
        )
    version = str(resolve_version(connect(), ref).version)
    return ref.model_copy(update={"version": version, "uri": f"models:/{ref.name}/{version}"})


def tagged_twins(name: str, version: str) -> list[ModelRef]:
    """The versions whose tag TWIN_OF names `version`, newest first. Whoever may tag a version can set it.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    return [_ref(known) for known in _newest_first(name) if known.tags.get(Tag.TWIN_OF) == version]


def accepted_versions(name: str) -> list[ModelRef]:
    """The versions that some run says have passed, newest first; what the run holds is not verified. Errors as above."""
    client = connect()
    with tracking_errors(f"list the explanations of {name!r}"):
        tags = [run.data.tags for run in complete_runs(client, name)]
    passed = {tag.get(Tag.VERSION) for tag in tags if tag.get(Tag.VERDICT) == Verdict.PASS}
    return [_ref(known) for known in _newest_first(name) if str(known.version) in passed]


def earlier_versions(snapshot: ModelSnapshot) -> list[ModelRef]:
    """The versions of the same model that were registered before `snapshot`, newest first; errors as above."""
    return [_ref(known) for known in _newest_first(snapshot.name) if int(known.version) < int(snapshot.version)]


def other_versions(snapshot: ModelSnapshot) -> list[ModelRef]:
    """All other versions of the same model, newest first; errors as above."""
    return [_ref(known) for known in _newest_first(snapshot.name) if str(known.version) != snapshot.version]


def _newest_first(name: str) -> list[Any]:
    client = connect()
    with tracking_errors(f"list the versions of {name!r}"):
        found = all_versions(client, name)
    return sorted((known for known in found if known.status == "READY"), key=lambda known: -int(known.version))


def _ref(known: Any) -> ModelRef:
    uri = f"models:/{known.name}/{known.version}"
    return ModelRef(uri=uri, source=ModelSource.REGISTRY, name=known.name, version=str(known.version))
