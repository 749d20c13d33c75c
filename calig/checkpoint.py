"""Inspection of a model folder before anything is built: configuration, headers of the weights, files beside them.

Nothing here needs torch: a folder that cannot be used is refused within milliseconds, whatever its configuration claims.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from calig.errors import InvalidInputError

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_ALLOWED = f"{_SINGLE}, or shards with {_INDEX}"

#: Git LFS leaves a text that begins so where it did not bring the file.
_POINTER = b"version https://git-lfs"

#: The largest config.json: 21,000 class names take 1 MB.
_LARGEST_CONFIG = 10_000_000

#: Blocks may share their weights (ALBERT): so many are allowed however few tensors there are.
_SHARED_BLOCKS = 256

#: Longest input that a configuration may claim: models make tables of this length when they are built.
_LONGEST_INPUT = 2**24

#: Keys that say how many classes there are.
_CLASSES = frozenset({"num_labels", "id2label", "label2id"})

#: Files that transformers prefers to model.safetensors.
_DISTRIBUTED = "shard-*-model-*-of-*.safetensors"

#: Ends of tensor names that only quantised checkpoints have.
_QUANTISED = re.compile(
    r"\.(absmax|quant_map|nested_absmax|quant_state\..*|SCB|weight_format|qweight|qzeros|g_idx|weight_scale)$"
)
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


class TensorHeader(NamedTuple):
    """Data type (as safetensors calls it) and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Checkpoint:
    """A folder's weights: the files that hold them, and every tensor's header by its name."""

    files: tuple[Path, ...]
    tensors: Mapping[str, TensorHeader]


