"""What the tracking server already knows: finished explanations, the reference version, a published profile."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.common.errors import CouldNotRunError, InputError
from components.registry.connection import connect, tracking_errors
from components.registry.evidence.newest import RECORD
from components.registry.evidence.runs import Explanation, finished_run, published_run
from components.registry.models.download import place_once
from components.registry.versions.lookup import find_model, resolve_version
from components.table.value_digest import table_digest
from schemas.evidence import Evidence
from schemas.governance import GovernanceReport
from schemas.release import ModelRef, ModelSnapshot, ModelSource, PublishedRun, folder_name

ATTRIBUTIONS = "attributions"


def find_finished(snapshot: ModelSnapshot, fingerprint: str) -> PublishedRun | None:
    """The newest complete explanation of this version with this fingerprint, or None.

    Raises:
        CouldNotRunError: when the tracking server does not answer.
    """
    client = connect()
    with tracking_errors("search for earlier explanations"):
        run = finished_run(client, Explanation(snapshot.name, snapshot.version, fingerprint))
        return None if run is None else published_run(client, run)


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


def fetch_profile(evidence: Evidence, workspace: Path) -> Path:
    """A folder with the `record.json` and `attributions/*.parquet` of this published explanation, as its record names them.

    Raises:
        InputError: the tables are not those that the record was made from.
        CouldNotRunError: the evidence cannot be read: not the same as never explained.
    """
    model, run_id, digest = evidence.record.model, str(evidence.run_id), evidence.papers[0].record_sha256
    place = workspace / "profiles" / folder_name(model.name) / model.version / digest[:32]
    return place_once(place, origin=digest, fill=lambda folder: _download_profile(connect(), evidence, run_id, folder))


def _download_profile(client: Any, evidence: Evidence, run_id: str, folder: Path) -> None:
    """The record as it was read and verified, and the tables that it names."""
    (folder / RECORD).write_bytes(evidence.papers[0].record)
    with TemporaryDirectory(dir=folder) as temporary:
        with tracking_errors(f"download the evidence of run {run_id}"):
            got = client.download_artifacts(run_id, f"calig/{ATTRIBUTIONS}", temporary)
        Path(got).rename(folder / ATTRIBUTIONS)
    if not any((folder / ATTRIBUTIONS).glob("*.parquet")):
        raise CouldNotRunError(
            "The reference's run holds no attribution tables.", got=run_id, next_step="explain the reference version again"
        )
    changed = _other_tables(evidence.record, folder)
    if changed:
        raise InputError(
            "Published tables are not those that their record was made from.",
            got=f"run {run_id}: {', '.join(changed)}",
            next_step=f"calig verify {evidence.record.model.uri}; then explain it again",
        )


def _other_tables(record: GovernanceReport, folder: Path) -> list[str]:
    """Tables that were changed, are missing, or that the record does not name; a record from before version 2 names none."""
    named = {table.file: table.values_sha256 for table in record.evidence}
    there = {path.relative_to(folder).as_posix() for path in (folder / ATTRIBUTIONS).glob("*.parquet")}
    names = named.keys() | there if named else ()
    return sorted(name for name in names if name not in named or table_digest(folder / name) != named[name])
