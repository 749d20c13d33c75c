"""Pictures are prepared as transformers' own loading does, and 16 bits are scaled. Oracle: transformers, the model's logits."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.image_utils import load_image
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from calig import InvalidInputError, UnsupportedModelError, explain
from calig.pictures import MAX_PIXELS, open_picture, prepared
from tests.helpers.tiny_families import tiny

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
COLOUR = Image.fromarray(PIXELS)


def _with_orientation(folder: Path, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / f"{orientation}.png"
    COLOUR.save(path, exif=exif)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_turned_as_transformers_does(tmp_path: Path, orientation: int, vit: Any) -> None:
    path = _with_orientation(tmp_path, orientation)
    expected = load_image(str(path))
    np.testing.assert_array_equal(np.asarray(open_picture(path)), np.asarray(expected))
    np.testing.assert_array_equal(np.asarray(prepared(Image.open(path))), np.asarray(expected))

    model, processor = vit
    with torch.no_grad():
        logits = model(processor(images=expected, return_tensors="pt")["pixel_values"].double()).logits[0]
    found = explain(model, processor, [Image.open(path)])[0]
    np.testing.assert_allclose(found.logits, logits, atol=1e-6)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_modes_are_converted_as_transformers_does(mode: str) -> None:
    grey = COLOUR.convert("L")
    picture = (COLOUR if mode not in {"1", "L", "LA"} else grey).convert(mode)
    np.testing.assert_array_equal(np.asarray(prepared(picture)), np.asarray(load_image(picture)))


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_sixteen_bits_are_the_same_picture_as_eight(tmp_path: Path, ending: str) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / f"deep.{ending}")
    found = np.asarray(open_picture(tmp_path / f"deep.{ending}"))
    np.testing.assert_array_equal(found, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_numbers_without_a_range_are_refused(kind: Any, vit: Any) -> None:
    picture = Image.fromarray(np.full((8, 8), 30_000, dtype=kind))
    with pytest.raises(InvalidInputError, match="without a fixed range"):
        prepared(picture)
    with pytest.raises(InvalidInputError, match="without a fixed range"):
        explain(*vit, [picture])


def _png_of_size(path: Path, side: int) -> Path:
    """A small file that says it holds `side` × `side` pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def test_files_that_are_no_pictures_are_refused_without_reading_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    COLOUR.save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:-200])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "script.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    os.mkfifo(tmp_path / "fifo.png")
    for name, words in [
        ("cut.jpg", "cannot be read"),
        ("text.png", "cannot be read: UnidentifiedImageError"),
        ("script.eps", "cannot be read: UnidentifiedImageError"),  # EPS would start Ghostscript
        ("fifo.png", "not a regular file"),
        ("absent.png", "cannot be read: FileNotFoundError"),
        (_png_of_size(tmp_path / "bomb.png", 60_000), "cannot be read: DecompressionBombError"),
        (_png_of_size(tmp_path / "large.png", int(MAX_PIXELS**0.5) + 1), "too many pixels"),
    ]:
        with pytest.raises(InvalidInputError, match=words):
            open_picture(tmp_path / name)
    with pytest.raises(InvalidInputError, match="not a regular file"):
        open_picture("/dev/zero")
    monkeypatch.setattr("calig.pictures.MAX_BYTES", 100)
    with pytest.raises(InvalidInputError, match="file is too large"):
        open_picture(tmp_path / "whole.jpg")


def test_a_processor_that_does_not_fit_the_model_is_refused(vit: Any) -> None:
    import copy

    model, processor = vit
    larger = copy.deepcopy(processor)
    larger.size = {"height": 64, "width": 64}
    with pytest.raises(InvalidInputError, match=r"other pixels than the model takes\ngot: \(3, 64, 64\)"):
        explain(model, larger, [COLOUR])
    grey = copy.deepcopy(model)
    grey.config.num_channels = 1
    with pytest.raises(InvalidInputError, match="num_channels = 1"):
        explain(grey, processor, [COLOUR])


def test_dinov2_takes_squares_of_any_size_and_no_other_shape() -> None:
    """Its table of positions is interpolated for squares; pictures of different grids have no positions in common."""
    model = tiny("dinov2").float()
    squares, oblongs = (ViTImageProcessorPil(size={"height": 16, "width": width}, do_normalize=False) for width in (16, 24))
    result = explain(model, squares, COLOUR, n_points=2)[0]
    assert len(result.values) == 1 + 16
    with pytest.raises(InvalidInputError, match=r"(?s)got: \(3, 16, 24\).*do_center_crop"):
        explain(model, oblongs, COLOUR)


def test_patches_that_are_no_squares_are_refused() -> None:
    model = tiny("vit").float()
    model.config.patch_size = (4, 2)
    with pytest.raises(UnsupportedModelError, match="patches are no squares"):
        explain(model, ViTImageProcessorPil(size={"height": 16, "width": 16}), COLOUR)
