"""An XLM-R with a Unigram tokenizer, trained on texts in Ethiopic letters with people's rationales, through the whole flow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from flows.explain_release import explain_release
from schemas.config import PipelineConfig, ProbeConfig
from tests.conftest import TinyRegistry
from tests.helpers.ethiopic import LABELS, comments, train_xlm_roberta
from tests.helpers.quick import QUICK_QUALITY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("_prefect")]

QUICK = PipelineConfig(
    quality=QUICK_QUALITY,
    probe=ProbeConfig(enabled=False),
)


def test_the_root_of_hateful_words_is_the_reason(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    """No Latin letter, words of several pieces, and the characters that make a text hateful marked: the maps find them."""
    folder = train_xlm_roberta(tmp_path / "xlmr", comments(1000, seed=1))
    held_out = comments(40, seed=2)
    dataset = tmp_path / "validation.jsonl"
    rows = [{"text": c.text, "label": LABELS[c.target], "rationale": c.rationale if c.target else None} for c in held_out]
    dataset.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    name = f"ethiopic-{tmp_path.name}"
    uri = f"models:/{name}/{tiny_registry.register(folder, name)}"
    outcome = explain_release(uri, dataset, config=QUICK, output=tmp_path / "runs")
    record = outcome.record
    assert record.model.model_type == "xlm-roberta"
    assert record.results.accuracy == 1.0
    assert (record.data.n_explained, record.data.coverage) == (40, 1.0)
    table = [row for path in sorted(outcome.folder.glob("attributions/*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert any(len(row["tokens"]) > len(row["words"]) + 2 for row in table), "words of several pieces"
    assert all([word["text"] for word in row["words"]] == row["text"].split() for row in table)
    metrics = {metric.name: metric.value for metric in record.quality.metrics}
    marked = np.mean([sum(end - start for start, end in c.rationale) / len(c.text) for c in held_out if c.target])
    assert metrics["plausibility AUPRC"] > 0.7 > 2 * marked, "chance would get the share of marked characters"
    assert metrics["comprehensiveness"] > metrics["sufficiency"]
