"""A regression through the whole flow: learned on the spot, registered, explained against an honest and a spoiled version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from components import registry
from components.common.errors import InputError
from flows.evidence.replay import ReplayOptions, replay_version
from flows.explain_release import explain_release
from flows.monitor import monitor_data
from flows.pipeline.results import Outcome
from schemas.base import CheckVerdict
from schemas.config import AttributionConfig, DriftConfig, PipelineConfig, ProbeConfig
from tests.conftest import TinyRegistry
from tests.helpers.html_page import Page
from tests.helpers.packed import unpack
from tests.helpers.quick import QUICK_QUALITY
from tests.helpers.ratings import MIDDLE, OUTPUT, SHORTCUT, ratings, save_regression, write_ratings
from tests.helpers.tiny_models import save_tiny_bert

pytestmark = pytest.mark.usefixtures("_prefect")

N = 60
SETTINGS = PipelineConfig(
    quality=QUICK_QUALITY,
    drift=DriftConfig(numerics_rows=0),
    probe=ProbeConfig(max_words=200, contexts=4, transformed_rows=20),
)


@pytest.fixture(scope="module")
def versions(session_registry: TinyRegistry, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three registered versions: an honest one, one by another seed, and one in which a word raises the rating."""
    from tests.helpers.tracking import connected

    folder = tmp_path_factory.mktemp("regressions")
    kinds = [{"seed": 0}, {"seed": 1}, {"seed": 2, "spoiled": True}]
    trained = [save_regression(folder / str(i), **kind) for i, kind in enumerate(kinds)]
    with connected(session_registry.tracking_uri):
        numbers = [session_registry.register(one, "tiny-ratings") for one in trained]
    return [f"models:/tiny-ratings/{number}" for number in numbers]


