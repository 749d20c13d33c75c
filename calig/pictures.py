"""Pictures as a model's users prepare them: upright, RGB, eight bits per channel. Needs no torch, so that every part can use it.

Follows `transformers.image_utils.load_image`, which turns a picture by its EXIF orientation and converts it to RGB (an alpha
channel is dropped). It differs where that would lose the picture: 16-bit values are scaled, not cut off at 255.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from calig.errors import InvalidInputError

#: A larger file, or a picture of more pixels, is refused before it is decoded.
MAX_BYTES = 256 * 2**20
MAX_PIXELS = 2**26

#: Picture formats without programs inside (EPS runs Ghostscript) and without references to other files.
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")

#: Row and column in the name of a patch.
PATCH_PLACE = re.compile(r"(\d+)\D+(\d+)\D*$")

#: 65535 / 255: scales 16 bits to 8 so that black stays black and white stays white.
_TO_EIGHT_BITS = 257


def open_picture(path: str | Path) -> Image.Image:
    """The picture in a file, prepared.

    Raises:
        InvalidInputError: not a regular file, too large, damaged, or of a mode that has no fixed range of values.
    """
    try:
        with open(path, "rb", opener=_open_regular_file) as stream, Image.open(stream, formats=_known_formats()) as picture:
            return prepared(picture)
    except InvalidInputError:
        raise
    except Exception as error:  # decoders raise many kinds, SyntaxError and DecompressionBombError among them
        raise InvalidInputError(f"the image cannot be read: {type(error).__name__}\ngot: {str(path)[:300]!r}") from error


def prepared(picture: Image.Image) -> Image.Image:
    """The picture upright, in RGB, with eight bits per channel.

    Raises:
        InvalidInputError: too many pixels, damaged, or of a mode that has no fixed range of values.
    """
    if picture.width * picture.height > MAX_PIXELS:
        raise InvalidInputError(
            f"the image has too many pixels\ngot: {picture.width} x {picture.height}\nallowed: {MAX_PIXELS} pixels"
        )
    if picture.mode in {"I", "F"}:
        raise InvalidInputError(
            f"the image holds numbers without a fixed range\ngot: mode {picture.mode!r} (32 bits per pixel)"
            "\nallowed: 8 or 16 bits per channel\nnext: scale the values to 0 … 255 and save it as 8 bit"
        )
    try:
        upright = ImageOps.exif_transpose(picture)
        return (_eight_bits(upright) if picture.mode.startswith("I;16") else upright).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInputError(f"the image cannot be read: {type(error).__name__}\ngot: mode {picture.mode!r}") from error


def _eight_bits(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.round(np.asarray(picture) / _TO_EIGHT_BITS).astype(np.uint8))


def _known_formats() -> list[str]:
    """Those of `_FORMATS` that this Pillow can read."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


def _open_regular_file(path: str, flags: int) -> int:
    """Open without waiting, as opening a FIFO would; the check is on what was opened, so it cannot be swapped afterwards."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
        return descriptor
    os.close(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(f"the image is not a regular file\ngot: {path[:300]!r}")
    raise InvalidInputError(f"the image file is too large\ngot: {found.st_size} bytes\nallowed: {MAX_BYTES} bytes")
