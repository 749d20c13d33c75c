"""The one way in: loading a classifier from a folder, whole or not at all. Safetensors only, no code from the folder, no network.

The weights' headers are compared with the architecture, built on the `meta` device, before anything is allocated.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
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

from calig import adapters
from calig.checkpoint import AdapterFile, Checkpoint, config_folder, listed, read_checkpoint, refuse_pointers
from calig.errors import InvalidInputError, UnsupportedModelError
from calig.families import family_named
from calig.inputs import require_offsets

T = TypeVar("T")

_LOG = logging.getLogger("calig.loading")

_SAFE = {"local_files_only": True, "trust_remote_code": False}
_DTYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
_DEVICES = "auto, cpu, cuda, cuda:0, cuda:1, …"
_STORED = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

#: Weights of parts that no classification head of these architectures reads: poolers and heads for pretraining.
_UNREAD = re.compile(
    r"^(?:[a-z_]+\.)?pooler\.|^lm_head\.|^cls\.|^vocab_(?:transform|layer_norm|projector)\.|^(?:discriminator|generator)_\w+\.|^decoder\."
)

#: Weights of a classification head, with a row per class.
_HEAD = re.compile(r"^(?:classifier|score|classifier\.out_proj|cls_classifier|distillation_classifier)\.(?:weight|bias) ")

#: Prefixes that wrappers put before every name, and how to save what they wrap.
_WRAPPERS = {
    "module.": "save what DataParallel wraps: model.module.save_pretrained(…)",
    "_orig_mod.": "save what torch.compile wraps: model._orig_mod.save_pretrained(…)",
    "base_model.": "save the adapter by itself (model.save_pretrained), or merge it: model.merge_and_unload().save_pretrained(…)",
    "model.": "save the classifier itself, not the training module around it: module.model.save_pretrained(…)",
}


def load_model(
    folder: str | Path, processor_folder: str | Path | None = None, *, dtype: str = "float32", device: str = "auto"
) -> tuple[Any, Any]:
    """The classifier saved in `folder` and its tokenizer or image processor (from `processor_folder` when it is elsewhere).

    An adapter of PEFT (LoRA, LoHa, LoKr, (IA)³) is merged into its base, in memory; nothing is downloaded.

    Args:
        folder: has config.json and model.safetensors; or adapter_config.json and adapter_model.safetensors, with the base in its
            subfolder `base` or at the path that adapter_config.json names.
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
    _say_precision(checkpoint, dtype)
    processor = load_processor(processor_folder or _processor_folder(Path(folder), checkpoint), family.modality)
    if family.modality == "text":
        check_vocabulary(processor, model.get_input_embeddings().num_embeddings)
    return model.to(device), processor


def load_config(folder: str | Path) -> Any:
    """The model's configuration; an adapter's is its own where it has one, else its base's, with the classes of its head.

    Raises:
        InvalidInputError: transformers cannot read it, or it names other classes than an adapter's head has.
    """
    what = "the model's config.json (an unknown model type, code of its own, or a broken file)"
    config = _or_explain(AutoConfig.from_pretrained, config_folder(Path(folder)), what)
    if adapters.is_adapter(Path(folder)):
        _fit_adapter(config, read_checkpoint(Path(folder)).adapter, named=(Path(folder) / "config.json").is_file())
    return config


def load_weights(
    folder: str | Path, modality: str, *, checkpoint: Checkpoint | None = None, dtype: torch.dtype | None = None
) -> Any:
    """The classifier with exactly the weights of the folder's checkpoint, on the CPU, in evaluation mode; an adapter merged.

    Args:
        modality: "text" or "image".
        checkpoint: of the folder, when it has been read already.
        dtype: of the parameters; None: as saved, of an adapter as its base is saved.

    Raises:
        InvalidInputError: a weight is missing, left over, of another shape or not finite.
    """
    checkpoint = checkpoint or read_checkpoint(Path(folder))
    check_weights(folder, modality, checkpoint)
    # Copied: tensors of a mapped file would change with the file, and their alignment changes the last digits.
    weights = {name: tensor.clone() for file in checkpoint.files for name, tensor in load_file(file).items()}
    model, info = _built(load_config(folder), modality, _of_base(weights, checkpoint.adapter), dtype=dtype or "auto")
    _refuse_differences(info, folder, checkpoint.adapter)
    if checkpoint.adapter is not None:
        learned = {name: tensor.to(model.dtype, copy=True) for name, tensor in load_file(checkpoint.adapter.file).items()}
        model = adapters.merge(adapters.wrap(model, checkpoint.adapter.settings), learned)
    _refuse_non_finite(model)
    model.name_or_path = model.config.name_or_path = str(folder)  # as from_pretrained does; a hub is asked about nameless models
    return model.eval()


