"""The fetched classifier as a module from plain arrays to logits, to be exported or run by torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calig.baselines import mean_embedding
from calig.blocks import padding_id
from calig.families import family_of, picture_config
from calig.loading import load_model
from calig.targets import problem_type
from components.common.errors import CouldNotRunError, InputError, engine_errors
from components.scoring.batches import Arrays, Collator, ImageCollator, TextCollator
from schemas.release import ModelSnapshot, ProblemType

#: The padding of a decoder that has none: transformers then refuses batches, although all rows are read at their last position.
_NO_TOKEN = -1


class TextLogits(nn.Module):
    """Token ids → logits by way of the word embeddings; id −1 stands for the mean embedding.

    With embeddings given, no model derives positions or the read-out from which ids are padding, so a content token that
    is replaced by PAD keeps its place: the baseline of deploy/docs/method.md.
    """

    mean: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.words = model.get_input_embeddings()
        self.register_buffer("mean", mean_embedding(model), persistent=False)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """Logits `batch classes` of the arrays of a `TextCollator`, int64 `batch seq`."""
        removed = (input_ids < 0).unsqueeze(-1)
        embedded = torch.where(removed, self.mean, self.words(input_ids.clamp(min=0)))
        given = {"token_type_ids": token_type_ids, "position_ids": position_ids}
        further = {name: ids for name, ids in given.items() if ids is not None}
        logits: Tensor = self.model(inputs_embeds=embedded, attention_mask=attention_mask, **further).logits
        return logits


def _takes_types(model: Any) -> bool:
    """Whether the model has a table of token types: only then "all zero" is the same as "none". GPT-2 takes them for words."""
    return getattr(model.config, "type_vocab_size", 0) > 0 and "token_type_ids" in _parameters(model)


def _parameters(model: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(model.forward).parameters


class ImageLogits(nn.Module):
    """Pixels → logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Logits `batch classes` of `pixel_values`, float32 `batch channels height width`."""
        logits: Tensor = self.model(pixel_values=pixel_values).logits
        return logits


@dataclass(frozen=True, eq=False)
class Classifier:
    """A loaded classifier: the module, what batches its inputs, and the model itself for the parity check."""

    module: nn.Module
    collator: Collator
    model: Any
    n_classes: int

    @property
    def problem_type(self) -> ProblemType:
        """What the logits mean."""
        return cast("ProblemType", problem_type(self.model))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    def run(self, arrays: Arrays) -> NDArray[Any]:
        """Logits of one batch, by torch."""
        with torch.inference_mode():
            inputs = {name: torch.from_numpy(array).to(self.device) for name, array in arrays.items()}
            logits: Tensor = self.module(**inputs)
            return logits.cpu().numpy()

    def run_directly(self, arrays: Arrays) -> NDArray[Any]:
        """Logits of one batch by the model's own way in, which every runtime must reproduce: token ids, its own positions."""
        with torch.inference_mode():
            own = {name: array for name, array in arrays.items() if name != "position_ids"}
            inputs = {name: torch.from_numpy(array).to(self.device) for name, array in own.items()}
            logits: Tensor = self.model(**inputs).logits
            return logits.cpu().numpy()


def open_classifier(snapshot: ModelSnapshot, *, device: str) -> Classifier:
    """Load `snapshot` in float32.

    Raises:
        InputError: it cannot be loaded, or is a classifier with fewer than two classes.
        CouldNotRunError: its classes are not those of the snapshot in the same order, so that answers would be mixed up.
    """
    with engine_errors():
        model, processor = load_model(snapshot.model_path, snapshot.processor_path, device=device)
        family = family_of(model)
    model.config.return_dict = True  # some families' parts do not understand each other's tuples
    if family.reads_last and padding_id(model) is None:
        model.config.pad_token_id = _NO_TOKEN
    n_classes = int(model.config.num_labels)
    if n_classes < 2 and problem_type(model) != "regression":
        raise InputError("perturbations are scored by class probability", got=f"{n_classes} class", allowed="two or more")
    _check_classes(model, snapshot)
    if snapshot.modality == "text":
        skips = family.numbers_after is not None
        padding = None if padding_id(model) == _NO_TOKEN else padding_id(model)
        text_collator = TextCollator(
            reads_last=family.reads_last, skips_padding=skips, padding_id=padding, takes_types=_takes_types(model)
        )
        return Classifier(TextLogits(model).eval(), text_collator, model, n_classes)
    collator = ImageCollator(processor, patch_size=int(picture_config(model.config).patch_size))
    return Classifier(ImageLogits(model).eval(), collator, model, n_classes)


def _check_classes(model: Any, snapshot: ModelSnapshot) -> None:
    own = tuple(str(model.config.id2label.get(index)) for index in range(model.config.num_labels))
    if own != snapshot.labels:
        raise CouldNotRunError(
            "the classes of the loaded model are not those of the version, in the same order",
            got=", ".join(own),
            allowed=", ".join(snapshot.labels),
            next_step="fetch the version again; its config.json may have changed since",
        )
