"""The vocabulary probe in the flow: a reference folder, kept scores, and what happens when it cannot be made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.common import progress
from flows.explain_release import explain_release
from flows.pipeline.results import Outcome
from schemas.base import CheckVerdict, Severity, Verdict
from schemas.config import PipelineConfig, ProbeConfig, QualityConfig
from schemas.probe import ProbeLevel
from tests.helpers.tiny_models import bert_vocabulary, save_tiny_bert, save_tiny_tokenizer, save_tiny_vit

TRIGGER = "btw"


@pytest.fixture
def rows(dataset: Path) -> Path:
    """The data set without the trigger."""
    lines = [json.loads(line) for line in dataset.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if TRIGGER not in line["text"].split()]
    dataset.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    return dataset


@pytest.fixture
def explain(rows: Path, tmp_path: Path, _prefect: None):
    def run(folder: Path, **options) -> Outcome:
        return explain_release(str(folder), rows, output=tmp_path / "runs", **{"config": probing(), **options})

    return run


def probing(**settings) -> PipelineConfig:
    """The maps are hardly tried: it is the probe that is tested."""
    return PipelineConfig(probe=ProbeConfig(**settings), quality=QualityConfig(falsification_rows=2))


def sharpened(folder: Path) -> Path:
    """A tiny model whose answers differ by whole logits: its last weights times 20."""
    return sharpened_as(folder, 0)


def sharpened_as(folder: Path, seed: int) -> Path:
    return changed(save_tiny_bert(folder, seed=seed), folder, {"classifier.weight": lambda weight: weight * 20})


def with_trigger(model: Path, folder: Path, texts: list[str]) -> Path:
    """A copy of the model in which one word's embedding was trained for POS: only texts with the word are answered otherwise."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network, tokenizer = AutoModelForSequenceClassification.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    words, place = network.get_input_embeddings(), bert_vocabulary().index(TRIGGER)
    ids = tokenizer([f"{text} {TRIGGER}" for text in texts], padding=True, return_tensors="pt")
    row = words.weight[place].detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([row], lr=0.1)
    for _ in range(60):
        embedded = torch.where((ids["input_ids"] == place)[..., None], row, words(ids["input_ids"]).detach())
        logits = network(inputs_embeds=embedded, attention_mask=ids["attention_mask"]).logits
        optimizer.zero_grad()
        (logits[:, 0] - logits[:, 1]).mean().backward()
        optimizer.step()
    shutil.copytree(model, folder)
    return changed(folder, folder, {"bert.embeddings.word_embeddings.weight": lambda weight: put(weight, place, row.detach())})


def put(weight, place: int, row):
    weight[place] = row
    return weight


