"""Two kinds of model through the whole flow, trained on the spot: an XLM-R on Ethiopic letters, a ViT on a masked autoencoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.explain_release import explain_release
from flows.pipeline.results import Outcome
from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig, QualityConfig
from tests.helpers.ethiopic import LABELS, comments, train_xlm_roberta
from tests.helpers.masked_autoencoder import digits, train_on_masked_autoencoder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("_prefect")]

QUICK = PipelineConfig(
    attribution=AttributionConfig(),
    quality=QualityConfig(falsification_rows=2, sensitivity_draws=2, bootstrap_draws=200, random_draws=2, infidelity_draws=8),
    probe=ProbeConfig(enabled=False),
)


def explained(folder: Path, rows: list[dict[str, object]], output: Path) -> tuple[Outcome, list[dict[str, object]]]:
    dataset = folder.parent / f"{folder.name}.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    outcome = explain_release(str(folder), dataset, config=QUICK, output=output)
    tables = sorted(outcome.folder.glob("attributions/*.parquet"))
    return outcome, [row for path in tables for row in pq.read_table(path).to_pylist()]


def metrics_of(outcome: Outcome) -> dict[str, float]:
    return {metric.name: metric.value for metric in outcome.record.quality.metrics if metric.value is not None}


def test_hateful_words_in_ethiopic_letters_are_the_reasons(tmp_path: Path) -> None:
    """No word of Latin script, pieces by SentencePiece's Unigram model, and people's rationales to hold the maps against."""
    folder = train_xlm_roberta(tmp_path / "xlmr", comments(1000, seed=1))
    held_out = comments(40, seed=2)
    rows = [
        {"text": c.text, "label": LABELS[c.target]} | ({"rationale": c.rationale} if c.target else {"rationale": None})
        for c in held_out
    ]
    outcome, table = explained(folder, rows, tmp_path / "runs")
    record, metrics = outcome.record, metrics_of(outcome)
    assert record.model.model_type == "xlm-roberta"
    assert record.results.accuracy > 0.85
    assert (record.data.n_explained, record.data.coverage) == (40, 1.0)
    assert any(len(row["tokens"]) > len(row["words"]) + 2 for row in table), "words of several pieces"
    assert all([word["text"] for word in row["words"]] == row["text"].split() for row in table)
    chance = np.mean([sum(e - s for s, e in c.rationale) / len(c.text) for c in held_out if c.target])
    print(metrics, chance)
    assert metrics["plausibility AUPRC"] > 0.7 > 2 * chance
    assert metrics["comprehensiveness"] > metrics["sufficiency"]


def test_a_vit_on_a_masked_autoencoder_s_encoder(tmp_path: Path) -> None:
    pictures, targets = digits()
    folder, losses = train_on_masked_autoencoder(tmp_path / "vit", pictures[100:], targets[100:])
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5]), "the pretraining learned to fill in patches"
    rows = []
    for i in range(40):
        pictures[i].save(tmp_path / f"{i}.png")
        rows.append({"image": f"{i}.png", "label": str(targets[i])})
    outcome, table = explained(folder, rows, tmp_path / "runs")
    record, metrics = outcome.record, metrics_of(outcome)
    print(metrics, record.results)
    assert (record.model.model_type, record.quality.scorer.runtime) == ("vit", "onnxruntime")
    assert record.results.accuracy > 0.7
    assert all(sum(row["content"]) == 16 for row in table), "four rows of four patches"
    assert metrics["comprehensiveness"] > metrics["sufficiency"]
    assert metrics["negative perturbation AUC"] > metrics["positive perturbation AUC"]
