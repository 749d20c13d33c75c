"""Inspection of a model folder before anything is built: configuration, headers of the weights, files beside them.

Nothing here needs torch: a folder that cannot be used is refused within milliseconds, whatever its configuration claims.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from calig import adapters
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
#: Data types of weights that gradients pass through, as safetensors and as torch calls them.
_FLOATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class TensorHeader(NamedTuple):
    """Data type (as safetensors calls it) and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class AdapterFile:
    """An adapter as its folder has it: settings, the file of its weights, every tensor's header; and where its base lies."""

    settings: Mapping[str, Any]
    file: Path
    tensors: Mapping[str, TensorHeader]
    base: Path

    @property
    def n_classes(self) -> int | None:
        """Classes of the head that the adapter brings; None: the head is the base's."""
        return adapters.class_count({name: header.shape for name, header in self.tensors.items()})


@dataclass(frozen=True)
class Checkpoint:
    """A folder's weights: the files that hold them, and every tensor's header by its name; of an adapter, those of its base."""

    files: tuple[Path, ...]
    tensors: Mapping[str, TensorHeader]
    adapter: AdapterFile | None = None

    @property
    def stored(self) -> tuple[str, ...]:
        """Data types of the weights as they are saved, `float16` for example, adapter and base together."""
        tensors = [*self.tensors.values(), *(self.adapter.tensors.values() if self.adapter else ())]
        return tuple(sorted({_FLOATS[header.dtype] for header in tensors if header.dtype in _FLOATS}))


def read_checkpoint(folder: Path) -> Checkpoint:
    """The weights of `folder`, as their headers describe them.

    Raises:
        InvalidInputError: the weights are pickled, missing, torn or quantised; config.json cannot be read, names other files or
            attention kernels, or claims more layers or classes than the weights can hold; an adapter without its base.
        UnsupportedModelError: an adapter of a kind that cannot be merged.
    """
    if not adapters.is_adapter(folder):
        return _read_weights(folder)
    adapter = _read_adapter(folder)
    base = _read_weights(adapter.base)
    if (folder / "config.json").is_file():
        settings = read_settings(folder)
        _refuse_foreign_code(settings)
        _check_counts(settings, {**base.tensors, **adapter.tensors})
    return replace(base, adapter=adapter)


def config_folder(folder: Path) -> Path:
    """The folder with the model's config.json: `folder`, or its base's where an adapter comes without one.

    Raises:
        InvalidInputError: the adapter's base is missing, or its settings cannot be read.
    """
    if (folder / "config.json").is_file() or not adapters.is_adapter(folder):
        return folder
    return adapters.base_folder(folder, read_settings(folder, adapters.SETTINGS))


def _read_adapter(folder: Path) -> AdapterFile:
    settings = read_settings(folder, adapters.SETTINGS)
    adapters.check_settings(settings)
    file = folder / adapters.WEIGHTS
    if not file.is_file():
        pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
        raise pickled_weights(pickled, adapters.WEIGHTS) if pickled else _without_weights(folder, adapters.WEIGHTS)
    tensors = _headers(file)
    _refuse_quantised_tensors(tensors)
    base = adapters.base_folder(folder, settings)
    if adapters.is_adapter(base):
        raise InvalidInputError(
            f"The adapter's base is an adapter itself.\ngot: {base}\nallowed: a base with weights of its own"
            "\nnext: merge the base first"
        )
    return AdapterFile(settings, file, tensors, base)


def _read_weights(folder: Path) -> Checkpoint:
    settings = read_settings(folder)
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
            raise InvalidInputError(f"two shards hold the same weights\ngot: {listed(twice)}\nnext: save the model again")
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
    raise _without_weights(folder, _ALLOWED)


def _without_weights(folder: Path, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"The model folder has no weights.\ngot: {folder}\nallowed: {allowed}")


def pickled_weights(names: list[str], allowed: str = _ALLOWED) -> InvalidInputError:
    """The error for weights that only unpickling could read."""
    return InvalidInputError(
        f"The weights are pickled, and unpickling can run any code: refused.\ngot: {listed(names)}\nallowed: {allowed}"
        "\nnext: load them where you trust them and save again with save_pretrained, which writes safetensors"
    )


def refuse_pointers(folder: Path) -> None:
    """InvalidInputError when a file of `folder` is a pointer that Git LFS left in the place of the file itself."""
    pointers = sorted(path.name for path in folder.iterdir() if path.is_file() and _is_pointer(path))
    if pointers:
        raise InvalidInputError(
            f"The folder holds Git LFS pointers instead of files.\ngot: {listed(pointers)}\nnext: run `git lfs pull` in {folder}"
        )


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def read_settings(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """The settings in config.json, or in the file `name`, as they stand; transformers would build the classes that they claim.

    Raises:
        InvalidInputError: there is no such file, or it is no JSON object.
    """
    path = folder / name
    if not path.is_file():
        raise InvalidInputError(f"The model folder has no {name}.\ngot: {folder}\nallowed: a folder written by save_pretrained")
    refuse_pointers(folder)
    if path.stat().st_size > _LARGEST_CONFIG:
        raise InvalidInputError(f"{name} is too large\ngot: {path.stat().st_size} bytes\nallowed: {_LARGEST_CONFIG} bytes")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name} cannot be read\ngot: {str(error)[:200]}\nnext: save the model again") from error
    if not isinstance(settings, dict):
        raise InvalidInputError(f"{name} is not an object\ngot: {type(settings).__name__}\nnext: save the model again")
    return settings


def _refuse_adapter(folder: Path) -> None:
    """transformers applies an adapter that lies beside the weights when peft is installed, and ignores it otherwise."""
    adapter = sorted(path.name for path in folder.glob("adapter_*") if path.suffix in {".json", ".safetensors", ".bin"})
    if adapter:
        raise InvalidInputError(
            "An adapter lies beside the weights: whether it is applied would depend on what is installed."
            f"\ngot: {listed(adapter)}"
            f"\nnext: {adapters.MERGE_IT}, or give the adapter a folder of its own, its base in the subfolder {adapters.BASE}/"
        )


def _refuse_other_weights(folder: Path, settings: Mapping[str, Any]) -> None:
    """transformers would load other files than those that are digested and explained."""
    others = [path.name for path in folder.glob(_DISTRIBUTED)]
    if "transformers_weights" in settings:
        others.append(str(settings["transformers_weights"]))
    if others:
        raise InvalidInputError(
            f"It is not clear which weights are the model's: transformers would load others than {_SINGLE}."
            f"\ngot: {listed(sorted(others))}\nallowed: {_ALLOWED}\nnext: load the model and save it again with save_pretrained"
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
    _refuse_quantised(listed(packed), "tensors")


def _shards(folder: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads((folder / _INDEX).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidInputError(f"The index of the weight shards cannot be read.\ngot: {folder / _INDEX}") from error
    missing = [name for name in names if Path(name).name != name or not (folder / name).is_file()]
    if missing:
        raise InvalidInputError(
            f"Weight shards named in the index are missing.\ngot: {listed(missing)}\nnext: save the model again"
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


def listed(names: list[str]) -> str:
    """The first names, and how many more there are; nothing for none."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
