"""One row per model family: where its blocks are and what turns the last block's output into logits. Data, not branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from calig.errors import UnsupportedModelError


@dataclass(frozen=True)
class Family:
    """How to take a model of one `model_type` apart.

    blocks: dotted path of its list of blocks. head: (model, output of the last block `batch seq hidden`) → logits
    `batch classes`. Anything else the engine needs it finds by watching one forward pass.
    """

    model_type: str
    modality: Literal["text", "image"]
    blocks: str
    head: Callable[[Any, Tensor], Tensor]


FAMILIES: dict[str, Family] = {
    row.model_type: row
    for row in (
        Family("bert", "text", "bert.encoder.layer", lambda m, h: m.classifier(m.bert.pooler(h))),
        Family("roberta", "text", "roberta.encoder.layer", lambda m, h: m.classifier(h)),
        Family("xlm-roberta", "text", "roberta.encoder.layer", lambda m, h: m.classifier(h)),
        Family("electra", "text", "electra.encoder.layer", lambda m, h: m.classifier(h)),
        Family("vit", "image", "vit.layers", lambda m, h: m.classifier(m.vit.layernorm(h)[:, 0])),
    )
}


def family_of(model: Any) -> Family:
    """The row of `model`; an unknown or generative model is an UnsupportedModelError that lists the known ones."""
    config = model.config
    if getattr(config, "is_encoder_decoder", False):
        raise UnsupportedModelError(f"encoder-decoder models cannot be attributed yet\ngot: {config.model_type}\n{_allowed()}")
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise UnsupportedModelError(f"unknown model type\ngot: {config.model_type}\n{_allowed()}")
    if not type(model).__name__.endswith(("ForSequenceClassification", "ForImageClassification")):
        raise UnsupportedModelError(
            f"only sequence and image classifiers can be attributed\ngot: {type(model).__name__}\n{_allowed()}"
        )
    return family


def _allowed() -> str:
    return f"allowed: classifiers of {', '.join(sorted(FAMILIES))}\nnext: a new family is one row in calig/families.py and a test"
