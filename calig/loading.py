"""The one way in: loading a classifier from a folder, whole or not at all. Safetensors only, no code from the folder, no network.

The weights' headers are compared with the architecture, built on the `meta` device, before anything is allocated.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from transformers import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
)
from transformers.utils import logging as transformers_logging

from calig.checkpoint import Checkpoint, read_checkpoint, refuse_pointers
from calig.errors import InvalidInputError, UnsupportedModelError
from calig.families import family_named

T = TypeVar("T")

_SAFE = {"local_files_only": True, "trust_remote_code": False}
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
_DEVICES = "auto, cpu, cuda, cuda:0, cuda:1, …"
_STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

#: Weights of parts that no classification head of these architectures reads: poolers and heads for pretraining.
_UNREAD = re.compile(
    r"^(?:[a-z_]+\.)?pooler\.|^lm_head\.|^cls\.|^vocab_(?:transform|layer_norm|projector)\.|^(?:discriminator|generator)_\w+\.|^decoder\."
)

#: Prefixes that wrappers put before every name, and how to save what they wrap.
_WRAPPERS = {
    "module.": "save what DataParallel wraps: model.module.save_pretrained(…)",
    "_orig_mod.": "save what torch.compile wraps: model._orig_mod.save_pretrained(…)",
    "base_model.": "merge the adapter first: model.merge_and_unload().save_pretrained(…)",
    "model.": "save the classifier itself, not the training module around it: module.model.save_pretrained(…)",
}


def load_model(
    folder: str | Path, processor_folder: str | Path | None = None, *, dtype: str = "float32", device: str = "auto"
) -> tuple[Any, Any]:
    """The classifier saved in `folder` and its tokenizer or image processor (from `processor_folder` when it is elsewhere).

    Args:
        folder: has config.json and model.safetensors.
        processor_folder: has the tokenizer's or image processor's files; default: `folder`.
        dtype: float32, float64 or bfloat16.
        device: "cpu", "cuda", "cuda:1", or "auto": the GPU when there is one.

    Raises:
        InvalidInputError: the folder cannot be loaded as it was saved: weights are missing, left over, of other shapes, torn,
            quantised or not finite, the tokenizer is empty or another model's; or an unknown dtype or device.
        UnsupportedModelError: the model is of an unknown type.
    """
    if dtype not in _DTYPES:
        raise InvalidInputError(f"unknown dtype\ngot: {dtype!r}\nallowed: {', '.join(_DTYPES)}")
    device = resolve_device(device)
    checkpoint = read_checkpoint(Path(folder))
    family = family_named(load_config(folder))
    model = load_weights(folder, family.modality, checkpoint=checkpoint, dtype=_DTYPES[dtype])
    processor = load_processor(processor_folder or folder, family.modality)
    if family.modality == "text":
        check_vocabulary(processor, model.get_input_embeddings().num_embeddings)
    return model.to(device), processor


def load_config(folder: str | Path) -> Any:
    """The model's configuration.

    Raises:
        InvalidInputError: transformers cannot read it.
    """
    what = "the model's config.json (an unknown model type, code of its own, or a broken file)"
    return _or_explain(AutoConfig.from_pretrained, folder, what)


def load_weights(
    folder: str | Path, modality: str, *, checkpoint: Checkpoint | None = None, dtype: torch.dtype | None = None
) -> Any:
    """The classifier with exactly the weights of the folder's checkpoint, on the CPU, in evaluation mode.

    Args:
        modality: "text" or "image".
        checkpoint: of the folder, when it has been read already.
        dtype: of the parameters; None: as saved.

    Raises:
        InvalidInputError: a weight is missing, left over, of another shape or not finite.
    """
    checkpoint = checkpoint or read_checkpoint(Path(folder))
    check_weights(folder, modality, checkpoint)
    # Copied: tensors of a mapped file would change with the file, and their alignment changes the last digits.
    weights = {name: tensor.clone() for file in checkpoint.files for name, tensor in load_file(file).items()}
    model, info = _built(load_config(folder), modality, weights, dtype=dtype or "auto")
    _refuse_differences(info, folder)
    _refuse_non_finite(model)
    model.name_or_path = model.config.name_or_path = str(folder)  # as from_pretrained does; a hub is asked about nameless models
    return model.eval()


def check_weights(folder: str | Path, modality: str, checkpoint: Checkpoint) -> None:
    """Compare the headers of the weights with the architecture in config.json; nothing of their size is allocated.

    Raises:
        InvalidInputError: a weight is missing, left over or of another shape.
    """
    headers = {
        name: torch.empty(header.shape, dtype=_STORED.get(header.dtype, torch.int64), device="meta")
        for name, header in checkpoint.tensors.items()
    }
    _, info = _built(load_config(folder), modality, headers, device_map="meta", ignore_mismatched_sizes=True)
    _refuse_differences(info, folder)


def load_processor(folder: str | Path, modality: str) -> Any:
    """The tokenizer ("text") or image processor ("image") saved in `folder`.

    Raises:
        InvalidInputError: there is none, it cannot be read, or the tokenizer has no vocabulary.
    """
    what = "tokenizer" if modality == "text" else "image processor"
    if not Path(folder).is_dir():
        raise InvalidInputError(f"the folder of the {what} does not exist\ngot: {folder}")
    refuse_pointers(Path(folder))
    processor = _or_explain((AutoTokenizer if modality == "text" else AutoImageProcessor).from_pretrained, folder, f"the {what}")
    if modality == "text" and not set(processor.get_vocab().values()) - set(processor.all_special_ids):
        raise InvalidInputError(
            f"the tokenizer has no vocabulary: every word would be unknown\ngot: {folder}"
            "\nallowed: a folder with tokenizer.json\nnext: save the tokenizer there: tokenizer.save_pretrained(…)"
        )
    return processor


def check_vocabulary(tokenizer: Any, rows: int) -> None:
    """Refuse a tokenizer that is not the model's: it makes tokens without a row in the embedding, of which there are `rows`.

    Tokens that were added later may never occur; a text in which one does is refused by itself.
    """
    added = set(tokenizer.get_added_vocab().values())
    of_every_text = set(tokenizer("")["input_ids"])
    largest = max((set(tokenizer.get_vocab().values()) - added) | of_every_text, default=0)
    if largest >= rows:
        raise InvalidInputError(
            "the tokenizer is not this model's: it has more tokens than the model has embeddings"
            f"\ngot: token id {largest}\nallowed: 0 … {rows - 1}\nnext: load the tokenizer that the model was trained with"
        )


def resolve_device(device: str) -> str:
    """ "auto" resolved to "cuda" or "cpu"; another name as it is, when this machine has such a device."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise InvalidInputError(f"unknown device\ngot: {device!r}\nallowed: {_DEVICES}")
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise InvalidInputError(f"this machine has no such device\ngot: {device!r}\nallowed: auto, cpu")
    return device


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No progress bars and no report while a model is loaded: what matters of the report is raised."""
    reports = logging.getLogger("transformers.modeling_utils")
    shown, silenced = transformers_logging.is_progress_bar_enabled(), reports.disabled
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    reports.disabled = True
    try:
        yield
    finally:
        reports.disabled = silenced
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _model_class(config: Any, modality: str) -> Any:
    mapping = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING if modality == "text" else MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING
    if type(config) not in mapping:
        raise UnsupportedModelError(f"transformers has no {modality} classifier of this type\ngot: {config.model_type}")
    known = mapping[type(config)]
    classes = known if isinstance(known, tuple) else (known,)
    return next((c for c in classes if c is not None and c.__name__ in (config.architectures or ())), classes[0])


def _built(config: Any, modality: str, state_dict: dict[str, torch.Tensor], **options: Any) -> tuple[Any, dict[str, Any]]:
    """The model with these weights, and where they differ from what it needs; renamed as transformers renames old checkpoints."""
    model_class = _model_class(config, modality)
    try:
        with quiet_loading():
            model, info = model_class.from_pretrained(
                None, config=config, state_dict=state_dict, output_loading_info=True, **_SAFE, **options
            )
    except MemoryError:
        raise
    except Exception as error:  # each model type has its own ways to fail
        raise InvalidInputError(
            f"the model cannot be built from its config.json and weights\ngot: {type(error).__name__}: {str(error)[:300]}"
        ) from error
    return model, info


def _refuse_differences(info: Mapping[str, Any], folder: str | Path) -> None:
    """Every weight that the architecture has is in the checkpoint, in its shape, and no other that could matter."""
    missing = sorted(info["missing_keys"])
    unexpected = sorted(name for name in info["unexpected_keys"] if not _UNREAD.search(name))
    mismatched = sorted(f"{name} {tuple(saved)} for {tuple(needed)}" for name, saved, needed in info["mismatched_keys"])
    if not (missing or unexpected or mismatched or info["error_msgs"]):
        return
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": mismatched, "": list(info["error_msgs"])}
    found = "; ".join(f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names)
    raise InvalidInputError(
        f"The weights in {folder} are not this model's: what is missing would be random.\ngot: {found}"
        f"\nallowed: exactly the weights of the architecture in config.json\nnext: {_way_out(missing, unexpected)}"
    )


def _way_out(missing: list[str], unexpected: list[str]) -> str:
    for prefix, advice in _WRAPPERS.items():
        if missing and unexpected and all(name.startswith(prefix) for name in unexpected):
            return advice
    if any("lora_" in name for name in unexpected):
        return _WRAPPERS["base_model."]
    return "save the fine-tuned classifier again with save_pretrained"


def _refuse_non_finite(model: Any) -> None:
    broken = [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    if broken:
        raise InvalidInputError(f"weights are NaN or infinite\ngot: {_some(broken)}\nnext: export the model again")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _or_explain(load: Callable[..., T], folder: str | Path, what: str) -> T:
    """`load(folder)`; whatever transformers raises becomes an error that says what was being read."""
    try:
        return load(Path(folder), **_SAFE)
    except MemoryError:
        raise
    except Exception as error:  # each type validates its own files, with errors of its own
        raise InvalidInputError(f"transformers cannot read {what}\ngot: {folder}: {str(error)[:300]}") from error
