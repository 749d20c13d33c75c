"""A ViT whose encoder was pretrained as a masked autoencoder, trained on the spot, through the whole flow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.explain_release import explain_release
from flows.pipeline.results import Outcome
from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig
from tests.conftest import TinyRegistry
from tests.helpers.masked_autoencoder import digits, train_on_masked_autoencoder
from tests.helpers.quick import QUICK_QUALITY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("_prefect")]

QUICK = PipelineConfig(
    attribution=AttributionConfig(),
    quality=QUICK_QUALITY,
    probe=ProbeConfig(enabled=False),
)


def explained(uri: str, rows: list[dict[str, object]], folder: Path) -> tuple[Outcome, list[dict[str, object]]]:
    dataset = folder / "digits.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    outcome = explain_release(uri, dataset, config=QUICK, output=folder / "runs")
    tables = sorted(outcome.folder.glob("attributions/*.parquet"))
    return outcome, [row for path in tables for row in pq.read_table(path).to_pylist()]


def metrics_of(outcome: Outcome) -> dict[str, float]:
    return {metric.name: metric.value for metric in outcome.record.quality.metrics if metric.value is not None}


def test_a_vit_on_a_masked_autoencoder_s_encoder(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    pictures, targets = digits()
    folder, losses = train_on_masked_autoencoder(tmp_path / "vit", pictures[100:], targets[100:])
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5]), "the pretraining learned to fill in patches"
    rows = []
    for i in range(40):
        pictures[i].save(tmp_path / f"{i}.png")
        rows.append({"image": f"{i}.png", "label": str(targets[i])})
    name = f"digits-{tmp_path.name}"
    outcome, table = explained(f"models:/{name}/{tiny_registry.register(folder, name)}", rows, tmp_path)
    record, metrics = outcome.record, metrics_of(outcome)
    assert (record.model.model_type, record.quality.scorer.runtime) == ("vit", "onnxruntime")
    assert record.results.accuracy > 0.7
    assert all(sum(row["content"]) == 16 for row in table), "four rows of four patches"
    assert metrics["comprehensiveness"] > metrics["sufficiency"]
    assert metrics["negative perturbation AUC"] > metrics["positive perturbation AUC"]
