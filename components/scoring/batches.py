"""Inputs cut into tokens or patches, and perturbed inputs put into batches of arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from calig.errors import InvalidInputError
from calig.metrics.perturbation import BoolArray, ImageFill, IntArray, PerturbedImage, PerturbedInput, PerturbedText
from components.common.errors import CouldNotRunError, InputError, engine_errors
from schemas.release import ModelSnapshot


def load_tokenizer(snapshot: ModelSnapshot) -> tuple[Any, int | None]:
    """The tokenizer and the most tokens of a text (None: no limit); InputError when it cannot be loaded."""
    from calig.inputs import length_limit
    from calig.loading import load_config, load_processor

    with engine_errors():
        tokenizer = load_processor(snapshot.processor_path, "text")
        return tokenizer, length_limit(load_config(snapshot.model_path), tokenizer, None)


def patch_count(snapshot: ModelSnapshot) -> int:
    """Patches that an image model cuts a prepared picture into; InputError when model or image processor cannot be read."""
    from PIL import Image

    from calig.families import family_named
    from calig.inputs import encode_image
    from calig.loading import load_config, load_processor

    with engine_errors():
        config = load_config(snapshot.model_path)
        processor = load_processor(snapshot.processor_path, "image")
        row = encode_image(Image.new("RGB", (64, 64)), processor, config=config, family=family_named(config))
    return sum(row.content)


Arrays = dict[str, NDArray[Any]]

_IMAGES_KEPT = 64


class Collator(Protocol):
    """Knows how long an input is and how to put several into one batch."""

    def length(self, item: PerturbedInput) -> int:
        """Tokens or patches of `item`."""

    def arrays(self, items: Sequence[PerturbedInput]) -> Arrays:
        """The model's inputs for one batch."""

    def identity(self, item: PerturbedInput) -> Hashable:
        """What two inputs have in common exactly when the model gets the same for both."""


class TextCollator:
    """Pads on the right; padded positions are masked, so that the id that fills them does not matter.

    reads_last: the model reads its answer at the last token that is not `padding_id` (None: at the last). Tokens behind it
    cannot reach it and are left out. The mask cannot take a token out of its own position, so an input whose read token is
    deleted is refused.
    skips_padding: the model counts positions over tokens that are not `padding_id` (RoBERTa). They are those of the input
    before anything was replaced: a removed token keeps its place, and a `<pad>` that a user typed has none, as in the model.
    takes_types: the model has a table of token types: those of pairs, zeros for single texts.
    """

    def __init__(
        self,
        *,
        reads_last: bool = False,
        skips_padding: bool = False,
        padding_id: int | None = None,
        takes_types: bool = False,
    ) -> None:
        self._reads_last, self._padding_id, self._takes_types = reads_last, padding_id, takes_types
        self._first_position = padding_id if skips_padding else None

    def length(self, item: PerturbedInput) -> int:
        """Tokens of `item` that the answer can depend on."""
        ids = _original(item)
        if not self._reads_last or self._padding_id is None:
            return len(ids)
        return int(np.flatnonzero(ids != self._padding_id).max(initial=0)) + 1

    def arrays(self, items: Sequence[PerturbedInput]) -> Arrays:
        """`input_ids` and `attention_mask`, where taken `token_type_ids` and `position_ids`; int64 `batch seq`."""
        lengths = np.array([self.length(item) for item in items])
        present = np.arange(lengths.max())[None, :] < lengths[:, None]
        ids, mask = np.zeros((2, *present.shape), dtype=np.int64)
        ids[present] = np.concatenate([_text(item).input_ids[:n] for item, n in zip(items, lengths, strict=True)])
        mask[present] = np.concatenate([self._attended(_text(item), n) for item, n in zip(items, lengths, strict=True)])
        arrays = {"input_ids": ids, "attention_mask": mask}
        if self._takes_types:
            types = np.zeros_like(ids)
            types[present] = np.concatenate([_types(_text(item))[:n] for item, n in zip(items, lengths, strict=True)])
            arrays["token_type_ids"] = types
        if self._first_position is None:
            return arrays
        positions = np.full(present.shape, self._first_position, dtype=np.int64)
        positions[present] = np.concatenate(
            [_positions(_original(item)[:n], self._first_position) for item, n in zip(items, lengths, strict=True)]
        )
        return arrays | {"position_ids": positions}

    def identity(self, item: PerturbedInput) -> Hashable:
        """A digest of the arrays: the texts of two rows without their content are one input when they have one length."""
        joint = hashlib.sha256()
        for array in self.arrays([item]).values():
            joint.update(array.tobytes())
        return joint.digest()

    def _attended(self, item: PerturbedText, length: int) -> BoolArray:
        attended = np.ones(length, dtype=bool) if item.attended is None else item.attended[:length]
        if self._reads_last and not attended[-1]:
            raise InputError(
                "the token that this model reads its answer from cannot be deleted from the attention mask",
                next_step="set quality.perturbation to replace",
            )
        return attended


