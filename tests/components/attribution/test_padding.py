"""`<pad>` typed by a user (tokenizers#725): such a row is explained, and the scorer gives the model's own logits of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers as tf

from components import attribution
from components.attribution import choose_perturbation
from components.quality import sample_inputs
from components.scoring import open_scorer
from schemas.config import AttributionConfig
from schemas.release import Example
from tests.helpers.snapshots import snapshot_of
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import save_tiny_tokenizer

CPU = AttributionConfig(device="cpu")
TEXTS = ["good film", "a good [PAD] film", "a bad plot", "[PAD] [PAD]"]


@pytest.mark.parametrize("name", ["bert", "gpt2", "roberta", "xlm-roberta"])
def test_the_scorer_gives_the_models_own_logits_of_every_row(name: str, tmp_path: Path) -> None:
    model = tiny(name).float()
    model.config.id2label = {0: "NEG", 1: "POS"}
    model.save_pretrained(tmp_path / name)
    tokenizer = tf.AutoTokenizer.from_pretrained(save_tiny_tokenizer(tmp_path / name))
    snapshot = snapshot_of(tmp_path / name)
    examples = [Example(row=i, id=str(i), text=text) for i, text in enumerate(TEXTS)]
    shard = attribution.explain_shard(snapshot, examples, CPU, index=0, path=tmp_path / "s.parquet")
    rows = pq.read_table(shard.path, columns=["problem"]).to_pylist()
    assert {row["problem"] for row in rows} == {None}
    inputs = sample_inputs([shard.path], limit=4, perturbation=choose_perturbation(snapshot, CPU, "auto"))
    scorer, _ = open_scorer(snapshot, runtime="torch", workspace=tmp_path, parity_inputs=inputs[:1])
    with torch.no_grad():
        own = [model(torch.tensor([tokenizer(text)["input_ids"]])).logits[0].numpy() for text in TEXTS]
    np.testing.assert_allclose(scorer.logits(inputs), own, atol=1e-4)