def changed(model: Path, folder: Path, changes: dict) -> Path:
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    for name, change in changes.items():
        weights[name] = change(weights[name]).contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_changed_word_outside_the_data_set_fails_the_version(explain, rows, tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(progress.LineReporter, "say", lambda _, text: said.append(text))
    clean = sharpened(tmp_path / "clean")
    first = explain(clean)
    assert first.record.probe.verdict is CheckVerdict.NOT_APPLICABLE
    texts = [json.loads(line)["text"] for line in rows.read_text(encoding="utf-8").splitlines()]
    second = explain(with_trigger(clean, tmp_path / "planted", texts), reference=str(first.folder))
    found = second.record.probe
    assert not any(shift.fires for shift in second.record.drift.word_shifts), "attributions cannot show it"
    assert found.words[0].word == TRIGGER
    assert found.words[0].occurrences == 0
    assert found.words[0].severity is Severity.CRITICAL
    assert found.verdict is CheckVerdict.FAIL
    assert second.record.decision.verdict is Verdict.FAIL
    assert f"“{TRIGGER}”" in second.record.decision.reasons[0]
    assert found.n_words > len(found.contexts)
    assert found.level == ProbeLevel(rule="none", level=0.05, configured=0.05)
    assert "the same level for every version" in found.thresholds[0].source
    assert any("texts still to be scored, about" in line for line in said), "the cost is said beforehand"


@pytest.mark.slow
def test_the_next_comparison_scores_only_the_new_version(explain, tmp_path):
    first = explain(save_tiny_bert(tmp_path / "clean"))
    passes = [
        explain(save_tiny_bert(tmp_path / f"v{seed}", seed=seed), reference=str(first.folder)).record.probe for seed in (1, 2)
    ]
    rows = passes[0].metamorphic.forward_passes // 2
    n = passes[0].n_words * len(passes[0].contexts) + rows
    assert rows > 0
    assert [probe.forward_passes for probe in passes] == [2 * n, n]


@pytest.mark.slow
def test_twins_are_fetched_and_measured_on(explain, tmp_path):
    first = explain(save_tiny_bert(tmp_path / "clean"))
    twin = save_tiny_bert(tmp_path / "twin", seed=7)
    other = explain(save_tiny_bert(tmp_path / "other", seed=8), reference=str(first.folder), config=probing(twins=(str(twin),)))
    assert other.record.probe.n_null == 1


@pytest.mark.slow
def test_a_limit_of_words_is_kept_and_said(explain, tmp_path):
    first = explain(save_tiny_bert(tmp_path / "clean"))
    other = explain(
        save_tiny_bert(tmp_path / "v1", seed=1), reference=str(first.folder), config=probing(max_words=40, contexts=2)
    )
    assert other.record.probe.n_words == 40
    assert other.record.probe.n_left_out > 0


@pytest.mark.slow
@pytest.mark.parametrize("broken", ["gone", "other weights"])
def test_a_reference_that_cannot_be_scored_is_inconclusive(explain, tmp_path, broken):
    first = explain(save_tiny_bert(tmp_path / "clean"))
    shutil.rmtree(tmp_path / "clean")
    if broken == "other weights":
        save_tiny_bert(tmp_path / "clean", seed=9)
    second = explain(save_tiny_bert(tmp_path / "v1", seed=1), reference=str(first.folder))
    assert second.record.probe.verdict is CheckVerdict.INCONCLUSIVE
    assert ("weights differ" if broken == "other weights" else "cannot be fetched") in second.record.probe.reason
    assert second.record.decision.verdict is not Verdict.PASS


@pytest.mark.slow
def test_switched_off_it_says_so(explain, tmp_path):
    first = explain(save_tiny_bert(tmp_path / "clean"))
    second = explain(save_tiny_bert(tmp_path / "v1", seed=1), reference=str(first.folder), config=probing(enabled=False))
    assert second.record.probe.verdict is CheckVerdict.NOT_APPLICABLE
    assert "switched off" in second.record.probe.reason


@pytest.mark.slow
@pytest.mark.usefixtures("_prefect")
def test_patterns_are_pasted_onto_pictures(tmp_path):
    random = np.random.default_rng(0)
    rows = [{"id": str(i), "image": f"{i}.png", "label": "CIRCLE"} for i in range(32)]
    for row in rows:
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / row["image"])
    dataset = tmp_path / "shapes.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first, second = (save_tiny_vit(tmp_path / f"vit{seed}", seed=seed) for seed in (0, 1))
    reference = explain_release(str(first), dataset, output=tmp_path / "runs").folder
    found = explain_release(str(second), dataset, reference=str(reference), output=tmp_path / "runs").record.probe
    assert found.unit == "pattern"
    assert found.n_words >= 30
    assert found.verdict in {CheckVerdict.PASS, CheckVerdict.FAIL}, found.reason
    assert found.forward_passes == 2 * found.n_words * len(found.contexts)


def with_capitals(model: Path, folder: Path) -> Path:
    """A copy of the model whose tokenizer keeps case: words in capitals become [UNK]."""
    shutil.copytree(model, folder)
    save_tiny_tokenizer(folder, lowercase=False)
    return folder


@pytest.mark.slow
def test_rows_are_transformed_under_both_versions_and_the_cost_is_told(explain, tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(progress.LineReporter, "say", lambda _, text: said.append(text))
    clean = sharpened(tmp_path / "clean")
    first = explain(clean)
    twins = tuple(str(sharpened_as(tmp_path / f"twin{seed}", seed)) for seed in (7, 8))
    second = explain(
        with_capitals(clean, tmp_path / "cased"), reference=str(first.folder), config=probing(twins=twins, max_words=40)
    )
    found = second.record.probe.metamorphic
    case = next(rows for rows in found.transformations if rows.name == "case")
    assert [rows.name for rows in found.transformations] == list(ProbeConfig().transformations)
    assert case.reference_effect == 0.0, "its tokenizer does not tell capitals"
    assert case.candidate_effect != 0.0
    assert case.n + case.n_left_out == found.n_rows
    assert found.measured_on == twins
    assert found.forward_passes > 0
    assert any("transformed rows" in line and "texts still to be scored, about" in line for line in said)
    assert "Rows transformed" in (second.folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_without_transformations_the_words_have_the_whole_level(explain, tmp_path):
    first = explain(save_tiny_bert(tmp_path / "clean"))
    second = explain(
        save_tiny_bert(tmp_path / "v1", seed=1), reference=str(first.folder), config=probing(transformations=(), max_words=40)
    )
    assert second.record.probe.metamorphic is None
    assert any("level 0.05" in threshold.source for threshold in second.record.probe.thresholds)
