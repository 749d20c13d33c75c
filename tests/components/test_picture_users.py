"""Attribution, scoring, report and probe see one picture: turned, in RGB, eight bits. Oracle: transformers' own loading."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoImageProcessor
from transformers.image_utils import load_image

from calig.metrics.perturbation import PerturbedImage
from components.attribution.running import encode_examples
from components.probe.patches import paste
from components.registry.evaluate import write_rows
from components.report.drawing.heat import picture
from components.scoring.batches import ImageCollator
from schemas.config import AttributionConfig
from schemas.release import Example
from tests.helpers.tiny_models import save_tiny_vit


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A wide picture with transparency that is to be turned by 90 degrees."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 40, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    return tmp_path / "turned.png"


def test_attribution_and_scoring_give_the_model_the_same_pixels(turned: Path, tmp_path: Path) -> None:
    from calig import load_model

    save_tiny_vit(tmp_path / "vit")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "vit")
    expected = processor(images=load_image(str(turned)), return_tensors="np")["pixel_values"]

    model, _ = load_model(tmp_path / "vit", device="cpu")
    ((_, document),), problems = encode_examples([Example(row=0, id="0", image=turned)], model, processor, AttributionConfig())
    assert problems == {}
    np.testing.assert_array_equal(document.whole.inputs["pixel_values"], expected)

    size = model.config.patch_size
    whole = PerturbedImage(turned, np.zeros((model.config.image_size // size) ** 2, dtype=bool))
    scored = ImageCollator(processor, patch_size=size).arrays([whole])["pixel_values"]
    np.testing.assert_array_equal(scored, expected)


def test_the_report_and_the_probe_see_it_upright(turned: Path, tmp_path: Path) -> None:
    shown = picture(turned, tmp_path)
    assert shown is not None
    assert (shown.width, shown.height) == (24, 40)
    pasted = paste(load_image(str(turned)), np.zeros((6, 6, 3), dtype=np.uint8), 0.2, (0.5, 0.5))
    assert (pasted.mode, pasted.size) == ("RGB", (24, 40))


def test_pictures_that_mlflow_evaluates_are_copied_beside_the_rows(turned: Path, tmp_path: Path) -> None:
    import pandas as pd

    from components.datasets import load

    class Evaluated:
        features_data = pd.DataFrame({"image": [str(turned), "absent.png", None]})
        labels_data = None

    folder = tmp_path / "rows"
    folder.mkdir()
    path = write_rows(Evaluated(), folder / "evaluated.jsonl", text_column=None)
    examples = load(path, limit=None, labels=(), modality="image")[1]
    assert examples[0].problem is None
    assert examples[0].image == folder / "pictures" / "0.png"
    assert [example.problem for example in examples[1:]] == [
        "the image file does not exist: absent.png",
        "the row names no image file",
    ]
    assert [json.loads(line)["image"] for line in path.read_text().splitlines()] == ["pictures/0.png", "absent.png", None]
