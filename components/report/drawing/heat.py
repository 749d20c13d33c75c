"""Relevance as colour: a text cut into pieces with a level each; pictures and grids of patches as data URIs of bounded size.

Grids are aligned with what the model saw.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image, ImageOps

from calig.errors import InvalidInputError
from calig.pairs import SIDES
from calig.pictures import PATCH_PLACE, open_picture

LEVELS = 8
MAX_CHARACTERS = 6000


class Spanned(Protocol):
    """A stretch of text, in characters, end exclusive."""

    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the text. `value` is None between words; `level` runs from −8 (opposes) to 8 (supports).

    side_name: not of the text, but the name of the text of a pair that begins here.
    """

    text: str
    value: float | None = None
    level: int = 0
    side_name: bool = False


def level(value: float, scale: float) -> int:
    """Colour level −8…8 of `value` where `scale` (> 0) is full colour; anything above half a level is visible, NaN is not."""
    if not (math.isfinite(value) and 0 < scale < math.inf):
        return 0
    return max(-LEVELS, min(LEVELS, round(LEVELS * value / scale)))


def scale_of(values: Iterable[float]) -> float:
    """The largest finite size among the values: full colour; 0 when there are none."""
    return max((abs(value) for value in values if math.isfinite(value)), default=0.0)


def pieces(
    text: str, words: Sequence[Spanned], values: Sequence[float], scale: float, pair_start: int | None = None
) -> tuple[Piece, ...]:
    """The first `MAX_CHARACTERS` of the text, cut into words and what lies between them; joined they are that text.

    `words` are sorted by start; a word that overlaps its predecessor keeps only what is left of it. Both texts of a pair, the
    second from `pair_start` on, come after their names.
    """
    text = text[:MAX_CHARACTERS]
    result = [] if pair_start is None else [Piece(SIDES[0], side_name=True)]
    at = 0
    for word, value in zip(words, values, strict=True):
        start, end = max(word.start, at), min(word.end, len(text))
        if start >= end:
            continue
        result += _between(text, at, start, pair_start)
        result.append(Piece(text[start:end], value, level(value, scale)))
        at = end
    return (*result, *_between(text, at, len(text), pair_start))


def _between(text: str, start: int, end: int, pair_start: int | None) -> Iterator[Piece]:
    """What lies between two words; where the second text of a pair begins, its name goes before it."""
    if pair_start is not None and start < pair_start <= end:
        yield Piece(text[start:pair_start])
        yield Piece(SIDES[1], side_name=True)
        start = pair_start
    if start < end:
        yield Piece(text[start:end])


def characters_left_out(text: str) -> int:
    """How many characters of the text are not drawn."""
    return max(0, len(text) - MAX_CHARACTERS)


MAX_SIDE = 320
SMALL_SIDE = 192
SUPPORTS, OPPOSES = (0, 94, 190), (222, 106, 0)
MAX_ALPHA = 215


@dataclass(frozen=True, slots=True)
class Picture:
    """Data URIs of the picture in colour and as a pale grey ground for a grid, both `width` × `height` pixels."""

    colour: str
    ground: str
    width: int
    height: int


def picture(path: Path, processor: Path) -> Picture | None:
    """The part of the picture that the model saw, at most `MAX_SIDE` long; None when the file cannot be read."""
    image = _seen(path, processor, MAX_SIDE)
    return None if image is None else Picture(_jpeg(image), _jpeg(_ground(image)), *image.size)


def thumbnail(path: Path, processor: Path) -> bytes:
    """The same as a JPEG of at most `SMALL_SIDE` pixels; empty when the file cannot be read."""
    image = _seen(path, processor, SMALL_SIDE)
    return b"" if image is None else _bytes(image, "JPEG", quality=80)


def seen_box(processor: Path, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what the image processor keeps: all of it, unless it crops the centre."""
    width, height = size
    crop = _centre_crop(processor)
    if crop is None:
        return 0, 0, width, height
    resized, cropped = crop
    per_y, per_x = (height / resized[0], width / resized[1]) if len(resized) == 2 else (min(size) / resized[0],) * 2
    kept_x, kept_y = min(width, round(cropped[1] * per_x)), min(height, round(cropped[0] * per_y))
    left, top = (width - kept_x) // 2, (height - kept_y) // 2
    return left, top, left + kept_x, top + kept_y


def grid_shape(names: Sequence[str]) -> tuple[int, int] | None:
    """Rows and columns of the patches: read off names that end in two numbers, else a square; None when neither fits."""
    found = [PATCH_PLACE.search(name) for name in names]
    if names and all(found):
        places = [(int(match[1]), int(match[2])) for match in found if match]
        rows, columns = (max(place[axis] for place in places) - min(place[axis] for place in places) + 1 for axis in (0, 1))
        if rows * columns == len(names):
            return rows, columns
    side = math.isqrt(len(names))
    return (side, side) if names and side * side == len(names) else None


def grid(values: Sequence[float], shape: tuple[int, int], scale: float, size: tuple[int, int]) -> str:
    """A grid of `size` pixels, one even field per patch: blue supports, orange opposes, more opaque with strength."""
    image = Image.new("RGBA", (shape[1], shape[0]))
    image.putdata([_colour(value, scale) for value in values])
    return _encoded(image.resize(size, Image.Resampling.NEAREST), "PNG")


def grid_size(shape: tuple[int, int], seen: Picture | None) -> tuple[int, int]:
    """Width and height of a grid: the picture's, or 16 pixels per patch without one."""
    return (seen.width, seen.height) if seen else (16 * shape[1], 16 * shape[0])


def _seen(path: Path, processor: Path, side: int) -> Image.Image | None:
    try:
        image = open_picture(path)
    except InvalidInputError:
        return None
    image = image.crop(seen_box(processor, image.size))
    image.thumbnail((side, side))
    return image


def _colour(value: float, scale: float) -> tuple[int, int, int, int]:
    strength = min(1.0, abs(value) / scale) if scale > 0 else 0.0
    return (*(SUPPORTS if value > 0 else OPPOSES), round(MAX_ALPHA * strength))


def _centre_crop(processor: Path) -> tuple[tuple[int, ...], tuple[int, int]] | None:
    """What it resizes to (shortest edge, or height, width) and the height, width it keeps; None without a crop."""
    try:
        settings = json.loads((processor / "preprocessor_config.json").read_text(encoding="utf-8"))
        if not settings.get("do_center_crop"):
            return None
        size, crop = settings["size"], settings["crop_size"]
        resized = (size["shortest_edge"],) if "shortest_edge" in size else (size["height"], size["width"])
        return resized, (crop["height"], crop["width"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ground(image: Image.Image) -> Image.Image:
    """Grey and lightened, so that the grid's colours are the only ones and the picture stays readable."""
    return Image.blend(ImageOps.grayscale(image).convert("RGB"), Image.new("RGB", image.size, "white"), 0.45)


def _jpeg(image: Image.Image) -> str:
    return _encoded(image, "JPEG", quality=82)


def _encoded(image: Image.Image, kind: str, **options: int) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(_bytes(image, kind, **options)).decode()}"


def _bytes(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, optimize=True, **options)
    return buffer.getvalue()
