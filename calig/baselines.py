"""The baseline input x': same length, positions, masks and special tokens, no content (deploy/docs/method.md, notation)."""

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
    """How to take the content out.

    kind: mask, pad, mean, zero or blur; name: as recorded. Texts: embedding, `hidden`, stands in the place of the embedding of
    every content token while the model runs on the tokens of x, so that whatever else it derives from them (positions, token
    types, where it reads) stays; replacement_id: the token whose embedding that is. apply: x' as inputs of their own, for
    images and for other tools.
    """

    kind: str
    name: str
    replacement_id: int | None
    apply: Callable[[EncodedInput], dict[str, Tensor]]
    embedding: Tensor | None = None


def choose_baseline(name: str, model: Any, processor: Any, modality: str) -> Baseline:
    """The baseline called `name`; `auto` takes the first that the model has: mask, pad, mean — or zero for images.

    Raises:
        InvalidInputError: the baseline does not exist for this modality or tokenizer.
    """
    if modality == "image":
        return _image_baseline("zero" if name == "auto" else name, processor)
    ids = _available(model, processor)
    if name == "auto":
        name = next(iter(ids), "mean")
    if name == "mean":
        return _mean_baseline(model)
    if name not in ids:
        raise InvalidInputError(
            f"this model has no baseline {name!r}: its tokenizer has no such token, or its embedding no row for it"
            f"\nallowed: {', '.join(('auto', 'mean', *ids))}"
        )
    return _token_baseline(name, f"{processor.convert_ids_to_tokens(ids[name])} tokens", ids[name], model)


def mean_embedding(model: Any) -> Tensor:
    """Mean over the vocabulary of what the embedding layer gives, its scale included: `hidden`."""
    words = model.get_input_embeddings()
    all_ids = torch.arange(words.num_embeddings, device=model.device)
    with torch.no_grad():
        parts = [words(all_ids[i : i + 8192]).sum(0, dtype=torch.float64) for i in range(0, len(all_ids), 8192)]
    mean: Tensor = torch.stack(parts).sum(0) / words.num_embeddings
    return mean.to(words.weight.dtype)


def _available(model: Any, tokenizer: Any) -> dict[str, int]:
    """Token ids by the name of the baseline, the preferred first."""
    rows = model.get_input_embeddings().num_embeddings
    ids = {"mask": tokenizer.mask_token_id, "pad": tokenizer.pad_token_id}
    return {name: token_id for name, token_id in ids.items() if token_id is not None and token_id < rows}


def black(image: Image.Image) -> Image.Image:
    """An image of the same size with all pixels black: what `zero` means, before the processor normalises."""
    return Image.new("RGB", image.size)


def blurred(image: Image.Image) -> Image.Image:
    """The image under a Gaussian blur as wide as `_BLUR` of its smaller side."""
    return image.filter(ImageFilter.GaussianBlur(_BLUR * min(image.size)))


#: What an image becomes when its content is taken out, by kind.
IMAGE_BASELINES = {"zero": black, "blur": blurred}


def _token_baseline(kind: str, name: str, token_id: int, model: Any) -> Baseline:
    def apply(row: EncodedInput) -> dict[str, Tensor]:
        content = torch.tensor([row.content])
        return {**row.inputs, "input_ids": row.inputs["input_ids"].masked_fill(content, token_id)}

    with torch.no_grad():
        embedding = model.get_input_embeddings()(torch.tensor(token_id, device=model.device))
    return Baseline(kind, name, token_id, apply, embedding)


def _mean_baseline(model: Any) -> Baseline:
    words, mean = model.get_input_embeddings(), mean_embedding(model)

    def apply(row: EncodedInput) -> dict[str, Tensor]:
        content = torch.tensor([row.content], device=mean.device).unsqueeze(-1)
        embedded = torch.where(content, mean, words(row.inputs["input_ids"].to(mean.device)).detach())
        return {**{k: v for k, v in row.inputs.items() if k != "input_ids"}, "inputs_embeds": embedded}

    return Baseline("mean", "mean word embedding", None, apply, mean)


def _image_baseline(name: str, processor: Any) -> Baseline:
    if name not in IMAGE_BASELINES:
        raise InvalidInputError(f"images have no baseline {name!r}\nallowed: auto, {', '.join(IMAGE_BASELINES)}")
    change = IMAGE_BASELINES[name]

    def apply(row: EncodedInput) -> dict[str, Tensor]:
        if row.image is None:
            raise InvalidInputError("an image baseline needs the image")
        return {"pixel_values": processor(images=change(row.image), return_tensors="pt")["pixel_values"]}

    return Baseline(name, f"{change.__name__} image", None, apply)
