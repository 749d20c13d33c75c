"""Loading a classifier from a folder: safetensors only, no code from the folder, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from calig.errors import InvalidInputError
from calig.families import family_named

_SAFE = {"local_files_only": True, "trust_remote_code": False}


def load_model(
    folder: str | Path, processor_folder: str | Path | None = None, *, dtype: str = "float32", device: str = "auto"
) -> tuple[Any, Any]:
    """The classifier saved in `folder` and its tokenizer or image processor (from `processor_folder` when it is elsewhere).

    Args:
        folder: has config.json and model.safetensors.
        processor_folder: has the tokenizer's or image processor's files; default: `folder`.
        dtype: float32, float64 or bfloat16.
        device: "cpu", "cuda", or "auto": the GPU when there is one.

    Raises:
        InvalidInputError: the folder cannot be loaded.
        UnsupportedModelError: the model is of an unknown type.
    """
    config = _or_explain(AutoConfig.from_pretrained, folder, "no model configuration")
    text = family_named(config).modality == "text"
    model_class = AutoModelForSequenceClassification if text else AutoModelForImageClassification
    model = _or_explain(model_class.from_pretrained, folder, "the model", use_safetensors=True, dtype=getattr(torch, dtype))
    processor_class = AutoTokenizer if text else AutoImageProcessor
    processor = _or_explain(processor_class.from_pretrained, processor_folder or folder, "the tokenizer or image processor")
    return model.to(resolve_device(device)).eval(), processor


def resolve_device(device: str) -> str:
    """ "auto" resolved to "cuda" or "cpu"."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _or_explain(load: Any, folder: str | Path, what: str, **options: Any) -> Any:
    try:
        return load(Path(folder), **_SAFE, **options)
    except (OSError, ValueError, KeyError) as error:
        raise InvalidInputError(f"cannot load {what} from {folder}\ngot: {str(error)[:300]}") from error
