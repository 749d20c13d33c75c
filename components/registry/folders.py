"""What a saved transformers folder holds: accepted or refused with a reason, its labels and its digests. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple

from components.errors import InputError
from schemas.base import digest_of

Modality = Literal["text", "image"]

ACCEPTED = "encoder or decoder-only models with a ...ForSequenceClassification or ...ForImageClassification head"
#: File patterns of tokenizers and of image processors.
PROCESSOR_FILES: dict[Modality, tuple[str, ...]] = {
    "text": ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model", "bpe.codes"),
    "image": ("preprocessor_config.json", "processor_config.json"),
}
_HEADS: dict[str, Modality] = {"ForSequenceClassification": "text", "ForImageClassification": "image"}
_INDEX = "model.safetensors.index.json"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")


class ModelFolder(NamedTuple):
    """What the folder's files say about the model."""

    model_type: str
    modality: Modality
    labels: tuple[str, ...]
    weights_digest: str


def inspect_model(folder: Path) -> ModelFolder:
    """Read what a snapshot needs from a folder saved by `save_pretrained`.

    Raises:
        InputError: generative, encoder-decoder or unknown model; pickled, missing or incomplete weights.
    """
    config = _config(folder)
    modality = _modality(config, folder)
    weights = _weight_files(folder)
    return ModelFolder(config.model_type, modality, _labels(config, folder), _digest([*weights, folder / "config.json"]))


def has_processor(folder: Path, modality: Modality) -> bool:
    """Whether the folder holds a tokenizer (text) or an image processor (image)."""
    return any(_processor_files(folder, modality))


def processor_digest(folder: Path, modality: Modality) -> str:
    """SHA-256 over the names and contents of the tokenizer or image processor files."""
    return _digest(_processor_files(folder, modality))


def no_processor(modality: Modality, where: object) -> InputError:
    """The error for a model that came without its tokenizer or image processor."""
    part = "tokenizer" if modality == "text" else "image processor"
    logged = f"transformers_model={{'model': ..., '{part.replace(' ', '_')}': ...}}"
    return InputError(
        f"The model has no {part}, so its inputs cannot be rebuilt.",
        got=where,
        next_step=f"log it with {logged}, or save it into the model's folder with save_pretrained",
    )


def _refuse_foreign_kernels(folder: Path) -> None:
    """transformers would fetch an attention implementation that is named like a repository from the hub, and run it."""
    try:
        stated = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        return  # said below, in transformers' words
    named = [value for key, value in stated.items() if "attn_implementation" in key] if isinstance(stated, dict) else []
    if any("/" in json.dumps(value) for value in named):
        raise InputError(
            "The model's config.json names attention kernels from elsewhere, which would run code: refused.",
            got=named[0],
            next_step="remove attn_implementation from config.json",
        )


def _config(folder: Path) -> Any:
    from transformers import AutoConfig

    if not (folder / "config.json").is_file():
        raise InputError("The model folder has no config.json.", got=folder, allowed="a folder written by save_pretrained")
    _refuse_foreign_kernels(folder)
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # each model type validates its own fields, with errors of its own
        raise InputError(
            "transformers cannot read the model's config.json (an unknown model type, code of its own, or a broken file).",
            got=f"{folder}: {error}",
            allowed=ACCEPTED,
        ) from error


def _modality(config: Any, folder: Path) -> Modality:
    architecture = (config.architectures or ["none named in config.json"])[0]
    kind = _refused_kind(config, architecture)
    if kind is not None:
        raise InputError(f"This is {kind}; it cannot be explained.", got=f"{architecture} in {folder}", allowed=ACCEPTED)
    return next(modality for head, modality in _HEADS.items() if architecture.endswith(head))


def _refused_kind(config: Any, architecture: str) -> str | None:
    if getattr(config, "is_encoder_decoder", False):
        return "an encoder-decoder model"
    if architecture.endswith(tuple(_HEADS)):
        return None
    if architecture.endswith(("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")):
        return "a generative model"
    return "not a classifier"


def _labels(config: Any, folder: Path) -> tuple[str, ...]:
    by_id = {int(index): str(label) for index, label in config.id2label.items()}
    labels = tuple(by_id[index] for index in sorted(by_id))
    if sorted(by_id) != list(range(len(by_id))) or not labels:
        raise InputError(
            "The ids in id2label of config.json are not 0, 1, 2, ...", got=sorted(by_id), next_step=f"mend {folder}/config.json"
        )
    if len(set(labels)) < len(labels):
        raise InputError(
            "Two classes of the model have the same name.",
            got=", ".join(labels),
            next_step="give each id in id2label its own name",
        )
    stated = {str(label): int(index) for label, index in config.label2id.items()}
    contrary = [label for index, label in enumerate(labels) if stated.get(label, index) != index]
    if contrary:  # names of other classes are common there and harmless
        raise InputError(
            "id2label and label2id of config.json give one class two ids.",
            got=", ".join(f"{label}: {labels.index(label)} and {stated[label]}" for label in contrary),
            next_step=f"find out in which order the model was trained, and mend {folder}/config.json",
        )
    return labels


def _weight_files(folder: Path) -> list[Path]:
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if (folder / _INDEX).is_file():
        return [folder / _INDEX, *_shards(folder)]
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise InputError(
            "The weights are pickled, and unpickling can run any code: refused.",
            got=", ".join(pickled),
            allowed="model.safetensors, or shards with model.safetensors.index.json",
            next_step="load them where you trust them and save again with save_pretrained, which writes safetensors",
        )
    raise InputError(
        "The model folder has no weights.", got=folder, allowed="model.safetensors, or shards with model.safetensors.index.json"
    )


def _shards(folder: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError("The index of the weight shards cannot be read.", got=folder / _INDEX) from error
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise InputError(
            "Weight shards named in the index are missing.", got=", ".join(missing), next_step="save the model again"
        )
    return [folder / name for name in names]


def _processor_files(folder: Path, modality: Modality) -> list[Path]:
    patterns = PROCESSOR_FILES[modality]
    return [path for path in folder.iterdir() if path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns)]


def _digest(files: Iterable[Path]) -> str:
    """SHA-256 over name and SHA-256 of each file, whatever their order; files are streamed."""
    return digest_of({path.name: _file_digest(path) for path in files})


def _file_digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