def table_of(outcome: Outcome) -> list[dict[str, Any]]:
    return [row for path in sorted(outcome.folder.glob("attributions/*.parquet")) for row in pq.read_table(path).to_pylist()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_regression_is_explained_compared_probed_monitored_and_replayed(versions, tiny_registry, tmp_path):
    output = tmp_path / "runs"
    texts, values = ratings(N, seed=7)
    rows = write_ratings(tmp_path / "ratings.jsonl", texts, values)
    first = explain_release(versions[0], rows, config=SETTINGS, output=output)
    honest = explain_release(versions[1], rows, reference=versions[0], config=SETTINGS, output=output)
    spoiled = explain_release(versions[2], rows, reference=versions[0], config=SETTINGS, output=output)
    assert first.record.decision.verdict.value == "pass", first.record.decision.reasons
    _the_output_is_explained_as_it_is(first, values)
    _quality_is_in_units_of_the_output(first)
    _an_honest_version_passes(honest)
    _the_planted_word_is_found(spoiled)
    _the_report_speaks_of_numbers(spoiled)
    _the_registry_has_the_errors(versions[2], spoiled)
    replayed = replay_version(str(spoiled.folder), ReplayOptions(5, None, output), SETTINGS)
    assert (replayed.outcome.value, replayed.n_rows) in {("bit for bit", 5), ("within tolerance", 5)}
    later = write_ratings(tmp_path / "later.jsonl", *_better_reviews())
    report = monitor_data(versions[0], later, str(first.folder), config=SETTINGS, output=output).report
    mixes = {mix.name: mix for mix in report.mixes}
    assert set(mixes) == {"predictions", "gold numbers"}
    assert all(mix.fires for mix in mixes.values()), "the later ratings are higher"


def _the_output_is_explained_as_it_is(outcome: Outcome, values: np.ndarray) -> None:
    rows, results = table_of(outcome), outcome.record.results
    assert [row["gold_value"] for row in rows] == pytest.approx(values)
    for row in rows:
        assert (row["label"], row["gold_labels"], row["probability"]) == (None, None, None)
        assert (row["predicted"], row["target"], row["target_weights"]) == (OUTPUT, OUTPUT, [(OUTPUT, 1.0)])
        assert row["f_input"] == pytest.approx(row["logits"][0], rel=1e-6), "neither turned nor centred"
        assert sum(row["values"]) == pytest.approx(row["f_input"] - row["f_baseline"], abs=1e-3)
    errors = np.array([row["logits"][0] - row["gold_value"] for row in rows])
    assert results.regression.mean_absolute_error == pytest.approx(np.abs(errors).mean())
    assert results.regression.root_mean_squared_error == pytest.approx(np.sqrt((errors**2).mean()))
    assert results.regression.r_squared == pytest.approx(1 - (errors**2).sum() / ((values - values.mean()) ** 2).sum())
    assert results.regression.r_squared > 0.9, "it has learned the ratings"
    assert (results.accuracy, results.accuracy_interval, results.predictions) == (None, None, {})
    assert results.n_labelled == N


def _quality_is_in_units_of_the_output(outcome: Outcome) -> None:
    quality = outcome.record.quality
    assert quality.scorer.runtime == "onnxruntime"
    assert not any("same model" in warning for warning in quality.warnings)
    metrics = {metric.name: metric for metric in quality.metrics}
    deviation = outcome.record.results.outputs.typical_deviation
    assert metrics["comprehensiveness"].value > 0.3 * deviation, "of ratings, not of probabilities"
    assert "output of the regression" in metrics["comprehensiveness"].definition
    assert (metrics["log-odds"].value, metrics["log-odds"].n) == (None, 0)
    curves = [curve for curve in quality.curves if (curve.method, curve.kind) == ("ca_lig", "deletion")]
    assert min(curves[0].probability) > MIDDLE - 20, "the curve is of the output"
    checks = {check.name: check for check in quality.checks}
    assert checks["better than random by class"].verdict is CheckVerdict.NOT_APPLICABLE
    assert checks["better than random"].verdict is CheckVerdict.PASS


def _an_honest_version_passes(outcome: Outcome) -> None:
    drift = outcome.record.drift
    assert drift.verdict is CheckVerdict.PASS, drift.reason
    assert drift.prediction_change.moved < N / 2
    assert drift.accuracy_change is None
    assert not any(statistic.slice.startswith("class") for statistic in drift.statistics)


def _the_planted_word_is_found(outcome: Outcome) -> None:
    record = outcome.record
    drift, change = record.drift, record.drift.prediction_change
    assert drift.verdict is CheckVerdict.FAIL
    assert {shift.word for shift in drift.word_shifts if shift.fires} == {SHORTCUT}
    assert (drift.word_shifts[0].toward, drift.word_shifts[0].effect > 0.5) == (OUTPUT, True)
    assert drift.typical_decision == (change.unit, change.unit), "the candidate is measured by the reference's unit"
    assert change.mean > 1.0, "it rates higher"
    assert drift.flipped == change.moved > 0
    assert change.error_change > 1.0
    assert SHORTCUT in [word.word for word in record.probe.words[:3]]
    assert record.decision.verdict.value == "fail"


def _the_report_speaks_of_numbers(outcome: Outcome) -> None:
    text = (outcome.folder / "report.html").read_text(encoding="utf-8")
    assert "Mean absolute error" in text
    assert "Model accuracy" not in text
    assert "wrong predictions" not in text
    assert "predictions moved by more than half a typical deviation" in text
    index = unpack(Page(text).blocks["index"])
    rows = {row["row"]: row for row in table_of(outcome)}
    for place, row in enumerate(index["row"]):
        assert index["f_input"][place] == pytest.approx(rows[row]["logits"][0], rel=1e-5)
        assert np.isnan(index["probability"][place])
    assert sum(int(flag) & 2 > 0 for flag in index["flags"]) == outcome.record.drift.prediction_change.moved
    card = (outcome.folder / "model_card.md").read_text(encoding="utf-8")
    assert "mean absolute error" in card
    assert "accuracy" not in card.lower()


def _the_registry_has_the_errors(uri: str, outcome: Outcome) -> None:
    from mlflow import MlflowClient

    run = MlflowClient().get_run(outcome.published.run_id)
    found = outcome.record.results.regression
    assert run.data.metrics["calig.mean_absolute_error"] == pytest.approx(found.mean_absolute_error)
    assert "calig.accuracy" not in run.data.metrics
    assert registry.fetch(registry.parse_model_ref(uri), workspace=outcome.folder.parent / "again").is_regression


def _better_reviews() -> tuple[list[str], np.ndarray]:
    texts, values = ratings(3 * N, seed=8)
    better = values > np.median(values)
    return [text for text, kept in zip(texts, better, strict=True) if kept], values[better]


def _edited(folder: Path, **changes: Any) -> str:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return str(folder)


@pytest.mark.parametrize(("target", "words"), [("gold", "no classes"), ("margin", "no classes"), ("each", "no classes")])
def test_targets_that_need_classes_are_refused(tmp_path, target, words):
    model = save_tiny_bert(tmp_path / "model", 0, (OUTPUT,))
    rows = write_ratings(tmp_path / "rows.jsonl", ["a good film"], [1.0])
    settings = SETTINGS.model_copy(update={"attribution": AttributionConfig(target=target)})
    with pytest.raises(InputError, match=words):
        explain_release(str(model), rows, config=settings, output=tmp_path / "runs")


def test_several_outputs_and_a_single_class_are_refused_with_the_way_out(tmp_path):
    rows = write_ratings(tmp_path / "rows.jsonl", ["a good film"])
    several = _edited(save_tiny_bert(tmp_path / "several", 0, ("price", "size")), problem_type="regression")
    with pytest.raises(InputError, match="each output has a unit of its own"):
        explain_release(several, rows, config=SETTINGS, output=tmp_path / "runs")
    single = _edited(save_tiny_bert(tmp_path / "single", 0, ("POS",)), problem_type="multi_label_classification")
    with pytest.raises(InputError, match="says that it is a class"):
        explain_release(single, rows, config=SETTINGS, output=tmp_path / "runs")


def test_text_labels_are_refused_before_any_work(tmp_path):
    model = save_tiny_bert(tmp_path / "model", 0, (OUTPUT,))
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\na good film,good\na bad film,2.5\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"no finite numbers\n.*row 0: 'good'"):
        explain_release(str(model), rows, config=SETTINGS, output=tmp_path / "runs")