def check_weights(folder: str | Path, modality: str, checkpoint: Checkpoint) -> None:
    """Compare the headers of the weights with the architecture in config.json, and an adapter's with what its settings make in
    it; nothing of their size is allocated.

    Raises:
        InvalidInputError: a weight is missing, left over or of another shape.
    """
    headers = {
        name: torch.empty(header.shape, dtype=_STORED.get(header.dtype, torch.int64), device="meta")
        for name, header in checkpoint.tensors.items()
    }
    headers = _of_base(headers, checkpoint.adapter)
    model, info = _built(load_config(folder), modality, headers, device_map="meta", ignore_mismatched_sizes=True)
    _refuse_differences(info, folder, checkpoint.adapter)
    if checkpoint.adapter is not None:
        _check_adapter(model, checkpoint.adapter)


def load_processor(folder: str | Path, modality: str) -> Any:
    """The tokenizer ("text") or image processor ("image") saved in `folder`.

    Raises:
        InvalidInputError: there is none, it cannot be read, or the tokenizer has no vocabulary or does not say which characters a
            token covers.
    """
    what = "tokenizer" if modality == "text" else "image processor"
    if not Path(folder).is_dir():
        raise InvalidInputError(f"the folder of the {what} does not exist\ngot: {folder}")
    refuse_pointers(Path(folder))
    _refuse_unconverted(Path(folder), modality)
    processor = _or_explain((AutoTokenizer if modality == "text" else AutoImageProcessor).from_pretrained, folder, f"the {what}")
    if modality == "text":
        require_offsets(processor)
    if modality == "text" and not set(processor.get_vocab().values()) - set(processor.all_special_ids):
        raise InvalidInputError(
            f"the tokenizer has no vocabulary: every word would be unknown\ngot: {folder}"
            "\nallowed: a folder with tokenizer.json\nnext: save the tokenizer there: tokenizer.save_pretrained(…)"
        )
    return processor


def _refuse_unconverted(folder: Path, modality: str) -> None:
    """A SentencePiece model alone can only be converted by the library of that name, which transformers asks for in riddles."""
    alone = [path.name for path in folder.glob("*.model")]
    if modality == "text" and alone and not (folder / "tokenizer.json").is_file() and find_spec("sentencepiece") is None:
        raise InvalidInputError(
            f"The tokenizer is only there as a SentencePiece model, which has to be converted first.\ngot: {listed(alone)}"
            "\nallowed: a folder with tokenizer.json"
            f"\nnext: where sentencepiece and protobuf are installed: AutoTokenizer.from_pretrained({str(folder)!r})"
            f".save_pretrained({str(folder)!r})"
        )


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


def _fit_adapter(config: Any, adapter: AdapterFile | None, *, named: bool) -> None:
    """Give `config` the architecture and the number of classes of the adapter; `named`: its classes are stated beside it."""
    if adapter is None:
        return
    if adapter.settings.get("task_type") == "SEQ_CLS":
        config.architectures = [_model_class(config, "text").__name__]
    if adapter.n_classes is None or adapter.n_classes == config.num_labels:
        return
    if named:
        raise InvalidInputError(
            f"The adapter's config.json names other classes than its head has\ngot: {config.num_labels} in id2label"
            f"\nallowed: {adapter.n_classes}\nnext: give every class its name in id2label"
        )
    config.num_labels = adapter.n_classes  # the base's classes are another task's: LABEL_0, …, as transformers names them


