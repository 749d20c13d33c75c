"""Pairs of texts through the whole flow: a two-sentence task learned on the spot, registered, explained against a reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.common.errors import InputError
from flows.evidence.replay import ReplayOptions, replay_version
from flows.explain_release import explain_release
from flows.monitor import monitor_data
from flows.pipeline.results import Outcome
from schemas.attribution import SCHEMA
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, DriftConfig, PipelineConfig, PrivacyConfig, ProbeConfig, QualityConfig
from tests.conftest import TinyRegistry
from tests.helpers.tiny_pairs import BAD, GOOD, LABELS, TRIGGER, accuracy, pair_rows, save_pair_classifier, save_with_trigger

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_prefect")]

N_ROWS = 48
SETTINGS = PipelineConfig(
    quality=QualityConfig(falsification_rows=2, bootstrap_draws=100, infidelity_draws=8),
    drift=DriftConfig(numerics_rows=0),
    probe=ProbeConfig(max_words=200, contexts=4, transformed_rows=20),
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set; its last row lacks the second text."""
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    made = [{"id": f"p{i}", **row._asdict()} for i, row in enumerate(pair_rows(N_ROWS, seed=7))]
    made.append({"id": "incomplete", "text": "a film", "text_pair": " ", "label": LABELS[0]})
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def versions(session_registry: TinyRegistry, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two registered versions of the classifier: an honest one, and one that learned a trigger since."""
    from tests.helpers.tracking import connected

    folder = tmp_path_factory.mktemp("pair-models")
    honest = save_pair_classifier(folder / "honest", seed=1)
    trained = [honest, save_with_trigger(honest, folder / "trigger")]
    assert all(accuracy(one, pair_rows(200, seed=99)) > 0.9 for one in trained)
    with connected(session_registry.tracking_uri):
        numbers = [session_registry.register(one, "tiny-pairs") for one in trained]
    return f"models:/tiny-pairs/{numbers[0]}", f"models:/tiny-pairs/{numbers[1]}"


def table_of(outcome: Outcome) -> list[dict]:
    (path,) = sorted((outcome.folder / "attributions").glob("*.parquet"))
    return pq.read_table(path).to_pylist()


def test_pairs_are_explained_compared_probed_and_replayed(versions, rows, tmp_path, tiny_registry):
    output = tmp_path / "runs"
    first = explain_release(versions[0], rows, config=SETTINGS, output=output)
    outcome = explain_release(versions[1], rows, reference=versions[0], config=SETTINGS, output=output)
    record = outcome.record
    assert record.data.dataset.has_pairs
    assert (record.data.n_explained, record.data.n_skipped) == (N_ROWS, 1)
    _table_holds_both_texts(table_of(outcome))
    _quality_ran_on_the_pairs(outcome)
    _drift_counts_the_texts_apart(outcome)
    _the_probe_finds_the_trigger(outcome)
    report = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert '<span class="side-name">text_pair</span>' in report
    assert "explained: both texts" in report
    assert first.record.drift.verdict is CheckVerdict.NOT_APPLICABLE
    replayed = replay_version(str(outcome.folder), ReplayOptions(5, None, output), SETTINGS)
    assert (replayed.outcome, replayed.n_rows) in {("bit for bit", 5), ("within tolerance", 5)}


def _table_holds_both_texts(table: list[dict]) -> None:
    assert table[-1]["problem"] == "the second text of the pair is empty"
    given = pair_rows(N_ROWS, seed=7)
    for row, expected in zip(table[:-1], given, strict=True):
        assert (row["text"][: row["pair_start"] - 1], row["text"][row["pair_start"] :]) == (expected.text, expected.text_pair)
        assert [word["text"] for word in row["words"]] == [*expected.text.split(), *expected.text_pair.split()]
        assert sum(row["values"]) == pytest.approx(row["f_input"] - row["f_baseline"], rel=0.02, abs=0.02)
        n_first = len(expected.text.split())
        assert row["token_types"] == [0] * (n_first + 2) + [1] * (len(row["tokens"]) - n_first - 2)


def _quality_ran_on_the_pairs(outcome: Outcome) -> None:
    quality = outcome.record.quality
    assert quality.scorer.runtime == "onnxruntime"
    assert quality.scorer.fallback_reason is None
    assert not any("other probabilities" in warning for warning in quality.warnings), "scored with other token types"
    values = {metric.name: metric.value for metric in quality.metrics}
    assert values["normalised comprehensiveness"] > 0.5, "without the tokens explained the answer is gone"


def _drift_counts_the_texts_apart(outcome: Outcome) -> None:
    drift = outcome.record.drift
    assert drift.n_paired == N_ROWS
    names = {shift.word for shift in drift.word_shifts}
    assert {name.rsplit(" ", 1)[1] for name in names} == {"[text]", "[text_pair]"}


def _the_probe_finds_the_trigger(outcome: Outcome) -> None:
    probed = outcome.record.probe
    assert probed.n_words > 40
    assert all(" [text: " in context or " [text_pair: " in context for context in probed.contexts)
    assert TRIGGER in [word.word for word in probed.words[:3]]


def test_one_side_is_kept_and_texts_are_redacted(versions, rows, tmp_path, tiny_registry):
    config = SETTINGS.model_copy(
        update={
            "attribution": AttributionConfig(explain="text"),
            "privacy": PrivacyConfig(texts="redact"),
            "probe": ProbeConfig(enabled=False),
        }
    )
    outcome = explain_release(versions[0], rows, config=config, output=tmp_path / "runs")
    for row in table_of(outcome)[:-1]:
        second = np.array(row["token_types"]) == 1
        assert np.abs(np.array(row["values"])[second]).max() == 0.0
        assert not np.array(row["content"])[second].any()
        assert all(word["start"] < row["pair_start"] for word in row["words"])
        assert set(row["text"]) <= {"█", " "}
    report = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "text_pair is kept as it is" in report
    assert not any(f">{word}<" in report for word in (*GOOD, *BAD))


def test_later_pairs_are_monitored(versions, rows, tmp_path, tiny_registry):
    output, config = tmp_path / "runs", SETTINGS.model_copy(update={"probe": ProbeConfig(enabled=False)})
    explained = explain_release(versions[0], rows, config=config, output=output)
    later = tmp_path / "later.jsonl"
    made = [row._asdict() | {"text_pair": f"zzz {row.text_pair}"} for row in pair_rows(N_ROWS, seed=8)]
    later.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    report = monitor_data(versions[0], later, str(explained.folder), output=output).report
    assert [word for word, _, _ in report.unseen.heaviest] == ["zzz [text_pair]"]


def test_one_side_of_single_texts_is_refused(tiny_registry, dataset, tmp_path):
    config = PipelineConfig(attribution=AttributionConfig(explain="text_pair"))
    with pytest.raises(InputError, match="has no pairs of texts"):
        explain_release(f"models:/{tiny_registry.text}/1", dataset, config=config, output=tmp_path / "runs")
    assert "pair_start" in SCHEMA.names
