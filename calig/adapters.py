"""Adapters of PEFT, such as LoRA: which are accepted, and the merging into their base, for folders and for models in memory.

A merged model has the architecture of its base, so that nothing else in the engine knows of adapters. PEFT itself is an extra,
imported only where one is merged.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from calig.errors import InvalidInputError, UnsupportedModelError

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
#: The subfolder of an adapter's folder that holds its base, if it is there.
BASE = "base"
MERGE_IT = "merge it where you trained it (model.merge_and_unload()) and save the result with save_pretrained"
_INSTALL = "pip install 'calig[peft]'"

#: Kinds that are tested here: after merging, the base's own layers hold all that was learned.
_KINDS = ("LORA", "LOHA", "LOKR", "IA3")
_TASKS = (None, "SEQ_CLS")

#: Settings that say which matrices an adapter changes and how. PEFT has others that import modules, unpickle caches, change the
#: base itself or act on some tokens alone: they have to be at their defaults.
_UNDERSTOOD = frozenset(
    (
        *("peft_type", "task_type", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "peft_version"),
        *("target_modules", "exclude_modules", "modules_to_save", "layers_to_transform", "layers_pattern", "rank_pattern"),
        *("alpha_pattern", "r", "alpha", "lora_alpha", "lora_dropout", "fan_in_fan_out", "bias", "lora_bias", "use_rslora"),
        *("use_dora", "rank_dropout", "module_dropout", "use_effective_conv2d", "decompose_both", "decompose_factor"),
        *("rank_dropout_scale", "feedforward_modules", "init_lora_weights", "init_weights", "init_ia3_weights"),
    )
)
_DEFAULTS: dict[str, object] = {"megatron_core": "megatron.core", "qalora_group_size": 16}

#: Ways to begin training that leave the base as it is; the others (PiSSA, OLoRA, CorDA, LoftQ) subtract from its matrices.
_HARMLESS_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")

#: Patterns are searched for in the names of all modules: without repeated groups and with few repetitions they take no time.
_LONGEST_PATTERN, _MOST_REPETITIONS = 300, 6

#: Modules whose rows are the classes, where classification heads keep them.
_CLASS_ROWS = re.compile(r"(?:^|\.)(?:score|classifier|classifier\.out_proj)\.weight$")
_PREFIX = "base_model.model."


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter and no model of its own."""
    return (folder / SETTINGS).is_file() and not any(folder.glob("model*.safetensors*"))


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse an adapter that cannot be merged exactly, or that PEFT would run code or read other files for.

    Raises:
        UnsupportedModelError: a kind or a task of adapters that is not merged here.
        InvalidInputError: a setting that is not understood.
    """
    kind, task = settings.get("peft_type"), settings.get("task_type")
    if kind not in _KINDS or task not in _TASKS:
        raise UnsupportedModelError(
            f"This adapter cannot be merged into a classifier.\ngot: peft_type {str(kind)[:50]!r}, task_type {str(task)[:50]!r}"
            f"\nallowed: peft_type {', '.join(_KINDS)}; task_type SEQ_CLS, or none for images\nnext: {MERGE_IT}"
        )
    foreign = sorted(
        name for name, value in settings.items() if name not in _UNDERSTOOD and value and value != _DEFAULTS.get(name)
    )
    starts = [name for name in ("init_lora_weights", "init_weights") if settings.get(name) not in _HARMLESS_STARTS]
    slow = [pattern for pattern in _patterns(settings) if _is_slow(pattern)]
    if foreign or starts or slow:
        raise InvalidInputError(
            f"{SETTINGS} has settings that cannot be merged exactly and safely."
            f"\ngot: {', '.join(f'{name}={settings[name]!r}'[:80] for name in [*foreign, *starts])}{', '.join(slow)[:200]}"
            f"\nallowed: LoRA (also rank-stabilised, also DoRA), LoHa, LoKr and (IA)³ by plain names of modules\nnext: {MERGE_IT}"
        )


def base_folder(folder: Path, settings: Mapping[str, Any]) -> Path:
    """Where the adapter's base lies: `base/` in its folder, else the path in its settings, from that folder or from here.

    Raises:
        InvalidInputError: it lies nowhere on this machine; nothing is downloaded.
    """
    named = str(settings.get("base_model_name_or_path") or "")
    places = [folder / BASE, *([folder / named, Path(named)] if named else [])]
    for place in places:
        if any((place / name).is_file() for name in ("config.json", SETTINGS)):
            return place
    revision = f" --revision {settings['revision']}" if settings.get("revision") else " --revision COMMIT"
    raise InvalidInputError(
        f"The adapter's base model is not here, and nothing is downloaded for it.\ngot: base_model_name_or_path {named[:200]!r}"
        f"\nallowed: a folder with the base, named in {SETTINGS} or placed at {folder / BASE}"
        f"\nnext: copy it there; from a hub: hf download {named or 'NAME'}{revision} --local-dir {folder / BASE}"
    )


def base_name(name: str) -> str | None:
    """The tensor's name in a base that was saved while it was wrapped, as MLflow saves it; None: the adapter's own copy."""
    if re.search(r"\.(?:lora|hada|lokr|ia3)_|\.modules_to_save\.", name):
        return None
    return name.replace(".base_layer.", ".").replace(".original_module.", ".")


def replaced_weights(names: Iterable[str]) -> set[str]:
    """Weights of the base that the adapter brings whole, such as the classification head, by the adapter's tensor names."""
    plain = (name.removeprefix(_PREFIX) for name in names)
    return {name for name in plain if not re.search(r"\.(?:lora|hada|lokr|ia3)_", name)}


