"""Records of fetched models for tests that have a folder and need what `registry.fetch` would return."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from schemas.release import ModelSnapshot, ModelSource


def snapshot_of(folder: Path) -> ModelSnapshot:
    """The snapshot of the model saved in `folder`, its digests computed from the files."""
    config = json.loads((folder / "config.json").read_text())
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes() + (folder / "config.json").read_bytes()).hexdigest()
    names = config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})  # transformers leaves its defaults out of the file
    labels = tuple(names[index] for index in sorted(names, key=int))
    return ModelSnapshot(
        name=folder.name,
        version=weights[:12],
        source=ModelSource.FOLDER,
        uri=str(folder),
        model_path=folder,
        processor_path=folder,
        weights_digest=weights,
        processor_digest="0" * 64,
        model_type=config["model_type"],
        modality="image" if {"patch_size", "vision_config"} & config.keys() else "text",
        labels=labels,
        problem_type=config.get("problem_type") or ("regression" if len(labels) == 1 else "single_label_classification"),
    )