def _types(item: PerturbedText) -> IntArray:
    return np.zeros(len(item.input_ids), dtype=np.int64) if item.token_types is None else item.token_types


def _original(item: PerturbedInput) -> IntArray:
    """Token ids before anything was replaced, `seq`."""
    text = _text(item)
    return text.input_ids if text.original_ids is None else text.original_ids


def _positions(ids: IntArray, padding_id: int) -> IntArray:
    """`seq`: counted from `padding_id` + 1 over tokens that are not padding; padding itself is at `padding_id`."""
    present = ids != padding_id
    return np.where(present, padding_id + np.cumsum(present), padding_id)


class ImageCollator:
    """Takes removed patches from the black image, as the processor gives it ((0 − mean) / std), or from the blurred one."""

    def __init__(self, processor: Any, *, patch_size: int) -> None:
        self._patch_size = patch_size
        self._pixels = lru_cache(maxsize=_IMAGES_KEPT)(_pixel_reader(processor))

    def length(self, item: PerturbedInput) -> int:
        """Patches of `item` and the read-out token."""
        return _image(item).removed.size + 1

    def arrays(self, items: Sequence[PerturbedInput]) -> Arrays:
        """`pixel_values`, float32 `batch channels height width`."""
        return {"pixel_values": np.stack([self._without(_image(item)) for item in items])}

    def identity(self, item: PerturbedInput) -> Hashable:
        """The picture and what is taken from it; pixels are not looked at."""
        image = _image(item)
        return image.path, image.fill, image.removed.tobytes()

    def _without(self, item: PerturbedImage) -> NDArray[np.float32]:
        pixels, fill = self._pixels(item.path, item.fill)
        rows, columns = (side // self._patch_size for side in pixels.shape[-2:])
        if item.removed.size != rows * columns:
            raise CouldNotRunError(
                f"the attribution of {item.path} does not fit its image",
                got=f"{item.removed.size} patches",
                allowed=f"{rows * columns} patches",
            )
        block = np.ones((self._patch_size, self._patch_size), dtype=bool)
        mask = np.zeros(pixels.shape[-2:], dtype=bool)
        mask[: rows * self._patch_size, : columns * self._patch_size] = np.kron(item.removed.reshape(rows, columns), block)
        return np.where(mask, fill, pixels)


def batches(lengths: Sequence[int], *, batch_tokens: int) -> Iterator[list[int]]:
    """Indices grouped by length, shortest first, at most `batch_tokens` tokens to a batch.

    Nothing is padded: a row's perturbed inputs have one length, so batches fill all the same, and a decoder's read-out
    stays at the last position.
    """
    batch: list[int] = []
    for index in np.argsort(lengths, kind="stable").tolist():
        if batch and (lengths[index] != lengths[batch[0]] or lengths[index] * (len(batch) + 1) > batch_tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _pixel_reader(processor: Any) -> Callable[[Path, ImageFill], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    from calig.baselines import IMAGE_BASELINES
    from calig.pictures import open_picture

    def read(path: Path, fill: ImageFill) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The image's pixels and those of its black or blurred copy, `channels height width`."""
        try:
            image = open_picture(path)
        except InvalidInputError as error:
            raise CouldNotRunError(f"cannot read the image {path}", got=error) from error
        both = processor(images=[image, IMAGE_BASELINES[fill](image)], return_tensors="pt")["pixel_values"].numpy()
        return both[0], both[1]

    return read


def _text(item: PerturbedInput) -> PerturbedText:
    if not isinstance(item, PerturbedText):
        raise CouldNotRunError("a text model cannot score an image")
    return item


def _image(item: PerturbedInput) -> PerturbedImage:
    if not isinstance(item, PerturbedImage):
        raise CouldNotRunError("an image model cannot score a text")
    return item
