"""Bring a model to disk, once and whole, and describe it: a registered version, a pinned hub model, or a folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calig.adapters import BASE, is_adapter
from components.common.errors import CouldNotRunError, InputError
from components.registry.addresses import repository_of
from components.registry.connection import connect, tracking_errors
from components.registry.models.adapters import assemble, find_base
from components.registry.models.artifacts import read_version_artifacts
from components.registry.models.download import (
    NEEDED,
    check_size,
    content_digest,
    download_model,
    holds,
    place_once,
    refuse_links,
)
from components.registry.models.folders import (
    Modality,
    check_processor,
    has_processor,
    inspect_model,
    no_processor,
    processor_digest,
)
from components.registry.versions.lookup import registered_as, resolve_version
from schemas.base import digest_of
from schemas.release import ModelRef, ModelSnapshot, ModelSource, folder_name

_COMMIT_DIGITS = 40


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
    return _from_folder(Path(ref.uri), workspace)


def is_here(snapshot: ModelSnapshot) -> bool:
    """Whether the files that `snapshot` names are on this machine and are what was fetched."""
    if not snapshot.model_path.is_dir() or not snapshot.processor_path.is_dir():
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
    model_path = _with_base(files.model_path, within=folder, flavour=files.flavour, uri=uri, name=ref.name, workspace=workspace)
    model = inspect_model(model_path)
    processor = _processor_of((*files.processor_folders[model.modality], files.model_path, model_path), model.modality, uri)
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
        model_path=model_path,
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


def _processor_of(folders: tuple[Path, ...], modality: Modality, uri: object) -> Path:
    """The first of the folders with a tokenizer or image processor; an adapter that came without has its base's."""
    for folder in (*folders, folders[-1] / BASE):
        if folder.is_dir() and has_processor(folder, modality):
            return folder
    raise no_processor(modality, uri)


def _with_base(folder: Path, *, within: Path | None, flavour: Mapping[str, Any], uri: str, name: str, workspace: Path) -> Path:
    """`folder` itself; of an adapter whose base lies elsewhere, a folder of the workspace with both.

    Raises:
        InputError: the base is missing, its name moves, or it is a folder of this machine that a version may not name.
        CouldNotRunError: the tracking server or the hub does not answer.
    """
    base = find_base(folder, within=within, flavour=flavour, what=uri) if is_adapter(folder) else None
    if base is None:
        return folder
    place = base.folder or _base_folder(base.ref, workspace)
    return assemble(folder, place, base.uri, workspace=workspace, name=name)


def _base_folder(ref: ModelRef | None, workspace: Path) -> Path:
    if ref is None:
        raise ValueError("a base is a folder or a reference")
    if ref.source is ModelSource.HUB:
        return _hub_snapshot_folder(ref, workspace)[0]
    client = connect()
    version = resolve_version(client, ref)
    return read_version_artifacts(_download(client, version, ref.uri, workspace), ref.uri).model_path


def _from_hub(ref: ModelRef, workspace: Path) -> ModelSnapshot:
    folder, commit = _hub_snapshot_folder(ref, workspace)
    uri = f"{ref.name}@{commit}"
    whole = _with_base(folder, within=folder, flavour={}, uri=uri, name=ref.name, workspace=workspace)
    return _from_one_folder(whole, folder, name=ref.name, version=commit, source=ModelSource.HUB, uri=uri)


def _hub_snapshot_folder(ref: ModelRef, workspace: Path) -> tuple[Path, str]:
    """The folder of the hub model and the commit its revision stands for.

    Copied out of the hub's cache, so that workers that share only the workspace find it.

    Raises:
        InputError: no such model or revision. CouldNotRunError: the hub does not answer.
    """
    place = workspace / "models" / ref.name.replace("/", "--")
    revision = str(ref.revision)
    if _is_commit(revision) and holds(place / revision, f"{ref.name}@{revision}"):
        return place / revision, revision
    cached = _hub_cache(ref.name, revision)
    folder = place_once(place / cached.name, origin=f"{ref.name}@{cached.name}", fill=lambda fresh: _copy(cached, fresh))
    return folder, cached.name


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _is_commit(revision: str) -> bool:
    return len(revision) == _COMMIT_DIGITS and all(digit in "0123456789abcdef" for digit in revision)


def _hub_cache(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        _check_hub_size(name, revision)
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(NEEDED)))
    except RevisionNotFoundError as error:
        raise InputError(
            f"The hub model {name} has no revision {revision!r}.", next_step="take a commit or a tag from the model's page"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InputError(
            f"The hub has no model {name!r}, or it is private.", got=error, next_step="check the name, or set HF_TOKEN"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise CouldNotRunError(
            f"The hub model {name} could not be downloaded and is not in the local cache.",
            got=error,
            next_step="check the network (and that HF_HUB_OFFLINE is not set), or give a folder that holds the model",
        ) from error


def _check_hub_size(name: str, revision: str) -> None:
    from huggingface_hub import snapshot_download

    try:
        files = snapshot_download(name, revision=revision, allow_patterns=list(NEEDED), dry_run=True)
    except (OSError, ValueError):  # the hub does not answer, or not well: the download says so, or has a copy
        return
    check_size([(file.filename, file.file_size or 0) for file in files if file.will_download], f"{name}@{revision}")


def _from_folder(folder: Path, workspace: Path) -> ModelSnapshot:
    if not folder.is_dir():
        raise InputError("The model folder does not exist any more.", got=folder)
    whole = _with_base(folder, within=None, flavour={}, uri=str(folder), name=folder.name, workspace=workspace)
    return _from_one_folder(whole, folder, name=folder.name, version=None, source=ModelSource.FOLDER, uri=str(folder))


def _from_one_folder(
    model_path: Path, folder: Path, *, name: str, version: str | None, source: ModelSource, uri: str
) -> ModelSnapshot:
    """The model in `model_path`, with its processor in `folder` or, of an adapter, with its base."""
    model = inspect_model(model_path)
    processor = _processor_of((folder, model_path), model.modality, folder)
    check_processor(processor, model.modality)
    return ModelSnapshot(
        name=name,
        version=version or model.weights_digest[:12],
        source=source,
        uri=uri,
        model_path=model_path,
        processor_path=processor,
        processor_digest=processor_digest(processor, model.modality),
        **model._asdict(),
    )
