"""The attempt to falsify the maps, on the real engine: which rows, which numbers, and that the model comes back as it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from calig import explain
from calig.metrics.infidelity import each_uniform_shift
from calig.randomisation import cascade
from components.attribution import explain_shard, falsification_steps, falsify
from components.attribution.running import load_classifier
from components.common.errors import InputError
from schemas.config import AttributionConfig, QualityConfig
from schemas.quality import Falsification
from schemas.release import Example, ModelSnapshot
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_models import WORDS, save_tiny_bert, save_tiny_vit

SETTINGS = AttributionConfig(device="cpu", dtype="float64")
QUALITY = QualityConfig(falsification_rows=3, sensitivity_draws=4)
N = 8


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> ModelSnapshot:
    return snapshot_of(save_tiny_bert(tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, size=5 + row % 3)) for row in range(N)]
    rows = [Example(row=row, id=f"r{row}", text=text, label="POS") for row, text in enumerate(texts)]
    return [*rows, Example(row=N, id="empty", text="", problem="the text is empty")]


@pytest.fixture(scope="module")
def table(snapshot: ModelSnapshot, examples: list[Example], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return explain_shard(snapshot, examples, SETTINGS, index=0, path=tmp_path_factory.mktemp("table") / "a.parquet").path


def attempt(snapshot, examples, table, *, settings=SETTINGS, quality=QUALITY, progress=None) -> Falsification:
    return falsify(snapshot, examples, [table], settings=settings, quality=quality, progress=progress)


def model_of(snapshot: ModelSnapshot):
    return load_classifier(snapshot.model_path, snapshot.processor_path, SETTINGS.dtype, SETTINGS.device)


def digest(model) -> str:
    return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()


def test_numbers_equal_the_literal_version(snapshot, examples, table):
    """Row by row with the library alone: fresh models from `cascade`, SciPy's Spearman; nudges added by a hook."""
    model, tokenizer = model_of(snapshot)
    before, told = digest(model), []
    found = attempt(snapshot, examples, table, progress=told.append)
    assert digest(model) == before
    assert found.stages == ("head", "block 2", "block 1", "embeddings")
    assert sum(told) == falsification_steps(snapshot, N, SETTINGS, QUALITY) == 3 * (1 + 4 + 4)
    for row in found.rows:
        text = examples[row.row].text
        original = explain(model, tokenizer, text)[0]
        maps = [explain(copy, tokenizer, text, target=original.target)[0].values for _, copy in cascade(model, seed=0)]
        own, others = original.values[1:-1], [values[1:-1] for values in maps]
        np.testing.assert_allclose(row.signed, [stats.spearmanr(own, other).statistic for other in others], atol=1e-9)
        np.testing.assert_allclose(row.absolute, [stats.spearmanr(abs(own), abs(o)).statistic for o in others], atol=1e-9)
    # the first row's largest change, one nudge at a time: δ after the embeddings is δ on h⁰, at x but not at x'
    row = found.rows[0]
    text = examples[row.row].text
    original = explain(model, tokenizer, text)[0]
    shape = (len(original.tokens), 32)
    changes = []
    for delta in each_uniform_shift(shape, draws=4, radius=0.02, seed=0, row=row.row):
        values = explain_nudged(model, tokenizer, text, torch.tensor(delta), original)
        changes.append(np.linalg.norm((values - original.values)[1:-1]) / np.linalg.norm(original.values[1:-1]))
    assert row.max_sensitivity == pytest.approx(max(changes), rel=1e-6)


def explain_nudged(model, tokenizer, text, delta, original):
    """Explain with δ added behind the embedding layer whenever the real input, not the baseline, comes out of it."""
    with torch.no_grad():
        real = model.bert.embeddings(input_ids=torch.tensor([original.input_ids]))

    def nudged(_module, _inputs, output):
        is_real = torch.isclose(output, real).all(dim=(1, 2))
        return output + delta * is_real[:, None, None]

    nudge = model.bert.embeddings.register_forward_hook(nudged)
    try:
        return explain(model, tokenizer, text, target=original.target)[0].values
    finally:
        nudge.remove()


def test_rows_are_a_seeded_sample_of_the_explained_ones(snapshot, examples, table):
    first, again = attempt(snapshot, examples, table), attempt(snapshot, examples, table)
    assert first == again
    other = attempt(snapshot, examples, table, quality=QUALITY.model_copy(update={"seed": 1}))
    assert [row.id for row in other.rows] != [row.id for row in first.rows]
    everything = attempt(snapshot, examples, table, quality=QUALITY.model_copy(update={"falsification_rows": 50}))
    assert [row.row for row in everything.rows] == list(range(N)), "the row without an attribution is left out"


def test_a_wider_nudge_moves_the_maps_more(snapshot, examples, table):
    near = attempt(snapshot, examples, table)
    far = attempt(snapshot, examples, table, quality=QUALITY.model_copy(update={"sensitivity_radius": 0.2}))
    for a, b in zip(near.rows, far.rows, strict=True):
        assert 0 < a.max_sensitivity < b.max_sensitivity


@pytest.mark.parametrize("target", ["margin", "gold", "NEG"])
def test_other_targets_stay_fixed(snapshot, examples, table, target):
    found = attempt(snapshot, examples, table, settings=SETTINGS.model_copy(update={"target": target}))
    for row in found.rows:
        assert row.max_sensitivity < 0.5, "a nudge of 0.02 that switched the class would turn the map around"


def test_short_texts_have_no_order(snapshot, tmp_path):
    examples = [Example(row=0, id="short", text="good film")]
    path = explain_shard(snapshot, examples, SETTINGS, index=0, path=tmp_path / "a.parquet").path
    (row,) = attempt(snapshot, examples, path).rows
    assert row.signed == row.absolute == (None,) * 4
    assert row.max_sensitivity > 0


def test_without_rows_there_is_nothing_to_find(snapshot, tmp_path):
    examples = [Example(row=0, id="empty", text="", problem="the text is empty")]
    path = explain_shard(snapshot, examples, SETTINGS, index=0, path=tmp_path / "a.parquet").path
    assert attempt(snapshot, examples, path).rows == ()


def test_images(tmp_path):
    snapshot = snapshot_of(save_tiny_vit(tmp_path / "vit"))
    random = np.random.default_rng(0)
    examples = []
    for row in range(2):
        Image.fromarray(random.integers(0, 256, size=(40, 48, 3), dtype=np.uint8)).save(tmp_path / f"{row}.png")
        examples.append(Example(row=row, id=f"r{row}", image=tmp_path / f"{row}.png"))
    path = explain_shard(snapshot, examples, SETTINGS, index=0, path=tmp_path / "a.parquet").path
    found = attempt(snapshot, examples, path)
    assert len(found.rows) == 2
    for row in found.rows:
        assert 0 < row.max_sensitivity < 1
        assert abs(row.absolute[-1]) < 0.9


def test_a_model_that_cannot_be_explained_is_bad_input(snapshot, examples, table):
    with pytest.raises(InputError, match="unknown class"):
        attempt(snapshot, examples, table, settings=SETTINGS.model_copy(update={"target": "MAYBE"}))
