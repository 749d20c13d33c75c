"""The image scorer against transformers on images whose patches were blackened by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from transformers import AutoImageProcessor, AutoModelForImageClassification

from calig.metrics.perturbation import PerturbedImage
from components.common.errors import CouldNotRunError
from components.scoring import TokenScorer, open_scorer
from schemas.quality import ScorerRecord
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import save_tiny_vit

ATOL = 2e-5
KEEP_ALL = np.zeros(16, dtype=bool)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vit")
    save_tiny_vit(folder)
    pixels = np.random.default_rng(0).integers(0, 256, size=(3, 32, 32, 3), dtype=np.uint8)
    for index, values in enumerate(pixels):
        Image.fromarray(values).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def opened(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenScorer, ScorerRecord]:
    whole = [PerturbedImage(folder / f"{index}.png", KEEP_ALL) for index in range(3)]
    return open_scorer(snapshot_of(folder), runtime="auto", workspace=tmp_path_factory.mktemp("w"), parity_inputs=whole)


def plain_logits(folder: Path, image: Image.Image) -> np.ndarray:
    model = AutoModelForImageClassification.from_pretrained(folder).eval()
    pixels = AutoImageProcessor.from_pretrained(folder)(images=image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        return model(pixel_values=pixels).logits.numpy()[0]


def test_onnxruntime_agrees_on_whole_images(opened: tuple[TokenScorer, ScorerRecord]) -> None:
    assert opened[1].runtime == "onnxruntime", opened[1].fallback_reason
    assert opened[1].parity_max_abs is not None
    assert opened[1].parity_max_abs < ATOL


@pytest.mark.parametrize("removed", [[], [0], [3, 4, 15], list(range(16))])
def test_removed_patches_are_black_and_the_others_untouched(
    opened: tuple[TokenScorer, ScorerRecord], folder: Path, removed: list[int]
) -> None:
    with Image.open(folder / "1.png") as file:
        image = file.convert("RGB")
    for patch in removed:
        image.paste((0, 0, 0), (8 * (patch % 4), 8 * (patch // 4), 8 * (patch % 4) + 8, 8 * (patch // 4) + 8))
    mask = KEEP_ALL.copy()
    mask[removed] = True
    items = [PerturbedImage(folder / "0.png", KEEP_ALL), PerturbedImage(folder / "1.png", mask)]
    np.testing.assert_allclose(opened[0].logits(items)[1], plain_logits(folder, image), atol=ATOL)


def test_blurred_patches_are_those_of_the_attribution_baseline(opened: tuple[TokenScorer, ScorerRecord], folder: Path) -> None:
    """The blur of calig.baselines: a Gaussian 0.15 of the smaller side wide, over the whole image, of which patches are taken."""
    with Image.open(folder / "1.png") as file:
        image = file.convert("RGB")
    blurred = image.filter(ImageFilter.GaussianBlur(0.15 * 32))
    image.paste(blurred.crop((8, 16, 16, 24)), (8, 16))
    mask = KEEP_ALL.copy()
    mask[2 * 4 + 1] = True
    logits = opened[0].logits([PerturbedImage(folder / "1.png", mask, "blur"), PerturbedImage(folder / "1.png", mask)])
    np.testing.assert_allclose(logits[0], plain_logits(folder, image), atol=ATOL)
    assert np.abs(logits[0] - logits[1]).max() > 1e-2


def test_a_map_of_another_size_is_an_error(opened: tuple[TokenScorer, ScorerRecord], folder: Path) -> None:
    with pytest.raises(CouldNotRunError, match="16 patches"):
        opened[0]([PerturbedImage(folder / "0.png", np.zeros(9, dtype=bool))])


def test_a_missing_image_is_an_error(opened: tuple[TokenScorer, ScorerRecord], folder: Path) -> None:
    with pytest.raises(CouldNotRunError, match=r"cannot read the image .*absent\.png"):
        opened[0]([PerturbedImage(folder / "absent.png", KEEP_ALL)])
