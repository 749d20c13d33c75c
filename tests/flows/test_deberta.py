"""DeBERTa-v2 through the whole flow: two registered versions, explained, judged through ONNX Runtime, compared and replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from components import registry
from flows.evidence.replay import ReplayOptions, replay_version
from flows.explain_release import explain_release
from schemas.config import PipelineConfig, ProbeConfig
from schemas.evidence import ReplayOutcome
from tests.conftest import TinyRegistry
from tests.helpers.quick import QUICK_QUALITY
from tests.helpers.tiny_families import tiny
from tests.helpers.tiny_models import WORDS, save_tiny_tokenizer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("_prefect")]

QUICK = PipelineConfig(
    quality=QUICK_QUALITY,
    probe=ProbeConfig(enabled=False),
)


def saved(folder: Path, *, shaken: float) -> Path:
    """The family's tiny model in float32; its weights shaken by so much of their spread."""
    model = tiny("deberta-v2").float()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(shaken * 0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return save_tiny_tokenizer(folder)


def test_relative_positions_are_explained_compared_and_replayed(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    name = f"deberta-{tmp_path.name}"
    first, second = (
        f"models:/{name}/{tiny_registry.register(saved(tmp_path / str(shaken), shaken=shaken), name)}" for shaken in (0.0, 0.02)
    )
    registry.set_alias(name, "champion", "1")
    dataset = tmp_path / "validation.jsonl"
    texts = [" ".join(WORDS[i : i + 8]) for i in range(40)]
    rows = [{"id": str(i), "text": text, "label": ("LABEL_0", "LABEL_1")[i % 2]} for i, text in enumerate(texts)]
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    explain_release(first, dataset, config=QUICK, output=tmp_path / "runs")
    outcome = explain_release(second, dataset, config=QUICK, output=tmp_path / "runs")
    record = outcome.record
    assert (record.model.model_type, record.quality.scorer.runtime) == ("deberta-v2", "onnxruntime")
    assert {c.name: c.verdict.value for c in record.quality.checks}["attributions add up"] == "pass"
    assert record.drift.n_paired == len(rows)
    replayed = replay_version(str(outcome.folder), ReplayOptions(rows=3, dataset=None, output=tmp_path / "runs"), QUICK)
    assert replayed.outcome in {ReplayOutcome.EXACT, ReplayOutcome.WITHIN}
