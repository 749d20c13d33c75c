"""Every text family through a real export: the runtime agrees with torch, the read-out is where the model reads, masks count."""

from pathlib import Path

import numpy as np
import pytest

from calig.families import FAMILIES
from calig.metrics.perturbation import MEAN_EMBEDDING, PerturbedText
from components.scoring import open_scorer
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import save_tiny_tokenizer

pytestmark = pytest.mark.slow

# float32 logits of size ~10 through three layers
ATOL = 1e-3


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.modality == "text"])
def test_every_text_family_is_scored_by_onnxruntime(name: str, tmp_path: Path) -> None:
    model = tiny(name).float()
    model.config.id2label = {0: "NEG", 1: "POS"}
    model.save_pretrained(tmp_path / name)
    save_tiny_tokenizer(tmp_path / name)
    random = np.random.default_rng(0)
    rows = [PerturbedText(np.array([2, *random.integers(5, 60, size=n), 3])) for n in (3, 7, 5, 7)]
    scorer, record = open_scorer(snapshot_of(tmp_path / name), runtime="auto", workspace=tmp_path, parity_inputs=rows)
    assert record.fallback_reason is None
    assert record.runtime == "onnxruntime"
    assert record.parity_max_abs is not None
    assert record.parity_max_abs < ATOL
    # The export's example has 9 tokens: one or forty must do as well, with some replaced by the mean embedding (pytorch#110347).
    others = [PerturbedText(np.where(np.arange(n) % 3 == 1, MEAN_EMBEDDING, random.integers(5, 60, size=n))) for n in (1, 22, 40)]
    torch_scorer, _ = open_scorer(snapshot_of(tmp_path / name), runtime="torch", workspace=tmp_path, parity_inputs=rows)
    np.testing.assert_allclose(scorer.logits(others), torch_scorer.logits(others), atol=ATOL)
    # Half of the content deleted by the mask, in the last row the first content token too.
    masks = [np.array([True, *(random.random(len(row.input_ids) - 2) < 0.5), True]) for row in rows]
    masks[-1][1] = False
    masked = [PerturbedText(row.input_ids, attended) for row, attended in zip(rows, masks, strict=True)]
    np.testing.assert_allclose(scorer.logits(masked), torch_scorer.logits(masked), atol=ATOL)
    assert np.abs(scorer.logits(rows) - scorer.logits(masked)).max() > 1e-2
