"""From a text or an image to the model's own inputs, with the character span of every token. One row at a time, unpadded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from calig.errors import InvalidInputError
from calig.families import FAMILIES, Family, picture_config
from calig.pictures import prepared

T = TypeVar("T")

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
    shift: δ added to the embeddings h⁰ of this row, not to those of its baseline, `seq hidden`; text_pair, sides: of a pair
    of texts the second, and per position the side 0 or 1, −1 for special tokens; see `calig.pairs`.
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
    text_pair: str | None = None
    sides: list[int] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Positions, special tokens included."""
        return len(self.tokens)

    @property
    def body(self) -> range:
        """From the first content token to the last: what is cut when a text is too long."""
        content = [i for i, kept in enumerate(self.content) if kept]
        return range(content[0], content[-1] + 1)

    @property
    def n_body(self) -> int:
        """Positions in the body."""
        return len(self.body)

    def part(self, begin: int, end: int) -> EncodedInput:
        """This text with the positions `begin` … `end` (exclusive) of its body alone, between its special tokens."""
        body = self.body
        return self.at([*range(body.start), *body[begin:end], *range(body.stop, self.length)])

    def at(self, kept: Sequence[int]) -> EncodedInput:
        """This row with the positions `kept` alone."""
        content = _picked(self.content, kept)
        return replace(
            self,
            inputs={name: tensor[:, kept] for name, tensor in self.inputs.items()},
            tokens=_picked(self.tokens, kept),
            starts=_picked(self.starts, kept),
            ends=_picked(self.ends, kept),
            content=content,
            coverage=sum(content) / sum(self.content),
            shift=None if self.shift is None else self.shift[kept],
            sides=_picked(self.sides, kept) if self.sides else [],
        )

    @property
    def token_types(self) -> list[int]:
        """Token types, `seq`; empty where the model gets none, or zeros alone, which it takes for none."""
        types = self.inputs.get("token_type_ids")
        return [] if types is None or not types.any() else [int(i) for i in types[0]]

    @property
    def input_ids(self) -> list[int]:
        """Token ids, `seq`; empty for images."""
        return [int(i) for i in self.inputs["input_ids"][0]] if "input_ids" in self.inputs else []


def _picked(values: Sequence[T], places: Sequence[int]) -> list[T]:
    return [values[i] for i in places]


def length_limit(config: Any, tokenizer: Any, max_length: int | None) -> int | None:
    """Tokens per text: the smallest of what was asked for, the tokenizer's and the model's limit; None: no limit.

    Raises:
        InvalidInputError: `max_length` is not positive, or positions cannot be numbered.
    """
    if max_length is not None and max_length < 1:
        raise InvalidInputError(f"max_length is a number of tokens\ngot: {max_length}\nallowed: 1 or more")
    positions = getattr(config, "max_position_embeddings", None)
    family = FAMILIES.get(config.model_type)
    if positions is not None and family is not None and family.numbers_after is not None:
        first = family.numbers_after(config)
        if first is None:
            raise InvalidInputError(
                f"{config.model_type} numbers positions after its padding token, and config.json names none"
                "\nnext: set pad_token_id in config.json (1 in the published models)"
            )
        positions -= first + 1  # their position numbers start after the padding index
    known = [n for n in (max_length, tokenizer.model_max_length, positions) if n is not None and n < _NO_LIMIT]
    return min(known) if known else None


def encode_text(text: str, tokenizer: Any, *, limit: int | None, vocabulary: int | None = None) -> EncodedInput:
    """Tokenize one text; of a text longer than `limit` tokens the end is lost (the beginning, where the tokenizer truncates on
    the left), which `coverage` reports.

    Args:
        vocabulary: rows of the model's embedding; None: not checked.

    Raises:
        InvalidInputError: the tokenizer has no offsets or cannot read the text, the text holds nothing to attribute or a token
            that the model has no embedding for, or the limit leaves no room for content.
    """
    whole = encode_whole(text, tokenizer, vocabulary)
    if limit is None or whole.length <= limit:
        return whole
    room = room_for(whole, limit)
    begin = whole.n_body - room if getattr(tokenizer, "truncation_side", "right") == "left" else 0
    return whole.part(begin, begin + room)


def encode_whole(text: str, tokenizer: Any, vocabulary: int | None) -> EncodedInput:
    """One text, however long."""
    encoded = tokenized((text,), tokenizer)
    check_vocabulary(encoded, tokenizer, vocabulary)
    return encoded_row(text, tokenizer, encoded)


