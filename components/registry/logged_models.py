"""A logged model as one folder, as transformers saves it: for models that are evaluated without being a version."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from components.registry.artifacts import read_version_artifacts
from components.registry.downloading import download_model
from components.registry.folders import has_processor, inspect_model, no_processor
from components.registry.places import repository_of
from components.registry.placing import refuse_links
from components.registry.tracking import connect, tracking_errors


def place_logged_model(model_uri: str, folder: Path, tracking_uri: str | None) -> Path:
    """Download the model that `model_uri` names and put weights and tokenizer (or image processor) side by side in `folder`.

    Nothing of the model is run or unpickled.

    Raises:
        InputError: not a transformers classifier with its weights and tokenizer.
        CouldNotRunError: the tracking server or its storage does not answer.
    """
    client, logged = connect(tracking_uri), folder / "logged"
    logged.mkdir(parents=True)
    with tracking_errors(f"download {model_uri}", client.tracking_uri):
        download_model(repository_of(model_uri, client.tracking_uri), logged, model_uri)
    refuse_links(logged, model_uri)
    parts = read_version_artifacts(logged, model_uri)
    modality = inspect_model(parts.model_path).modality
    processor = next((p for p in parts.processor_folders[modality] if p.is_dir() and has_processor(p, modality)), None)
    if processor is None and not has_processor(parts.model_path, modality):
        raise no_processor(modality, model_uri)
    placed = folder / _name(client, parts.model_id)
    shutil.copytree(parts.model_path, placed)
    if processor is not None:
        shutil.copytree(processor, placed, dirs_exist_ok=True)
    return placed


def _name(client: Any, model_id: str | None) -> str:
    """The logged model's own name, by which its results can be found."""
    name = str(client.get_logged_model(model_id).name or "") if model_id else ""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "model"
