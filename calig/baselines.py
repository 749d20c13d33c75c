"""The baseline input x': same length, positions, masks and special tokens, with the content taken out (METHOD.md, notation)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageFilter
from torch import Tensor

from calig.errors import InvalidInputError
from calig.inputs import EncodedInput

#: Blur radius as a share of the image's smaller side: wide enough to remove shapes, narrow enough to keep colours.
_BLUR = 0.15


@dataclass(frozen=True)
class Baseline:
    """How to take the content out. `kind`: mask, pad, mean, zero or blur; `name` as recorded; `apply` gives x' to the model."""

    kind: str
    name: str
    replacement_id: int | None
    apply: Callable[[EncodedInput], dict[str, Tensor]]


def choose_baseline(name: str, model: Any, processor: Any, modality: str) -> Baseline:
    """The baseline called `name`; `auto` takes the first that the model has: mask, pad, mean — or zero for images.

    Raises:
        InvalidInputError: the baseline does not exist for this modality or tokenizer.
    """
    if modality == "image":
        return _image_baseline("zero" if name == "auto" else name, processor)
    ids = {"mask": processor.mask_token_id, "pad": processor.pad_token_id}
    if name == "auto":
        name = next((n for n, i in ids.items() if i is not None), "mean")
    if name == "mean":
        return _mean_baseline(model)
    if ids.get(name) is None:
        available = [n for n, i in ids.items() if i is not None]
        raise InvalidInputError(f"this tokenizer has no baseline {name!r}\nallowed: auto, mean, {', '.join(available)}")
    return _token_baseline(name, f"{processor.convert_ids_to_tokens(ids[name])} tokens", ids[name])


def black(image: Image.Image) -> Image.Image:
    """An image of the same size with all pixels black: what `zero` means, before the processor normalises."""
    return Image.new("RGB", image.size)


def blurred(image: Image.Image) -> Image.Image:
    """The image under a Gaussian blur as wide as `_BLUR` of its smaller side."""
    return image.filter(ImageFilter.GaussianBlur(_BLUR * min(image.size)))


#: What an image becomes when its content is taken out, by kind.
IMAGE_BASELINES = {"zero": black, "blur": blurred}


def _token_baseline(kind: str, name: str, token_id: int) -> Baseline:
    def apply(row: EncodedInput) -> dict[str, Tensor]:
        content = torch.tensor([row.content])
        return {**row.inputs, "input_ids": row.inputs["input_ids"].masked_fill(content, token_id)}

    return Baseline(kind, name, token_id, apply)


def _mean_baseline(model: Any) -> Baseline:
    table = model.get_input_embeddings().weight.detach()

    def apply(row: EncodedInput) -> dict[str, Tensor]:
        ids = row.inputs["input_ids"].to(table.device)
        content = torch.tensor([row.content], device=table.device).unsqueeze(-1)
        embedded = torch.where(content, table.mean(0), table[ids])
        return {**{k: v for k, v in row.inputs.items() if k != "input_ids"}, "inputs_embeds": embedded}

    return Baseline("mean", "mean word embedding", None, apply)


def _image_baseline(name: str, processor: Any) -> Baseline:
    if name not in IMAGE_BASELINES:
        raise InvalidInputError(f"images have no baseline {name!r}\nallowed: auto, {', '.join(IMAGE_BASELINES)}")
    change = IMAGE_BASELINES[name]

    def apply(row: EncodedInput) -> dict[str, Tensor]:
        if row.image is None:
            raise InvalidInputError("an image baseline needs the image")
        return {"pixel_values": processor(images=change(row.image), return_tensors="pt")["pixel_values"]}

    return Baseline(name, f"{change.__name__} image", None, apply)