def _of_base(tensors: dict[str, torch.Tensor], adapter: AdapterFile | None) -> dict[str, torch.Tensor]:
    """What the model is built from before an adapter is merged: by the names of its base, without what the adapter replaces."""
    if adapter is None:
        return tensors
    replaced = adapters.replaced_weights(adapter.tensors)
    named = {adapters.base_name(name): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in named.items() if name is not None and name not in replaced}


def _check_adapter(model: Any, adapter: AdapterFile) -> None:
    """The adapter's file has exactly the tensors that its settings ask for in this base, in their shapes."""
    needed = adapters.expected_tensors(adapters.wrap(model, adapter.settings))
    found = {name: header.shape for name, header in adapter.tensors.items()}
    kinds = {
        "missing": sorted(needed.keys() - found.keys()),
        "unexpected": sorted(found.keys() - needed.keys()),
        "of another shape": sorted(
            f"{name} {found[name]} for {needed[name]}" for name in needed.keys() & found.keys() if found[name] != needed[name]
        ),
    }
    if any(kinds.values()):
        raise InvalidInputError(
            f"The adapter is not one for this base: what is missing would be random.\ngot: {_listed(kinds)}"
            f"\nallowed: exactly the weights that {adapters.SETTINGS} describes, in the base {adapter.base}"
            f"\nnext: name the base that it was trained on, or {adapters.MERGE_IT}"
        )


def _processor_folder(folder: Path, checkpoint: Checkpoint) -> Path:
    """The folder itself; of an adapter that came without tokenizer or image processor its base, whose it is then."""
    own = [name for pattern in ("tokenizer*", "*processor_config.json") for name in folder.glob(pattern)]
    return folder if checkpoint.adapter is None or own else checkpoint.adapter.base


def _say_precision(checkpoint: Checkpoint, dtype: str) -> None:
    if checkpoint.stored and checkpoint.stored != (dtype,):
        _LOG.info("weights saved in %s are computed in %s", " and ".join(checkpoint.stored), dtype)


def _refuse_differences(info: Mapping[str, Any], folder: str | Path, adapter: AdapterFile | None = None) -> None:
    """Every weight that the architecture has is in the checkpoint, in its shape, and no other that could matter; those that an
    adapter brings need not be in its base."""
    brought = adapters.replaced_weights(adapter.tensors) if adapter else set()
    missing = sorted(set(info["missing_keys"]) - brought)
    unexpected = sorted(name for name in info["unexpected_keys"] if not _UNREAD.search(name))
    mismatched = sorted(f"{name} {tuple(saved)} for {tuple(needed)}" for name, saved, needed in info["mismatched_keys"])
    if not (missing or unexpected or mismatched or info["error_msgs"]):
        return
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": mismatched, "": list(info["error_msgs"])}
    raise InvalidInputError(
        f"The weights in {folder} are not this model's: what is missing would be random.\ngot: {_listed(kinds)}"
        f"\nallowed: exactly the weights of the architecture in config.json\nnext: {_way_out(missing, unexpected, mismatched)}"
    )


def _listed(kinds: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names)


def _way_out(missing: list[str], unexpected: list[str], mismatched: list[str]) -> str:
    if mismatched and not (missing or unexpected) and all(_HEAD.search(name) for name in mismatched):
        return "give id2label in config.json one name for each class that the head has"
    for prefix, advice in _WRAPPERS.items():
        if missing and unexpected and all(name.startswith(prefix) for name in unexpected):
            return advice
    if any("lora_" in name for name in unexpected):
        return _WRAPPERS["base_model."]
    return "save the fine-tuned classifier again with save_pretrained"


def _refuse_non_finite(model: Any) -> None:
    broken = [name for name, weight in model.named_parameters() if not bool(weight.isfinite().all())]
    if broken:
        raise InvalidInputError(f"weights are NaN or infinite\ngot: {listed(broken)}\nnext: export the model again")


def _or_explain(load: Callable[..., T], folder: str | Path, what: str) -> T:
    """`load(folder)`; whatever transformers raises becomes an error that says what was being read."""
    try:
        return load(Path(folder), **_SAFE)
    except MemoryError:
        raise
    except Exception as error:  # each type validates its own files, with errors of its own
        raise InvalidInputError(f"transformers cannot read {what}\ngot: {folder}: {str(error)[:300]}") from error
