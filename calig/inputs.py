"""From a text or an image to the model's own inputs, with the character span of every token. One row at a time, unpadded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from calig.errors import InvalidInputError
from calig.pictures import prepared

#: Tokenizers without a limit of their own report a huge number instead.
_NO_LIMIT = 1_000_000

#: Channels of the pictures that `calig.pictures` prepares.
_RGB = 3

#: What is asked of every tokenizer beside the ids.
_OPTIONS = {"return_offsets_mapping": True, "return_special_tokens_mask": True, "return_attention_mask": True}


@dataclass(frozen=True)
class EncodedInput:
    """One row, ready for the model.

    inputs: the model's keyword arguments, batch of one; tokens, starts, ends, content: one per position of `seq`
    (start and end are −1 and content is False for special tokens); coverage: share of the row's content tokens kept;
    shift: δ added to the embeddings h⁰ of this row, not to those of its baseline, `seq hidden`.
    """

    text: str | None
    image: Image.Image | None
    inputs: dict[str, Tensor]
    tokens: list[str]
    starts: list[int]
    ends: list[int]
    content: list[bool]
    coverage: float
    shift: Tensor | None = None

    @property
    def length(self) -> int:
        """Positions, special tokens included."""
        return len(self.tokens)

    @property
    def input_ids(self) -> list[int]:
        """Token ids, `seq`; empty for images."""
        return [int(i) for i in self.inputs["input_ids"][0]] if "input_ids" in self.inputs else []


def length_limit(config: Any, tokenizer: Any, max_length: int | None) -> int | None:
    """Tokens per text: the smallest of what was asked for, the tokenizer's and the model's limit; None: no limit."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and config.model_type in {"roberta", "xlm-roberta"}:
        positions -= config.pad_token_id + 1  # their position numbers start after the padding index
    known = [n for n in (max_length, tokenizer.model_max_length, positions) if n is not None and n < _NO_LIMIT]
    return min(known) if known else None


def encode_text(text: str, tokenizer: Any, *, limit: int | None) -> EncodedInput:
    """Tokenize one text; a text longer than `limit` tokens loses its end, which `coverage` reports.

    Raises:
        InvalidInputError: the tokenizer has no offsets, or the text holds nothing to attribute.
    """
    _require_offsets(tokenizer)
    encoded = tokenizer(text, verbose=False, **_OPTIONS)
    n_content = encoded["special_tokens_mask"].count(0)
    if limit is not None and len(encoded["input_ids"]) > limit:
        encoded = tokenizer(text, truncation=True, max_length=limit, verbose=False, **_OPTIONS)
    return _encoded(text, tokenizer, {name: encoded[name] for name in encoded}, n_content)


def encode_windows(text: str, tokenizer: Any, *, limit: int, overlap: int) -> list[EncodedInput]:
    """Tokenize one text in windows of at most `limit` tokens; each repeats `overlap` content tokens of the one before."""
    _require_offsets(tokenizer)
    options = {"truncation": True, "max_length": limit, "stride": overlap, "return_overflowing_tokens": True}
    encoded = tokenizer(text, verbose=False, **options, **_OPTIONS)
    n_content = sum(mask.count(0) for mask in encoded["special_tokens_mask"])
    return [
        _encoded(text, tokenizer, {name: encoded[name][i] for name in encoded}, n_content)
        for i in range(len(encoded["input_ids"]))
    ]


def _encoded(text: str, tokenizer: Any, encoded: dict[str, Any], n_content: int) -> EncodedInput:
    content = [special == 0 for special in encoded["special_tokens_mask"]]
    if not any(content):
        raise InvalidInputError(f"the text has no tokens to attribute\ngot: {text[:80]!r}")
    spans = [span if kept else (-1, -1) for span, kept in zip(encoded["offset_mapping"], content, strict=True)]
    names = [n for n in tokenizer.model_input_names if n in encoded]
    return EncodedInput(
        text=text,
        image=None,
        inputs={n: torch.tensor([encoded[n]]) for n in names},
        tokens=tokenizer.convert_ids_to_tokens(encoded["input_ids"]),
        starts=[s for s, _ in spans],
        ends=[e for _, e in spans],
        content=content,
        coverage=sum(content) / n_content,
    )


def _require_offsets(tokenizer: Any) -> None:
    if not getattr(tokenizer, "is_fast", False):
        raise InvalidInputError(
            f"the tokenizer cannot tell which characters a token covers\ngot: {type(tokenizer).__name__}"
            "\nallowed: fast tokenizers (with tokenizer.json)"
        )


def encode_image(image: Image.Image, processor: Any, *, config: Any, prefix: tuple[str, ...]) -> EncodedInput:
    """Preprocess one image; positions are the model's own tokens (`prefix`) and the patches, row by row.

    Raises:
        InvalidInputError: the image cannot be prepared, or the processor makes other pixels than the model takes.
    """
    rgb = prepared(image)
    inputs = dict(processor(images=rgb, return_tensors="pt"))
    _require_pixels(tuple(inputs["pixel_values"].shape[1:]), config)
    rows, columns = (n // config.patch_size for n in inputs["pixel_values"].shape[-2:])
    patches = [f"patch {r},{c}" for r in range(rows) for c in range(columns)]
    n = len(prefix) + len(patches)
    return EncodedInput(
        text=None,
        image=rgb,
        inputs={"pixel_values": inputs["pixel_values"]},
        tokens=[*prefix, *patches],
        starts=[-1] * n,
        ends=[-1] * n,
        content=[*[False] * len(prefix), *[True] * len(patches)],
        coverage=1.0,
    )


def _require_pixels(shape: tuple[int, ...], config: Any) -> None:
    size = config.image_size
    expected = (config.num_channels, *((size, size) if isinstance(size, int) else tuple(size)))
    if config.num_channels != _RGB:
        raise InvalidInputError(
            f"the model does not take pictures in colour\ngot: num_channels = {config.num_channels}"
            f"\nallowed: models with {_RGB} channels"
        )
    if shape != expected:
        raise InvalidInputError(
            f"the image processor makes other pixels than the model takes\ngot: {shape} (channels, height, width)"
            f"\nallowed: {expected}\nnext: use the image processor that the model was trained with"
        )


def shift_shape(row: EncodedInput, model: Any) -> tuple[int, ...]:
    """Shape of what `shifted` adds to a row: that of its pixels, or of its embeddings h⁰."""
    return tuple(row.inputs["pixel_values"].shape) if row.image is not None else (row.length, model.config.hidden_size)


def shifted(row: EncodedInput, shift: Tensor) -> EncodedInput:
    """The row moved by `shift`, of shape `shift_shape`: images by their pixels as the model gets them, texts by h⁰."""
    if row.image is None:
        return replace(row, shift=shift)
    return replace(row, inputs={"pixel_values": row.inputs["pixel_values"] + shift})


def joined_shifts(rows: Sequence[EncodedInput]) -> Tensor | None:
    """δ of a batch of rows of one length, `rows seq hidden`, zero for rows without; None when no row has one."""
    given = [row.shift for row in rows if row.shift is not None]
    return torch.stack([torch.zeros_like(given[0]) if row.shift is None else row.shift for row in rows]) if given else None


def joined(inputs: Sequence[dict[str, Tensor]], model: Any) -> dict[str, Tensor]:
    """Single-row inputs as one batch on the model's device; floating-point ones in the model's precision."""
    joined = {name: torch.cat([row[name] for row in inputs]).to(model.device) for name in inputs[0]}
    return {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in joined.items()}
