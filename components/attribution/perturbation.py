"""Resolution of `quality.perturbation` for a model: how its inputs lose content."""

from __future__ import annotations

from typing import Any, get_args

from calig.baselines import Baseline, choose_baseline
from calig.families import family_of
from calig.metrics.perturbation import MEAN_EMBEDDING, ImageFill, Perturbation
from components.attribution.running import load_classifier
from components.common.errors import InputError, engine_errors
from schemas.config import AttributionConfig, PerturbationSetting
from schemas.release import ModelSnapshot

_KINDS = {"text": ("replace", "delete"), "image": get_args(ImageFill)}
_PROBE = "a"


def choose_perturbation(snapshot: ModelSnapshot, config: AttributionConfig, setting: PerturbationSetting) -> Perturbation:
    """What `setting` means for this model; `auto` takes out content as the attribution baseline of `config` does.

    Raises:
        InputError: the kind does not fit texts or images, the baseline does not exist, or `delete` would have to delete the
            token that the model reads its answer from.
    """
    allowed = ("auto", *_KINDS[snapshot.modality])
    if setting not in allowed:
        raise InputError(f"quality.perturbation does not fit {snapshot.modality}s", got=setting, allowed=", ".join(allowed))
    model, processor, baseline = _settled(snapshot, config)
    if snapshot.modality == "image":
        return Perturbation(baseline.kind if setting == "auto" else setting)  # type: ignore[arg-type] # zero or blur: checked
    if setting == "delete":
        _check_read_out(model, processor)
        return Perturbation("delete")
    return Perturbation("replace", MEAN_EMBEDDING if baseline.replacement_id is None else baseline.replacement_id)


def _settled(snapshot: ModelSnapshot, config: AttributionConfig) -> tuple[Any, Any, Baseline]:
    with engine_errors():
        model, processor = load_classifier(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
        return model, processor, choose_baseline(config.baseline, model, processor, snapshot.modality)


def _check_read_out(model: Any, processor: Any) -> None:
    """A token deleted from the attention mask still is its own position's input, where a decoder's head may read."""
    ends_in_content = processor(_PROBE, return_special_tokens_mask=True)["special_tokens_mask"][-1] == 0
    if family_of(model).reads_last and ends_in_content:
        raise InputError(
            "quality.perturbation cannot be delete: this model reads its answer at the last token, which is part of the text",
            got=model.config.model_type,
            allowed="auto, replace",
        )
