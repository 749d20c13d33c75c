"""Locate the parts of a logged model by the `transformers` flavour of its MLmodel file, never through a loader."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from calig.adapters import is_adapter
from components.common.errors import InputError
from components.registry.addresses import repository_of
from components.registry.connection import connect, tracking_errors
from components.registry.models.adapters import find_base, put_together
from components.registry.models.download import download_model, refuse_links
from components.registry.models.folders import Modality, has_processor, inspect_model, no_processor

_LOG_IT = (
    "log it with mlflow.transformers.log_model(transformers_model={'model': ..., 'tokenizer' or 'image_processor': ...}, ...)"
)
#: Where MLflow 2.3 put model and tokenizer, without saying so in the flavour.
_PIPELINE = "pipeline"
_PROCESSOR_FOLDERS: dict[Modality, tuple[str, ...]] = {
    "text": ("tokenizer", "processor"),
    "image": ("image_processor", "feature_extractor", "processor"),
}


class VersionArtifacts(NamedTuple):
    """The parts of a downloaded version; processor folders in order of preference, existing or not.

    model_path has a whole model, or an adapter, whose base `flavour` may tell of.
    """

    model_id: str | None
    model_path: Path
    flavour: dict[str, Any]
    processor_folders: dict[Modality, tuple[Path, ...]]


def read_version_artifacts(folder: Path, uri: str) -> VersionArtifacts:
    """The parts of the version downloaded to `folder`.

    Raises:
        InputError: not a transformers model, or a reference without weights.
    """
    mlmodel = _mlmodel(folder, uri)
    flavour = _transformers_flavour(mlmodel, uri)
    return VersionArtifacts(
        model_id=mlmodel.get("model_id"),
        model_path=_model_path(folder, flavour, uri),
        flavour=flavour,
        processor_folders={
            modality: tuple(folder / "components" / name for name in names) for modality, names in _PROCESSOR_FOLDERS.items()
        },
    )


def _mlmodel(folder: Path, uri: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError("The version has no readable MLmodel file.", got=f"{uri}: {error}", next_step=_LOG_IT) from error
    if not isinstance(content, dict):
        raise InputError("The version's MLmodel file is not a mapping.", got=uri, next_step=_LOG_IT)
    return content


def _transformers_flavour(mlmodel: dict[str, Any], uri: str) -> dict[str, Any]:
    flavours = mlmodel.get("flavors") or {}
    flavour = flavours.get("transformers")
    if not isinstance(flavour, dict):
        known = ", ".join(sorted(flavours)) or "none"
        raise InputError(
            "The version is not a transformers model.",
            got=f"{uri} with flavours: {known}",
            allowed="the transformers flavour",
            next_step=_LOG_IT,
        )
    return flavour


def _model_path(folder: Path, flavour: dict[str, Any], uri: str) -> Path:
    place = (
        flavour.get("peft_adaptor")
        or flavour.get("model_binary")
        or (_PIPELINE if (folder / _PIPELINE / "config.json").is_file() else None)
    )
    if not place:
        raise _without_weights(flavour, uri)
    path = (folder / str(place)).resolve()
    if not path.is_dir() or not path.is_relative_to(folder.resolve()):
        raise InputError("The version's model folder is missing.", got=f"{uri}: {place!r}", next_step=_LOG_IT)
    return folder / str(place)


def _without_weights(flavour: dict[str, Any], uri: str) -> InputError:
    source = flavour.get("source_model_name") or flavour.get("local_base_model_path") or "a model elsewhere"
    revision = flavour.get("source_model_revision")
    name = f"{source}@{revision}" if revision else str(source)
    return InputError(
        "The version holds no weights, only a reference (save_pretrained=False).",
        got=f"{uri} refers to {name}",
        next_step=f"store the weights with mlflow.transformers.persist_pretrained_model({uri!r}), or explain {name} itself",
    )


def place_logged_model(model_uri: str, folder: Path) -> Path:
    """Download the model that `model_uri` names and put weights and tokenizer (or image processor) side by side in `folder`.

    Nothing of the model is run or unpickled.

    Raises:
        InputError: not a transformers classifier with its weights and tokenizer.
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    client, logged = connect(), folder / "logged"
    logged.mkdir(parents=True)
    with tracking_errors(f"download {model_uri}"):
        download_model(repository_of(model_uri, client), logged, model_uri)
    refuse_links(logged, model_uri)
    parts = read_version_artifacts(logged, model_uri)
    if is_adapter(parts.model_path):
        parts = parts._replace(model_path=_with_base(parts, logged, folder / "assembled", model_uri))
    modality = inspect_model(parts.model_path).modality
    processor = next((p for p in parts.processor_folders[modality] if p.is_dir() and has_processor(p, modality)), None)
    if processor is None and not has_processor(parts.model_path, modality):
        raise no_processor(modality, model_uri)
    placed = folder / _name(client, parts.model_id)
    shutil.copytree(parts.model_path, placed)
    if processor is not None:
        shutil.copytree(processor, placed, dirs_exist_ok=True)
    return placed


def _with_base(parts: VersionArtifacts, logged: Path, folder: Path, uri: str) -> Path:
    """The adapter with its base, which has to be among the files of the logged model."""
    base = find_base(parts.model_path, within=logged, flavour=parts.flavour, what=uri)
    if base is None:
        return parts.model_path
    if base.folder is None:
        raise InputError(
            "The adapter's base is not among the files of the logged model.",
            got=f"{uri} names {base.uri}",
            next_step="register the version and explain it as models:/NAME/VERSION, or merge the adapter before logging",
        )
    folder.mkdir()
    put_together(parts.model_path, base.folder, base.uri, folder)
    return folder


def _name(client: Any, model_id: str | None) -> str:
    """The logged model's own name, by which its results can be found."""
    name = str(client.get_logged_model(model_id).name or "") if model_id else ""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "model"
