"""Pictures of the report: the part the model saw, the shape of the grid, colours by sign, bounded size."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image

from components.report.drawing import heat


def _decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def test_a_grid_has_one_even_field_per_patch_coloured_by_sign() -> None:
    image = _decoded(heat.grid([1.0, -0.5, 0.0, 0.5, -1.0, 0.0], (2, 3), 1.0, (30, 20)))
    assert image.size == (30, 20)
    supports, opposes, nothing = (image.getpixel(at) for at in ((5, 5), (15, 5), (25, 5)))
    assert supports[2] > supports[0]  # blue
    assert opposes[0] > opposes[2]  # orange
    assert nothing[3] == 0
    assert supports[3] == 2 * opposes[3] + 1 or supports[3] == 2 * opposes[3] - 1  # half as strong, half as opaque (rounded)
    assert image.getpixel((9, 9)) == supports
    assert image.getpixel((10, 9)) == opposes


@pytest.mark.parametrize(
    ("names", "shape"),
    [
        ([f"patch {r},{c}" for r in range(2) for c in range(5)], (2, 5)),
        (["p"] * 9, (3, 3)),
        (["p"] * 8, None),
        ([], None),
    ],
)
def test_grid_shape(names: list[str], shape: tuple[int, int] | None) -> None:
    assert heat.grid_shape(names) == shape


@pytest.mark.parametrize(
    ("settings", "box"),
    [
        (None, (0, 0, 400, 200)),
        ({"do_center_crop": False, "size": {"height": 224, "width": 224}}, (0, 0, 400, 200)),
        # shortest edge 200 → 256, crop 224: 224 · 200/256 = 175 pixels of the original
        (
            {"do_center_crop": True, "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}},
            (112, 12, 287, 187),
        ),
        # squeezed to 256 × 256, crop 224: 350 of 400 across, 175 of 200 down
        (
            {"do_center_crop": True, "size": {"height": 256, "width": 256}, "crop_size": {"height": 224, "width": 224}},
            (25, 12, 375, 187),
        ),
        ({"do_center_crop": True, "size": 256}, (0, 0, 400, 200)),
    ],
)
def test_the_part_the_model_saw(tmp_path: Path, settings: object, box: tuple[int, int, int, int]) -> None:
    if settings is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    assert heat.seen_box(tmp_path, (400, 200)) == box


def test_pictures_are_shrunk_and_keep_their_shape(tmp_path: Path) -> None:
    Image.effect_noise((3000, 1500), 80).convert("RGB").save(tmp_path / "big.png")
    seen = heat.picture(tmp_path / "big.png", tmp_path)
    assert seen is not None
    assert (seen.width, seen.height) == (heat.MAX_SIDE, heat.MAX_SIDE // 2)
    assert _decoded(seen.colour).size == _decoded(seen.ground).size == (seen.width, seen.height)
    assert len(seen.colour) + len(seen.ground) < 150_000


def test_a_picture_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert heat.picture(tmp_path / "broken.png", tmp_path) is None
    assert heat.picture(tmp_path / "missing.png", tmp_path) is None