def check_vocabulary(encoded: dict[str, list[Any]], tokenizer: Any, vocabulary: int | None) -> None:
    """Refuse a token that the model has no embedding for, of `vocabulary` rows (None: not checked)."""
    largest = max(encoded["input_ids"], default=0)
    if vocabulary is not None and largest >= vocabulary:
        token = tokenizer.convert_ids_to_tokens([largest])[0]
        raise InvalidInputError(f"the model has no embedding for the token {token!r} ({largest}, of 0 … {vocabulary - 1})")


def tokenized(texts: tuple[str, ...], tokenizer: Any) -> dict[str, list[Any]]:
    """What the tokenizer makes of one text or of two together, uncut; whatever it raises is a fault of this text.

    Of two texts, `sides` says which one each token is of, −1 for special tokens.
    """
    require_offsets(tokenizer)
    try:
        for text in texts:
            text.encode("utf-8")
        encoded = tokenizer(*texts, truncation=False, verbose=False, **_OPTIONS)
        sides = {"sides": [-1 if side is None else side for side in encoded.sequence_ids()]} if len(texts) > 1 else {}
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the text is no valid Unicode: {error.reason} at character {error.start}") from error
    except Exception as error:
        raise InvalidInputError(f"the tokenizer cannot read the text: {str(error)[:200]}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what a panic in Rust becomes; anything else is not the text's
            raise
        raise InvalidInputError(f"the tokenizer cannot read the text: {str(error)[:200]}") from error
    return {name: encoded[name] for name in encoded} | sides


def room_for(whole: EncodedInput, limit: int) -> int:
    """Tokens of a text's body that fit beside its special tokens."""
    n_special = whole.length - whole.n_body
    if limit <= n_special:
        raise InvalidInputError(
            f"max_length leaves no room for the text\ngot: {limit}\nallowed: more than the {n_special} special tokens"
        )
    return limit - n_special


def encoded_row(text: str, tokenizer: Any, encoded: dict[str, Any]) -> EncodedInput:
    """What the tokenizer gave, as a row; refused when it holds nothing to attribute."""
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
        coverage=1.0,
    )


def require_offsets(tokenizer: Any) -> None:
    """Refuse a slow tokenizer: it does not say which characters of the text a token stands for.

    Raises:
        InvalidInputError: with how to convert it, where transformers can.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InvalidInputError(
            "the tokenizer cannot tell which characters a token covers: a slow one that transformers does not convert"
            f"\ngot: {type(tokenizer).__name__}\nallowed: fast tokenizers (with tokenizer.json)"
            "\nnext: use a model of the same family with a fast tokenizer; one of your own is saved as PreTrainedTokenizerFast"
        )


def encode_image(image: Image.Image, processor: Any, *, config: Any, family: Family) -> EncodedInput:
    """Preprocess one image; positions are the model's own tokens (the family's prefix) and the patches, row by row.

    Raises:
        InvalidInputError: the image cannot be prepared, or the processor makes other pixels than the model takes.
    """
    rgb = prepared(image)
    inputs = dict(processor(images=rgb, return_tensors="pt"))
    settings, prefix = picture_config(config), family.prefix
    _require_pixels(tuple(inputs["pixel_values"].shape[1:]), settings, any_size=family.any_size)
    rows, columns = (n // settings.patch_size for n in inputs["pixel_values"].shape[-2:])
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


def _require_pixels(shape: tuple[int, ...], config: Any, *, any_size: bool) -> None:
    """`shape` is channels, height, width. With `any_size` it may be any square of whole patches: one length for all pictures."""
    size = config.image_size
    if any_size and shape[-1] >= config.patch_size:
        size = shape[-1] - shape[-1] % config.patch_size
    expected = (config.num_channels, *((size, size) if isinstance(size, int) else tuple(size)))
    if config.num_channels != _RGB:
        raise InvalidInputError(
            f"the model does not take pictures in colour\ngot: num_channels = {config.num_channels}"
            f"\nallowed: models with {_RGB} channels"
        )
    if shape != expected:
        crop = ", or let it crop to a square (do_center_crop): pictures need one grid of patches" if any_size else ""
        raise InvalidInputError(
            f"the image processor makes other pixels than the model takes\ngot: {shape} (channels, height, width)"
            f"\nallowed: {expected}\nnext: use the image processor that the model was trained with{crop}"
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
