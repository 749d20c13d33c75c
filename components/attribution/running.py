"""Run the engine over examples: load once, one at a time, problems beside results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from PIL import Image

from calig.api import encode, encode_document
from calig.attribution import Attribution
from calig.baselines import Baseline, choose_baseline
from calig.batching import suitable_batch_tokens
from calig.blocks import attributable
from calig.engine import Options
from calig.errors import InvalidInputError
from calig.loading import load_model, resolve_device
from calig.pairs import Pair
from calig.pictures import open_picture
from calig.rollout import Fusion
from calig.targets import EACH, GOLD, Target
from calig.windows import Document, attribute_documents
from components.common.errors import engine_errors, is_panic
from schemas.config import AttributionConfig
from schemas.release import Example, ModelSnapshot, PerLabel

#: One attribution at a time: the engine puts the model into a special state while it works.
ENGINE = Lock()


def attribute_examples(
    snapshot: ModelSnapshot,
    examples: Sequence[Example],
    config: AttributionConfig,
    progress: Callable[[int], None] | None,
    alternatives: tuple[Fusion, ...] = (),
    targets: Mapping[str, Target] | None = None,
) -> tuple[dict[int, Attribution], dict[int, str], Baseline]:
    """Attributions and problems by row number.

    alternatives: fusions that each attribution holds further maps of; targets: by id what is explained of each row, when that
    does not follow from the settings.
    """
    with engine_errors():
        model, processor = load_classifier(snapshot.model_path, snapshot.processor_path, config.dtype, config.device)
        with ENGINE, attributable(model) as stack:
            baseline = choose_baseline(config.baseline, model, processor, stack.family.modality)
            encoded, problems = encode_examples(examples, model, processor, config)
            refused: dict[int, str] = {}
            done = attribute_documents(
                stack,
                [document for _, document in encoded],
                [wanted_class(example, config) for example, _ in encoded],
                baseline,
                options_of(config, alternatives),
                progress,
                None if targets is None else [[targets[example.id]] for example, _ in encoded],
                problems=refused,
            )
    if progress is not None and problems:
        progress(len(problems))
    problems |= {encoded[place][0].row: problem for place, problem in refused.items()}
    return {e.row: found[0] for (e, _), found in zip(encoded, done, strict=True) if found}, problems, baseline


def encode_examples(
    examples: Sequence[Example], model: Any, processor: Any, config: AttributionConfig
) -> tuple[list[tuple[Example, Document]], dict[int, str]]:
    """Examples as the model's inputs, long texts as the settings say, and by row number why the others cannot be."""
    encoded: list[tuple[Example, Document]] = []
    problems = {e.row: e.problem for e in examples if e.problem is not None}
    for example in examples:
        if example.problem is None:
            try:
                encoded.append((example, _encoded(_content(example, config), model, processor, config)))
            except InvalidInputError as error:
                problems[example.row] = str(error).split("\n", 1)[0]
            except BaseException as error:
                if not is_panic(error):
                    raise
                problems[example.row] = f"the tokenizer gave up on this text: {error}".split("\n", 1)[0]
    return encoded, problems


def _encoded(content: str | Pair | Image.Image, model: Any, processor: Any, config: AttributionConfig) -> Document:
    if config.long_texts == "windows" and not isinstance(content, Image.Image):
        how: dict[str, Any] = {"max_length": config.max_length, "overlap": config.window_overlap, "explain": config.explain}
        return encode_document(content, model, processor, **how)
    return Document.in_one_piece(encode(content, model, processor, max_length=config.max_length, explain=config.explain))


@lru_cache(maxsize=2)
def load_classifier(model_path: Path, processor_path: Path, dtype: str, device: str) -> tuple[Any, Any]:
    """The classifier and its processor, kept for the next shard."""
    return load_model(model_path, processor_path, dtype=dtype, device=device)


def _content(example: Example, config: AttributionConfig) -> str | Pair | Image.Image:
    if config.target == GOLD and wanted_class(example, config) is None:
        raise InvalidInputError("no label, but the target is the gold class")
    if example.text is not None:
        return example.text if example.text_pair is None else (example.text, example.text_pair)
    return open_picture(example.image or "")


def options_of(config: AttributionConfig, alternatives: tuple[Fusion, ...] = ()) -> Options:
    """The settings as the engine takes them: where each label has a row, the row names its class, see `wanted_class`."""
    fusion = config.fusion
    return Options(
        target=GOLD if explains_each(config) else config.target,
        objective=config.objective,
        fusion_rule=fusion.rule,
        fusion_coefficient=fusion.coefficient,
        context_rule=fusion.context_rule,
        tolerance=config.tolerance,
        max_points=config.max_points,
        n_points=config.n_points,
        reduced=config.reduced,
        batch_tokens=batch_tokens(config),
        alternatives=alternatives,
    )


def explains_each(config: AttributionConfig) -> bool:
    """Whether every label of a row is explained on its own, in a row of the table."""
    return config.target == EACH


def per_label(config: AttributionConfig, snapshot: ModelSnapshot) -> PerLabel | None:
    """Which labels of a row stand in rows of their own: gold ones of a multi-label model are one target each."""
    if explains_each(config):
        return "each"
    return "gold" if config.target == GOLD and snapshot.label_kind == "classes" else None


def wanted_class(example: Example, config: AttributionConfig) -> str | None:
    """The class that the row itself names, for targets that ask the row: the label it stands for, or its gold class."""
    return example.asked_class if explains_each(config) or example.asked_class is not None else example.label


def batch_tokens(config: AttributionConfig) -> int:
    """Tokens per forward pass: the setting, else what suits the device."""
    return config.batch_tokens or suitable_batch_tokens(torch.device(resolve_device(config.device)))
