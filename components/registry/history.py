"""What the tracking server already knows: finished explanations, the reference version, what a run published."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.errors import CouldNotRunError, InputError
from components.registry.placing import place_once, refuse_links
from components.registry.runs import Explanation, finished_run, published_run
from components.registry.tracking import connect, tracking_errors
from components.registry.versions import find_model, resolve_version
from schemas.evidence import RunPapers
from schemas.release import ModelRef, ModelSnapshot, ModelSource, PublishedRun

RECORD = "record.json"
ATTRIBUTIONS = "attributions"


def find_finished(snapshot: ModelSnapshot, fingerprint: str, tracking_uri: str | None) -> PublishedRun | None:
    """The newest complete explanation of this version with this fingerprint, or None.

    Raises:
        CouldNotRunError: when the tracking server does not answer.
    """
    client = connect(tracking_uri)
    with tracking_errors("search for earlier explanations", client.tracking_uri):
        run = finished_run(client, Explanation(snapshot.name, snapshot.version, fingerprint))
        return None if run is None else published_run(client, run)


def reference_for(snapshot: ModelSnapshot, alias: str = "champion", tracking_uri: str | None = None) -> ModelRef | None:
    """The version to compare `snapshot` with: the one `alias` points to (it may be this very one), or None without the alias.

    Raises:
        CouldNotRunError: when the registry does not answer.
    """
    if snapshot.source is not ModelSource.REGISTRY:
        return None
    client = connect(tracking_uri)
    with tracking_errors(f"look up the alias {alias!r}", client.tracking_uri):
        model = find_model(client, snapshot.name)
    version = None if model is None else model.aliases.get(alias)
    if version is None:
        return None
    uri = f"models:/{snapshot.name}/{version}"
    return ModelRef(uri=uri, source=ModelSource.REGISTRY, name=snapshot.name, version=str(version), alias=alias)


def resolve_reference(ref: ModelRef, tracking_uri: str | None) -> ModelRef:
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
    version = str(resolve_version(connect(tracking_uri), ref).version)
    return ref.model_copy(update={"version": version, "uri": f"models:/{ref.name}/{version}"})


def fetch_explanation(name: str, version: str, papers: RunPapers, workspace: Path, tracking_uri: str | None) -> Path:
    """A folder with all that one run published about a version: record, seal, tables, report, settings.

    It is kept by its record and seal, so that other documents in the same run are fetched anew.

    Raises:
        CouldNotRunError: the evidence cannot be read, or holds no tables.
    """
    client = connect(tracking_uri)
    origin = hashlib.sha256(papers.record + (papers.seal or b"")).hexdigest()
    place = workspace / "profiles" / name / version / papers.run_id
    return place_once(place, origin=origin, fill=lambda folder: _download(client, papers.run_id, folder))


def _download(client: Any, run_id: str, folder: Path) -> None:
    with TemporaryDirectory(dir=folder) as temporary:
        with tracking_errors(f"download the evidence of run {run_id}", client.tracking_uri):
            got = Path(client.download_artifacts(run_id, "calig", temporary))
        for part in sorted(got.iterdir()):
            part.rename(folder / part.name)
    refuse_links(folder, f"run {run_id}")
    if not any((folder / ATTRIBUTIONS).glob("*.parquet")):
        raise CouldNotRunError("The run holds no attribution tables.", got=run_id, next_step="explain the version again")
