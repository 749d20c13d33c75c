"""Patterns on pictures: the same every time, where they belong, and a planted one stands out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common.errors import CouldNotRunError, InputError
from components.probe import choose_pictures, compare_effects, effects_of, pattern_logits, patterns
from components.probe.patches import paste
from schemas.base import CheckVerdict
from schemas.config import ProbeConfig
from schemas.probe import PatchContext

LABELS = ("CIRCLE", "SQUARE")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    random = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return paths


class Brightness:
    """Logits by mean colour, and by how many pure yellow pixels there are when that was planted."""

    def __init__(self, seed: int, *, planted: float = 0.0) -> None:
        self.seed, self.planted = seed, planted

    def __call__(self, paths):
        return np.stack([self._logits(np.asarray(Image.open(path).convert("RGB"), dtype=float)) for path in paths])

    def _logits(self, pixels):
        noise = np.random.default_rng([self.seed, int(pixels.sum())]).normal(0, 0.02, 2)
        yellow = float((pixels == [255, 255, 0]).all(-1).any())
        return noise + np.array([0.0, pixels.mean() / 255 + self.planted * yellow])


def test_patterns_are_enough_distinct_and_the_same_every_time():
    first, second = patterns(), patterns()
    assert list(first) == list(second)
    assert all((first[name][0] == second[name][0]).all() for name in first)
    assert len({(tile.tobytes(), share) for tile, share in first.values()}) == len(first) >= 30


@pytest.mark.parametrize(("place", "box"), [((0.0, 0.0), (0, 0)), ((0.5, 0.5), (15, 25)), ((1.0, 1.0), (30, 50))])
def test_a_pattern_is_pasted_where_it_was_asked_for_and_nowhere_else(place, box):
    ground = Image.new("RGB", (60, 40), (10, 20, 30))
    pixels = np.asarray(paste(ground, np.full((6, 6, 3), 200, dtype=np.uint8), 0.25, place))
    changed = np.argwhere((pixels != [10, 20, 30]).any(-1))
    assert changed.min(0).tolist() == list(box)
    assert len(changed) == 10 * 10  # a quarter of the shorter side, 40
    assert ground.getpixel((0, 0)) == (10, 20, 30), "the picture itself stays"


def test_the_planted_pattern_stands_out(pictures):
    contexts = choose_pictures(Brightness(0), pictures, 4)
    sides = [effects_of(pattern_logits(s, contexts)) for s in (Brightness(0), Brightness(1, planted=5.0), Brightness(2))]
    question = {"labels": LABELS, "decided_on": "2026-01-31", "unit": "pattern"}
    config = ProbeConfig(z=6.0)
    planted = compare_effects(sides[0], sides[1], list(patterns()), contexts, config=config, **question)
    firing = [word for word in planted.words if word.severity]
    assert firing
    assert all("yellow" in word.word for word in firing)
    assert "the pattern “" in planted.reason
    assert "data set" not in planted.reason
    assert planted.verdict is CheckVerdict.PASS, "without twins patterns only warn: our experiment was on words"
    honest = compare_effects(sides[0], sides[2], list(patterns()), contexts, config=config, **question)
    assert not [word for word in honest.words if word.severity]
    measured = compare_effects(sides[0], sides[1], list(patterns()), contexts, config=config, twins=[sides[2]], **question)
    assert measured.verdict is CheckVerdict.FAIL


def test_too_few_pictures_and_broken_ones_are_named(pictures, tmp_path):
    with pytest.raises(InputError, match="too few pictures"):
        choose_pictures(Brightness(0), pictures, 7)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(CouldNotRunError, match=r"broken\.png"):
        pattern_logits(Brightness(0), [PatchContext(path=tmp_path / "broken.png", place=(0.5, 0.5))])
