"""Inspection of a saved transformers folder: accepted or refused with a reason, its labels and digests. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

from calig.adapters import BASE, SETTINGS, WEIGHTS
from calig.checkpoint import config_folder, read_checkpoint, read_settings, weight_files
from components.common.errors import InputError, engine_errors, is_panic
from components.common.file_digests import file_digest
from schemas.base import digest_of
from schemas.release import AdapterRecord, ProblemType

Modality = Literal["text", "image"]

ACCEPTED = "encoder or decoder-only models with a ...ForSequenceClassification or ...ForImageClassification head"
#: File patterns of tokenizers and of image processors.
PROCESSOR_FILES: dict[Modality, tuple[str, ...]] = {
    "text": ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model", "bpe.codes"),
    "image": ("preprocessor_config.json", "processor_config.json"),
}
#: Where the address of an adapter's base is noted, in a folder in which both were put together.
ORIGIN = "base.origin"
_HEADS: dict[str, Modality] = {"ForSequenceClassification": "text", "ForImageClassification": "image"}


class ModelFolder(NamedTuple):
    """What the folder's files say about the model."""

    model_type: str
    modality: Modality
    labels: tuple[str, ...]
    problem_type: ProblemType
    weights_digest: str
    stored_precision: tuple[str, ...]
    adapter: AdapterRecord | None


def inspect_model(folder: Path) -> ModelFolder:
    """Read what a snapshot needs from a folder saved by `save_pretrained`.

    The digest covers every file that can change a logit: the weights with their index, and config.json; of an adapter these of
    its base too. Whatever else could (weights in another layout, attention kernels from elsewhere) is refused.

    Raises:
        InputError: generative, encoder-decoder or unknown model; pickled, missing, torn or quantised weights, or others than the
            architecture in config.json has.
    """
    from calig.loading import check_weights, load_config

    with engine_errors():
        checkpoint = read_checkpoint(folder)
        config = load_config(folder)
        modality = _modality(config, folder)
        labels = _labels(config, folder)
        check_weights(folder, modality, checkpoint)
        adapter = None if checkpoint.adapter is None else _adapter_record(folder, checkpoint.adapter.base)
        weights = digest_of([adapter.digest, adapter.base_digest]) if adapter else _digest(base_files(folder))
    return ModelFolder(config.model_type, modality, labels, _problem_type(config, labels), weights, checkpoint.stored, adapter)


def model_settings(folder: Path) -> dict[str, Any]:
    """config.json of the model in `folder`, of an adapter without one its base's."""
    with engine_errors():
        return read_settings(config_folder(folder))


def own_files(adapter: Path) -> list[Path]:
    """The files of an adapter itself that can change a logit."""
    return [path for path in (adapter / SETTINGS, adapter / WEIGHTS, adapter / "config.json") if path.is_file()]


def base_files(base: Path) -> list[Path]:
    """The files of a whole model that can change a logit.

    Raises:
        InputError: it has no weights, or pickled ones.
    """
    with engine_errors():
        return [*weight_files(base), base / "config.json"]


def is_processor_file(name: str) -> bool:
    """Whether a file of this name belongs to a tokenizer or image processor."""
    return any(fnmatch(name, pattern) for patterns in PROCESSOR_FILES.values() for pattern in patterns)


def _adapter_record(folder: Path, base: Path) -> AdapterRecord:
    kind, noted = str(read_settings(folder, SETTINGS)["peft_type"]), folder / ORIGIN
    origin = noted.read_text(encoding="utf-8") if noted.is_file() else BASE
    return AdapterRecord(kind=kind, digest=_digest(own_files(folder)), base_uri=origin, base_digest=_digest(base_files(base)))


def has_processor(folder: Path, modality: Modality) -> bool:
    """Whether the folder holds a tokenizer (text) or an image processor (image)."""
    return any(_processor_files(folder, modality))


def check_processor(folder: Path, modality: Modality) -> None:
    """Raise InputError for a tokenizer that the installed library cannot read, which would be said late and in its own words."""
    path = folder / "tokenizer.json"
    if modality != "text" or not path.is_file():
        return
    import tokenizers

    try:
        tokenizers.Tokenizer.from_file(str(path))
    except BaseException as error:  # the library raises bare Exceptions, and panics, which are none
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        raise InputError(
            "The tokenizer cannot be read: the file is broken, or a newer version of tokenizers wrote it.",
            got=f"{path}: {error}",
            allowed=f"what tokenizers {tokenizers.__version__} reads",
            next_step="save it again with the installed versions of tokenizers and transformers, or install newer ones",
        ) from error


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


def _problem_type(config: Any, labels: tuple[str, ...]) -> ProblemType:
    """As config.json says; transformers takes a model with one output for a regression where it says nothing."""
    given = getattr(config, "problem_type", None)
    if given in get_args(ProblemType):
        return cast("ProblemType", given)
    return "regression" if len(labels) == 1 else "single_label_classification"


def _processor_files(folder: Path, modality: Modality) -> list[Path]:
    patterns = PROCESSOR_FILES[modality]
    return [path for path in folder.iterdir() if path.is_file() and any(fnmatch(path.name, pattern) for pattern in patterns)]


def _digest(files: Iterable[Path]) -> str:
    """SHA-256 over name and SHA-256 of each file, whatever their order; files are streamed."""
    return digest_of({path.name: file_digest(path) for path in files})
