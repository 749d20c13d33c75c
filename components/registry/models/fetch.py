"""Bring a model version to disk, once and whole, and describe it as a ModelSnapshot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components.common.errors import InputError
from components.registry.artifact_places import repository_of
from components.registry.connection import connect, tracking_errors
from components.registry.models.artifacts import VersionArtifacts, read_version_artifacts
from components.registry.models.download import content_digest, download_model, place_once, refuse_links
from components.registry.models.folders import (
    ModelFolder,
    check_processor,
    has_processor,
    inspect_model,
    no_processor,
    processor_digest,
)
from components.registry.models.hub import hub_snapshot_folder
from components.registry.versions.lookup import registered_as, resolve_version
from schemas.base import digest_of
from schemas.release import ModelRef, ModelSnapshot, ModelSource, folder_name


def fetch(ref: ModelRef, *, workspace: Path) -> ModelSnapshot:
    """The model `ref` names, on disk.

    Registry versions and hub models are downloaded into `workspace/models/<name>/<version>`, once; a folder is used where
    it lies. No loader of MLflow runs and nothing is unpickled: the files are only read.

    Raises:
        InputError: an unknown model, version or alias; a model that cannot be explained; weights that are not safetensors.
        CouldNotRunError: the tracking server or the hub does not answer, or the disk fails.
    """
    if ref.source is ModelSource.REGISTRY:
        return _from_registry(ref, workspace)
    if ref.source is ModelSource.HUB:
        return _from_hub(ref, workspace)
    return _from_folder(Path(ref.uri))


def is_here(snapshot: ModelSnapshot) -> bool:
    """Whether the files that `snapshot` names are on this machine and are what was fetched."""
    if not (snapshot.model_path / "config.json").is_file() or not snapshot.processor_path.is_dir():
        return False
    try:
        weights = inspect_model(snapshot.model_path).weights_digest
    except InputError:  # torn since it was fetched
        return False
    return (weights, processor_digest(snapshot.processor_path, snapshot.modality)) == (
        snapshot.weights_digest,
        snapshot.processor_digest,
    )


def _from_registry(ref: ModelRef, workspace: Path) -> ModelSnapshot:
    client = connect()
    version = resolve_version(client, ref)
    uri = f"models:/{ref.name}/{version.version}"
    folder = _download(client, version, uri, workspace)
    files = read_version_artifacts(folder, uri)
    model = inspect_model(files.model_path)
    processor = _processor_of(files, model, uri)
    check_processor(processor, model.modality)
    return ModelSnapshot(
        name=ref.name,
        version=str(version.version),
        source=ModelSource.REGISTRY,
        uri=uri,
        alias=ref.alias,
        source_run_id=version.run_id or None,
        model_id=files.model_id,
        registered=registered_as(version),
        model_path=files.model_path,
        processor_path=processor,
        processor_digest=processor_digest(processor, model.modality),
        files_digest=content_digest(folder),
        **model._asdict(),
    )


def _download(client: Any, version: Any, uri: str, workspace: Path) -> Path:
    """Keyed by the version's origin too: a name deleted and registered anew starts again at version 1."""
    origin = digest_of([version.source, version.run_id, version.creation_timestamp])

    def fill(folder: Path) -> None:
        with tracking_errors(f"download {uri}"):
            location = client.get_model_version_download_uri(version.name, version.version)
            download_model(repository_of(location, client), folder, uri)
        refuse_links(folder, uri)

    return place_once(workspace / "models" / folder_name(version.name) / str(version.version), origin=origin, fill=fill)


def _processor_of(files: VersionArtifacts, model: ModelFolder, uri: str) -> Path:
    for folder in (*files.processor_folders[model.modality], files.model_path):
        if folder.is_dir() and has_processor(folder, model.modality):
            return folder
    raise no_processor(model.modality, uri)


def _from_hub(ref: ModelRef, workspace: Path) -> ModelSnapshot:
    folder, commit = hub_snapshot_folder(ref, workspace)
    return _from_one_folder(folder, name=ref.name, version=commit, source=ModelSource.HUB, uri=f"{ref.name}@{commit}")


def _from_folder(folder: Path) -> ModelSnapshot:
    if not folder.is_dir():
        raise InputError("The model folder does not exist any more.", got=folder)
    return _from_one_folder(folder, name=folder.name, version=None, source=ModelSource.FOLDER, uri=str(folder))


def _from_one_folder(folder: Path, *, name: str, version: str | None, source: ModelSource, uri: str) -> ModelSnapshot:
    """A folder that holds the model and its processor side by side."""
    model = inspect_model(folder)
    if not has_processor(folder, model.modality):
        raise no_processor(model.modality, folder)
    check_processor(folder, model.modality)
    return ModelSnapshot(
        name=name,
        version=version or model.weights_digest[:12],
        source=source,
        uri=uri,
        model_path=folder,
        processor_path=folder,
        processor_digest=processor_digest(folder, model.modality),
        **model._asdict(),
    )