def class_count(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Classes of the head that the adapter brings, by its tensors' shapes; None: it brings none."""
    rows = {name: shape[0] for name, shape in shapes.items() if _CLASS_ROWS.search(name.removeprefix(_PREFIX)) and shape}
    return rows[max(rows, key=len)] if rows else None


def wrap(model: Any, settings: Mapping[str, Any]) -> Any:
    """`model` with fresh, empty layers of the adapter in it; on the `meta` device they take no memory.

    Raises:
        InvalidInputError: PEFT is not installed, or cannot find the modules that the adapter is for.
    """
    peft = _peft()
    with _quiet():
        try:
            kind = next(made for name, made in peft.PEFT_TYPE_TO_CONFIG_MAPPING.items() if name == settings["peft_type"])
            fields = {name: value for name, value in settings.items() if name in kind.__dataclass_fields__}
            return peft.get_peft_model(model, kind(**fields), low_cpu_mem_usage=model.device.type == "meta")
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, re.error) as error:
            raise InvalidInputError(f"The adapter does not fit its base.\ngot: {str(error)[:300]}\nnext: {MERGE_IT}") from error


def expected_tensors(wrapped: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that the file of `wrapped`'s adapter has to have."""
    with _quiet():
        state = _peft().get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def merge(wrapped: Any, weights: Mapping[str, Any]) -> Any:
    """The base of `wrapped` with the adapter's `weights` merged into it; names and shapes are `expected_tensors`.

    Raises:
        InvalidInputError: the merged weights are not finite.
    """
    with _quiet():
        _peft().set_peft_model_state_dict(wrapped, dict(weights))
        try:
            merged = wrapped.merge_and_unload(safe_merge=True)
        except ValueError as error:
            raise InvalidInputError(f"the adapter's weights are NaN or infinite\ngot: {str(error)[:200]}") from error
    return merged.requires_grad_(True)


def merged_copy(model: Any) -> Any:
    """A `PeftModel`'s classifier with its active adapters merged; `model` stays as it is.

    What the adapters do not touch shares its memory with `model`: the copy costs the changed matrices alone.

    Raises:
        UnsupportedModelError: the adapters are no change of weights.
        InvalidInputError: they are switched off, so that the model does not compute what its adapters say.
    """
    if any(getattr(module, "disable_adapters", False) is True for module in model.modules()):
        raise InvalidInputError(
            "the model's adapters are switched off: it computes what its base computes"
            "\nnext: model.base_model.enable_adapter_layers(), or explain model.unload() of a copy"
        )
    with _quiet():
        try:
            return copy.deepcopy(model, _shared(model)).merge_and_unload(safe_merge=True)
        except (AttributeError, ValueError, NotImplementedError, TypeError) as error:
            raise UnsupportedModelError(
                f"the adapter cannot be merged into its base\ngot: {type(model).__name__}: {str(error)[:200]}"
                "\nallowed: adapters that change weights, such as LoRA\nnext: explain model.merge_and_unload()"
            ) from error


def _shared(model: Any) -> dict[int, Any]:
    """For `deepcopy`: every parameter by its id, as one of the copy's own; what merging changes has memory of its own."""
    from torch import nn

    wrapped = [module.base_layer for module in model.modules() if isinstance(getattr(module, "base_layer", None), nn.Module)]
    changed = {id(parameter) for module in wrapped for parameter in module.parameters()}
    return {
        id(p): nn.Parameter(p.detach().clone() if id(p) in changed else p.detach(), requires_grad=p.requires_grad)
        for p in model.parameters()
    }


def _patterns(settings: Mapping[str, Any]) -> Iterator[str]:
    """Strings that PEFT uses as regular expressions."""
    for name in ("target_modules", "exclude_modules", "layers_pattern", "modules_to_save", "feedforward_modules"):
        value = settings.get(name)
        yield from [value] if isinstance(value, str) else map(str, value or ())
    for name in ("rank_pattern", "alpha_pattern"):
        yield from settings.get(name) or {}


def _is_slow(pattern: str) -> bool:
    repetitions = len(re.findall(r"[*+{]", pattern))
    return len(pattern) > _LONGEST_PATTERN or repetitions > _MOST_REPETITIONS or bool(re.search(r"\)[*+{]", pattern))


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise InvalidInputError(f"An adapter is merged by the library peft, which is not installed.\nnext: {_INSTALL}") from error
    return peft


@contextmanager
def _quiet() -> Iterator[None]:
    """Without PEFT's warnings: what could matter of them is checked by names and shapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
