"""Whole runs on texts with a word that must not come out: none of what is left for people, or published, holds it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from components import registry
from components.common.errors import InputError
from flows.explain_release import explain_release
from flows.monitor import monitor_data
from schemas.base import CheckVerdict
from schemas.config import (
    AttributionConfig,
    DriftConfig,
    MonitorConfig,
    PipelineConfig,
    PrivacyConfig,
    ProbeConfig,
    QualityConfig,
)
from tests.conftest import TinyRegistry
from tests.flows.conftest import N_ROWS
from tests.helpers.canaries import files_with, said_by_mlflow
from tests.helpers.tiny_models import save_tiny_bert

CANARY = "canaryzebra"


def settings(texts: str) -> PipelineConfig:
    """Limits so low that the canary is a finding, and becomes part of sentences, alerts and tags."""
    return PipelineConfig(
        privacy=PrivacyConfig(texts=texts),
        attribution=AttributionConfig(shard_rows=25),
        drift=DriftConfig(word_shift=1e-4, word_shift_z=1e-4, false_discovery_rate=0.99, numerics_rows=2),
        quality=QualityConfig(falsification_rows=0),
        probe=ProbeConfig(max_words=60, contexts=4),
        monitor=MonitorConfig(min_occurrences=3),
    )


@pytest.fixture
def canaries(dataset: Path) -> Path:
    """The reviews, each with the canary, and a row that cannot be explained."""
    rows = [json.loads(line) for line in dataset.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps(row | {"text": f"{CANARY} {row['text']}"}) for row in rows]
    dataset.write_text("\n".join([*lines, json.dumps({"id": "blank", "text": " ", "label": "POS"})]) + "\n", encoding="utf-8")
    return dataset


@pytest.fixture
def versions(model: str, tiny_registry: TinyRegistry, tmp_path: Path) -> tuple[str, str]:
    """Two versions, the first the champion."""
    name = model.split("/")[1]
    second = tiny_registry.register(save_tiny_bert(tmp_path / "second", seed=3), name)
    registry.set_alias(name, "champion", "1")
    return model, f"models:/{name}/{second}"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIG_TEXT_KEY", "a key that is long enough")


def holding(folder: Path, **options: str) -> list[str]:
    return files_with(CANARY, folder, **options)


@pytest.mark.parametrize(
    "texts", [pytest.param("keep", marks=pytest.mark.slow), "hash", pytest.param("redact", marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("key")
def test_what_is_left_and_published_holds_no_text(versions, canaries, tiny_registry, tmp_path, texts):
    first, second = versions
    runs = tmp_path / "runs"
    explain_release(first, canaries, config=settings(texts), output=runs)
    outcome = explain_release(second, canaries, config=settings(texts), output=runs)
    record = outcome.record
    assert record.drift.verdict is CheckVerdict.FAIL, "words are findings here"
    assert record.drift.n_paired == N_ROWS
    assert record.probe.words
    assert [row.problem for row in record.data.skipped] == ["the text is empty"]
    said, artifacts = said_by_mlflow(second, outcome.published.run_id, tiny_registry.tracking_uri, tmp_path / "downloaded")
    found = [*holding(runs, without=".cache"), *holding(artifacts), *(["MLflow"] if CANARY in said else [])]
    if texts == "keep":
        assert len(found) > 5, "the search finds it where it is"
        return
    assert found == []
    assert not list((runs / ".cache").glob("covered-*")), "tables made for comparing are gone"
    kept = {Path(name).parts[0] for name in holding(runs / ".cache")}
    assert kept <= {"attributions", "numerics", "probe", "datasets"}, "raw texts stay in the local cache alone, for resuming"


@pytest.mark.slow
@pytest.mark.usefixtures("key")
def test_covering_changes_names_and_no_finding(versions, canaries, tmp_path):
    for_all = {}
    for texts in ("keep", "hash", "redact"):
        for version in versions:
            for_all[texts] = explain_release(version, canaries, config=settings(texts), output=tmp_path / "runs").record
    shifts = {texts: sorted(s.shift for s in record.drift.word_shifts) for texts, record in for_all.items()}
    assert shifts["keep"] == pytest.approx(shifts["hash"], abs=1e-12)
    assert shifts["keep"] == pytest.approx(shifts["redact"], abs=1e-12)
    assert len({record.fingerprint for record in for_all.values()}) == 3, "other artifacts are another explanation"
    assert len({record.decision.verdict for record in for_all.values()}) == 1
    effects = [[word.shift for word in record.probe.words] for record in for_all.values()]
    assert effects[0] == pytest.approx(effects[1])
    assert effects[0] == pytest.approx(effects[2])


@pytest.mark.slow
def test_another_key_is_inconclusive_and_redacted_words_cannot_be_monitored(versions, canaries, tmp_path, monkeypatch):
    first, second = versions
    runs = tmp_path / "runs"
    monkeypatch.setenv("CALIG_TEXT_KEY", "a key that is long enough")
    explain_release(first, canaries, config=settings("hash"), output=runs)
    monkeypatch.setenv("CALIG_TEXT_KEY", "another key, long enough")
    drift = explain_release(second, canaries, config=settings("hash"), output=runs).record.drift
    assert drift.verdict is CheckVerdict.INCONCLUSIVE
    assert "another key" in drift.reason
    assert "--reexplain-reference" in drift.next_step
    later = tmp_path / "later.jsonl"
    later.write_text("".join(canaries.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    monitored = monitor_data(first, later, config=settings("hash"), output=runs)
    assert monitored.report.verdict is CheckVerdict.INCONCLUSIVE
    monkeypatch.setenv("CALIG_TEXT_KEY", "a key that is long enough")
    monitored = monitor_data(first, later, config=settings("hash"), output=runs)
    assert monitored.report.words_tested > 3
    assert monitored.report.unseen.types == 0, "the same words have the same names in both windows"
    assert holding(monitored.folder) == []
    explain_release(first, canaries, config=settings("redact"), output=runs)
    monitored = monitor_data(first, later, config=settings("redact"), output=runs)
    assert "redacted" in monitored.report.reason


def test_hashing_without_a_key_costs_no_work(model, canaries, tmp_path, monkeypatch):
    monkeypatch.delenv("CALIG_TEXT_KEY", raising=False)
    with pytest.raises(InputError, match="needs a secret key"):
        explain_release(model, canaries, config=settings("hash"), output=tmp_path / "runs")