def read_checkpoint(folder: Path) -> Checkpoint:
    """The weights of `folder`, as their headers describe them.

    Raises:
        InvalidInputError: the weights are pickled, missing, torn, quantised or an adapter's; config.json cannot be read, names
            other files or attention kernels, or claims more layers or classes than the weights can hold.
    """
    settings = _settings(folder)
    _refuse_adapter(folder)
    _refuse_other_weights(folder, settings)
    _refuse_foreign_code(settings)
    _refuse_quantised(settings.get("quantization_config"), "quantization_config in config.json")
    files = tuple(file for file in weight_files(folder) if file.name != _INDEX)
    tensors: dict[str, TensorHeader] = {}
    for file in files:
        headers = _headers(file)
        twice = sorted(tensors.keys() & headers.keys())
        if twice:
            raise InvalidInputError(f"two shards hold the same weights\ngot: {_some(twice)}\nnext: save the model again")
        tensors |= headers
    _refuse_quantised_tensors(tensors)
    _check_counts(settings, tensors)
    return Checkpoint(files, tensors)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of `folder`, the index of the shards first.

    Raises:
        InvalidInputError: there are none, they are pickled, or a shard is missing.
    """
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    if (folder / _INDEX).is_file():
        return [folder / _INDEX, *_shards(folder)]
    pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
    if pickled:
        raise pickled_weights(pickled)
    raise InvalidInputError(f"The model folder has no weights.\ngot: {folder}\nallowed: {_ALLOWED}")


def pickled_weights(names: list[str]) -> InvalidInputError:
    """The error for weights that only unpickling could read."""
    return InvalidInputError(
        f"The weights are pickled, and unpickling can run any code: refused.\ngot: {_some(names)}\nallowed: {_ALLOWED}"
        "\nnext: load them where you trust them and save again with save_pretrained, which writes safetensors"
    )


def refuse_pointers(folder: Path) -> None:
    """InvalidInputError when a file of `folder` is a pointer that Git LFS left in the place of the file itself."""
    pointers = sorted(path.name for path in folder.iterdir() if path.is_file() and _is_pointer(path))
    if pointers:
        raise InvalidInputError(
            f"The folder holds Git LFS pointers instead of files.\ngot: {_some(pointers)}\nnext: run `git lfs pull` in {folder}"
        )


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def _settings(folder: Path) -> dict[str, Any]:
    """config.json as it stands; transformers would build the classes that it claims, and their names."""
    path = folder / "config.json"
    if not path.is_file():
        raise InvalidInputError(
            f"The model folder has no config.json.\ngot: {folder}\nallowed: a folder written by save_pretrained"
        )
    refuse_pointers(folder)
    if path.stat().st_size > _LARGEST_CONFIG:
        raise InvalidInputError(f"config.json is too large\ngot: {path.stat().st_size} bytes\nallowed: {_LARGEST_CONFIG} bytes")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"config.json cannot be read\ngot: {str(error)[:200]}\nnext: save the model again") from error
    if not isinstance(settings, dict):
        raise InvalidInputError(f"config.json is not an object\ngot: {type(settings).__name__}\nnext: save the model again")
    return settings


def _refuse_adapter(folder: Path) -> None:
    """transformers applies an adapter that lies beside the weights when peft is installed, and ignores it otherwise."""
    adapter = sorted(path.name for path in folder.glob("adapter_*") if path.suffix in {".json", ".safetensors", ".bin"})
    if adapter:
        raise InvalidInputError(
            "An adapter lies beside the weights: whether it is applied would depend on what is installed."
            f"\ngot: {_some(adapter)}"
            "\nnext: merge it (model.merge_and_unload()) and save the result with save_pretrained, or move the adapter elsewhere"
        )


def _refuse_other_weights(folder: Path, settings: Mapping[str, Any]) -> None:
    """transformers would load other files than those that are digested and explained."""
    others = [path.name for path in folder.glob(_DISTRIBUTED)]
    if "transformers_weights" in settings:
        others.append(str(settings["transformers_weights"]))
    if others:
        raise InvalidInputError(
            f"It is not clear which weights are the model's: transformers would load others than {_SINGLE}."
            f"\ngot: {_some(sorted(others))}\nallowed: {_ALLOWED}\nnext: load the model and save it again with save_pretrained"
        )


def _refuse_foreign_code(settings: Mapping[str, Any]) -> None:
    """transformers would fetch an attention implementation that is named like a repository from the hub, and run it."""
    named = [value for key, value in settings.items() if "attn_implementation" in key]
    if any("/" in json.dumps(value) for value in named):
        raise InvalidInputError(
            "The model's config.json names attention kernels from elsewhere, which would run code: refused."
            f"\ngot: {str(named[0])[:200]}\nnext: remove attn_implementation from config.json"
        )


def _refuse_quantised(found: object, where: str) -> None:
    if found:
        raise InvalidInputError(
            "The checkpoint is quantised: gradients do not pass through its weights, so it cannot be attributed."
            f"\ngot: {where}: {str(found)[:150]}\nallowed: weights in {', '.join(sorted(_FLOATS))}"
            "\nnext: explain the model before quantisation, or dequantise it and save it with save_pretrained"
        )


def _refuse_quantised_tensors(tensors: Mapping[str, TensorHeader]) -> None:
    """Buffers may hold integers; the weights of a layer are floating-point numbers, or they would be read as such."""
    packed = [
        f"{name} ({header.dtype})"
        for name, header in tensors.items()
        if _QUANTISED.search(name)
        or header.dtype.startswith(("F8_", "F6_", "F4"))
        or (name.endswith("weight") and header.dtype not in _FLOATS)
    ]
    _refuse_quantised(_some(packed), "tensors")


def _shards(folder: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidInputError(f"The index of the weight shards cannot be read.\ngot: {folder / _INDEX}") from error
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise InvalidInputError(
            f"Weight shards named in the index are missing.\ngot: {_some(missing)}\nnext: save the model again"
        )
    return [folder / name for name in names]


def _headers(file: Path) -> dict[str, TensorHeader]:
    """Every tensor's header; safetensors checks that the file is as long as its header says."""
    try:
        with safe_open(file, framework="np") as opened:
            slices = ((name, opened.get_slice(name)) for name in opened.keys())  # noqa: SIM118 - no mapping
            return {name: TensorHeader(part.get_dtype(), tuple(part.get_shape())) for name, part in slices}
    except (SafetensorError, OSError) as error:
        raise InvalidInputError(
            f"The weights cannot be read: {file.name} is torn or no safetensors file."
            f"\ngot: {file.stat().st_size} bytes; {str(error)[:200]}\nnext: copy or download the file again"
        ) from error


def _check_counts(settings: Mapping[str, Any], tensors: Mapping[str, TensorHeader]) -> None:
    """Counts that building the model takes time and memory for must be ones that the weights can bear out."""
    classes = max((header.shape[0] for header in tensors.values() if header.shape), default=0)
    layers = max(len(tensors), _SHARED_BLOCKS)
    for key, count in _counts(settings):
        limit = _limit_of(key, classes=classes, layers=layers)
        if limit is not None and count > limit:
            raise InvalidInputError(
                f"config.json does not fit the weights: {key} is larger than they can hold\ngot: {count}"
                f"\nallowed: at most {limit}, by the {len(tensors)} tensors in the weights' headers\nnext: mend config.json"
            )


def _counts(settings: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Every whole number of the configuration by its key, and how many entries its lists and tables have."""
    for key, value in settings.items():
        if isinstance(value, dict | list):
            yield key, len(value)
        if isinstance(value, dict) and key not in _CLASSES:
            yield from _counts(value)
        if isinstance(value, int):
            yield key, value


def _limit_of(key: str, *, classes: int, layers: int) -> int | None:
    """The largest count that the key may have; None: it costs nothing."""
    if key in _CLASSES:
        return classes
    if re.search("layer|group|block|depth", key):
        return layers
    return _LONGEST_INPUT if re.search("position|ctx", key) else None


def _some(names: list[str]) -> str:
    """The first names, and how many more there are; nothing for none."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
