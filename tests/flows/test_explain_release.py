"""The flow on the real MLflow, Prefect, Great Expectations and ONNX Runtime, with a tiny model: story, resuming, faults."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from calig import explain as library_explain
from calig import load_model
from components import attribution, quality, registry, scoring
from components.common.errors import CouldNotRunError, InputError, PublishError
from flows.common import progress
from flows.explain_release import explain_release
from flows.pipeline.results import Outcome
from schemas.base import CheckVerdict, Verdict
from schemas.config import AttributionConfig, PipelineConfig, ProbeConfig, QualityConfig
from tests.conftest import TinyRegistry
from tests.flows.conftest import N_ROWS
from tests.helpers.tiny_adapters import save_tiny_adapter
from tests.helpers.tiny_models import save_tiny_bert, save_tiny_tokenizer

SHARDS = PipelineConfig(attribution=AttributionConfig(shard_rows=10), quality=QualityConfig(falsification_rows=4))
OTHER_QUALITY = SHARDS.model_copy(update={"quality": SHARDS.quality.model_copy(update={"seed": 1})})
SUITE = """\
name: mine
expectations:
  - type: expect_column_mean_to_be_between
    kwargs: {column: coverage, min_value: 2.0}
    severity: warning
    meta: {name: coverage}
"""


def with_suite(path: Path) -> PipelineConfig:
    return SHARDS.model_copy(update={"quality": SHARDS.quality.model_copy(update={"suite": str(path)})})


@pytest.fixture
def explain(model: str, dataset: Path, tmp_path: Path):
    def run(uri: str = model, **options) -> Outcome:
        return explain_release(uri, dataset, output=tmp_path / "runs", **{"config": SHARDS, **options})

    return run


def version_of(uri: str):
    name, number = uri.removeprefix("models:/").split("/")
    return mlflow.MlflowClient().get_model_version(name, number)


def test_a_first_release_is_explained_and_published(explain, model):
    outcome = explain()
    record = outcome.record
    assert record.drift.verdict is CheckVerdict.NOT_APPLICABLE
    assert record.data.n_explained == N_ROWS
    assert record.quality.scorer.runtime == "onnxruntime"
    assert {c.name for c in record.quality.controls} >= {"random", "plain_ig"}
    written = ["attributions", "config.yaml", "model_card.md", "record.json", "report.html", "seal.json"]
    assert sorted(p.name for p in outcome.folder.iterdir()) == written
    tags = version_of(model).tags
    assert tags["calig.verdict"] == record.decision.verdict
    assert tags["calig.fingerprint"] == record.fingerprint
    assert outcome.published is not None
    assert tags["calig.run_id"] == outcome.published.run_id
    assert tags["calig.state"] == "done"


@pytest.mark.slow
def test_the_exact_rollout_goes_through_the_whole_run(explain, tmp_path):
    config = SHARDS.model_copy(update={"attribution": AttributionConfig(fusion="exact", shard_rows=10)})
    first = explain(config=config)
    assert first.record.method.fusion == "exact (exact, λ 1)"
    assert first.record.quality.falsification is not None
    assert "exact, λ 1" in (first.folder / "report.html").read_text(encoding="utf-8")
    later = explain(str(save_tiny_bert(tmp_path / "second", seed=1)), config=config, reference=str(first.folder))
    assert later.record.drift.n_paired == N_ROWS


@pytest.mark.slow
def test_the_fusion_is_chosen_once_and_then_frozen_by_the_reference(explain, model, tiny_registry, tmp_path, monkeypatch):
    auto = PipelineConfig(attribution=AttributionConfig(fusion_coefficient="auto", calibration_rows=32))
    first = explain(config=auto)
    choice = first.record.method.fusion_choice
    assert choice is not None
    assert len(choice.slice_ids) == 32
    assert len(choice.candidates) == 63
    assert choice.fusion == first.record.config.attribution.fusion
    assert "How the fusion was chosen" in (first.folder / "report.html").read_text(encoding="utf-8")

    def no_second_choice(*_args, **_options):
        raise AssertionError("chosen twice")

    monkeypatch.setattr(attribution, "attribute_under", no_second_choice)
    assert explain(config=auto).reused
    folder = save_tiny_bert(tmp_path / "second", seed=1)
    later = explain(str(folder), config=auto, reference=str(first.folder))
    assert later.record.method.fusion_choice.frozen_by
    assert later.record.method.fingerprint == first.record.method.fingerprint
    assert later.record.drift.n_paired == N_ROWS


def test_again_does_nothing_and_force_does_it_all(explain, computed):
    first = explain()
    assert sorted(computed) == [0, 1, 2, 3]
    again = explain()
    assert again.reused
    assert again.published == first.published
    assert again.record == first.record
    assert len(computed) == 4
    forced = explain(force=True)
    assert not forced.reused
    assert forced.published.run_id != first.published.run_id
    assert sorted(computed) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.slow
def test_changed_settings_are_another_explanation_on_the_same_shards(explain, computed, model):
    first = explain()
    other = explain(config=OTHER_QUALITY)
    assert other.record.fingerprint != first.record.fingerprint
    again = explain()
    assert not again.reused, "the newest explanation counts, so that the earlier settings need a newer record"
    assert again.record.fingerprint == first.record.fingerprint
    assert again.published.run_id != first.published.run_id
    assert explain().published == again.published
    assert len(computed) == 4
    assert version_of(model).tags["calig.fingerprint"] == first.record.fingerprint


@pytest.mark.slow
def test_a_state_that_cannot_be_noted_stops_nothing(explain, model, monkeypatch):
    def fails(*_):
        raise CouldNotRunError("no tags today")

    monkeypatch.setattr(registry, "note_running", fails)
    monkeypatch.setattr(registry, "note_done", fails)
    assert explain().published is not None
    tags = version_of(model).tags
    assert "calig.state" not in tags
    assert "calig.verdict" in tags


def test_a_rerun_computes_only_what_failed(explain, computed, monkeypatch):
    real = attribution.explain_shard

    def failing(*args, index: int, **options):
        if index == 2:
            raise CouldNotRunError("the disk is full")
        return real(*args, index=index, **options)

    with monkeypatch.context() as broken:
        broken.setattr(attribution, "explain_shard", failing)
        broken.setattr("flows.pipeline.tasks.explain_shard.retry_delay_seconds", [0, 0])
        with pytest.raises(CouldNotRunError, match="disk is full"):
            explain()
    assert sorted(set(computed)) == [0, 1, 3]
    computed.clear()
    explain()
    assert computed == [2]


@pytest.mark.slow
def test_a_damaged_shard_is_computed_again(explain, computed, tmp_path):
    explain()
    (shard,) = (tmp_path / "runs" / ".cache" / "attributions").glob("*/shard-00001.parquet")
    shard.write_bytes(shard.read_bytes()[:-10])
    computed.clear()
    explain(config=OTHER_QUALITY)
    assert computed == [1]


def test_quality_that_breaks_is_inconclusive_and_published(explain, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the scorer fell over")

    monkeypatch.setattr(quality, "judge", broken)
    outcome = explain()
    assert outcome.record.decision.verdict is Verdict.INCONCLUSIVE
    assert "the scorer fell over" in outcome.record.decision.reasons[0]
    assert outcome.published is not None
    assert "fell over" in (outcome.folder / "report.html").read_text()


@pytest.mark.slow
def test_the_maps_are_tried_once_for_the_same_attributions(explain, monkeypatch):
    tried: list[int] = []
    real = attribution.falsify

    def counted(*args, **options):
        tried.append(1)
        return real(*args, **options)

    monkeypatch.setattr(attribution, "falsify", counted)
    first = explain().record.quality
    assert len(first.falsification.row_ids) == 4
    assert [stage.name for stage in first.falsification.stages] == ["head", "block 2", "block 1", "embeddings"]
    assert {metric.name: metric.n for metric in first.metrics}["max-sensitivity"] == 4
    other_suite = SHARDS.quality.model_copy(update={"suite": "strict"})
    again = explain(config=SHARDS.model_copy(update={"quality": other_suite})).record.quality
    assert again.falsification == first.falsification
    assert len(tried) == 1, "the suite changes nothing about the maps"
    explain(config=OTHER_QUALITY)
    assert len(tried) == 2, "another seed draws other rows"
    explain(force=True)
    assert len(tried) == 3


@pytest.mark.slow
def test_maps_that_could_not_be_tried_stop_nothing(explain, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no memory for a second model")

    with monkeypatch.context() as patched:
        patched.setattr(attribution, "falsify", broken)
        outcome = explain()
    quality_report = outcome.record.quality
    assert outcome.published is not None
    assert quality_report.falsification.problem == "RuntimeError: no memory for a second model"
    (check,) = [c for c in quality_report.checks if c.name == "maps fall when the model forgets"]
    assert check.verdict is CheckVerdict.INCONCLUSIVE
    assert any("could not try to falsify" in warning for warning in quality_report.warnings)
    assert "no memory for a second model" in (outcome.folder / "report.html").read_text()
    assert explain(force=True).record.quality.falsification.problem is None, "a failure is not kept"


@pytest.mark.slow
def test_zero_rows_switch_the_attempt_off(explain, monkeypatch):
    monkeypatch.setattr(attribution, "falsify", None)
    config = SHARDS.model_copy(update={"quality": SHARDS.quality.model_copy(update={"falsification_rows": 0})})
    assert explain(config=config).record.quality.falsification is None


def test_a_scorer_that_gives_no_numbers_is_inconclusive(explain, monkeypatch):
    opened = scoring.open_scorer

    def broken(*given, **options):
        scorer, record = opened(*given, **options)
        monkeypatch.setattr(scorer, "once", lambda: lambda inputs: scorer(inputs) * np.nan)
        return scorer, record

    monkeypatch.setattr(scoring, "open_scorer", broken)
    monkeypatch.setattr("flows.pipeline.tasks.score_shard.retry_delay_seconds", [0, 0])
    outcome = explain()
    assert outcome.record.decision.verdict is Verdict.INCONCLUSIVE
    assert "NaN or infinite answers" in outcome.record.decision.reasons[0]
    assert outcome.record.quality.perturbation is None


def test_a_perturbation_that_does_not_fit_costs_no_attribution(explain, computed):
    config = SHARDS.model_copy(update={"quality": SHARDS.quality.model_copy(update={"perturbation": "blur"})})
    with pytest.raises(InputError, match="allowed: auto, replace, delete"):
        explain(config=config)
    assert computed == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: mine\nexpectations: []\n", "line 2"),
        (SUITE.replace("column: coverage", "column: covrage"), "(?s)line 4: .*did you mean coverage"),
        (SUITE.replace("severity: warning", "for_each: segment_genre"), "(?s)line 5: .*no such segment"),
    ],
)
def test_a_broken_suite_costs_no_attribution(explain, computed, tmp_path, text, words):
    (tmp_path / "suite.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        explain(config=with_suite(tmp_path / "suite.yaml"))
    assert computed == []


@pytest.mark.slow
def test_the_record_names_the_suite_and_an_edited_suite_judges_again(explain, computed, tmp_path):
    assert explain().record.config.quality.suite == "default"
    (tmp_path / "suite.yaml").write_text(SUITE)
    first = explain(config=with_suite(tmp_path / "suite.yaml"))
    assert first.record.quality.suite == "mine"
    assert explain(config=with_suite(tmp_path / "suite.yaml")).reused
    (tmp_path / "suite.yaml").write_text(SUITE.replace("severity: warning", "severity: critical"))
    second = explain(config=with_suite(tmp_path / "suite.yaml"))
    assert not second.reused
    assert second.record.fingerprint != first.record.fingerprint
    assert second.record.quality.verdict is CheckVerdict.FAIL
    assert len(computed) == 4, "the attributions are those of the first run"


def test_results_survive_a_tracking_server_that_refuses(explain, computed, monkeypatch, tmp_path):
    def refuse(*_, folder: Path, **__):
        raise PublishError("no", next_step=f"calig publish {folder}")

    with monkeypatch.context() as refused:
        refused.setattr(registry, "publish", refuse)
        refused.setattr("flows.pipeline.tasks.publish.retry_delay_seconds", [0, 0])
        with pytest.raises(PublishError, match="calig publish"):
            explain()
    from flows.cli.outcome import publish_folder

    (record,) = tmp_path.glob("runs/*/*/*/record.json")
    assert publish_folder(record.parent) in {0, 1}
    assert explain().reused
    assert len(computed) == 4


def test_a_second_version_is_compared_with_the_champion(explain, model, tiny_registry: TinyRegistry, tmp_path):
    name = model.split("/")[1]
    second = f"models:/{name}/{tiny_registry.register(save_tiny_bert(tmp_path / 'other', seed=3), name)}"
    registry.set_alias(name, "champion", "1")
    unexplained = explain(second)
    assert unexplained.record.drift.verdict is CheckVerdict.INCONCLUSIVE
    assert "never explained" in unexplained.record.drift.reason
    first = explain()
    assert "first release" in first.record.drift.reason
    compared = explain(second)
    assert not compared.reused, "now that the reference is explained, this is another explanation"
    assert compared.record.drift.reference.version == "1"
    assert compared.record.drift.n_paired == N_ROWS
    other_settings = explain(second, config=PipelineConfig(attribution=AttributionConfig(fusion_coefficient=0.5)))
    assert other_settings.record.drift.verdict is CheckVerdict.INCONCLUSIVE
    assert "other attribution settings" in other_settings.record.drift.reason


#: By which the tiny models, whose weights are random, pass: the comparison is what these tests are about.
LENIENT = SHARDS.model_copy(
    update={"drift": SHARDS.drift.model_copy(update={"word_shift": 9.0}), "probe": ProbeConfig(certain_z=1e6)}
)


@pytest.fixture
def lenient(tmp_path: Path) -> PipelineConfig:
    (tmp_path / "lenient.yaml").write_text(SUITE.replace("min_value: 2.0", "min_value: 0.0"))
    return LENIENT.model_copy(update={"quality": with_suite(tmp_path / "lenient.yaml").quality})


@pytest.mark.slow
def test_tags_do_not_make_a_first_release(explain, model, tiny_registry: TinyRegistry, tmp_path, lenient):
    """Without @champion only the evidence of earlier versions says whether one was accepted."""
    name = model.split("/")[1]
    second = f"models:/{name}/{tiny_registry.register(save_tiny_bert(tmp_path / 'other', seed=3), name)}"
    first = explain(config=lenient)
    assert first.record.decision.verdict is Verdict.PASS
    client = mlflow.MlflowClient()
    client.set_model_version_tag(name, "1", "calig.verdict", "fail")
    client.set_tag(first.published.run_id, "calig.verdict", "fail")
    drift = explain(second, config=lenient).record.drift
    assert drift.verdict is CheckVerdict.INCONCLUSIVE
    assert "although version 1 was accepted" in drift.reason


@pytest.mark.slow
def test_a_reference_that_cannot_be_compared_is_explained_again_where_allowed(
    explain, lenient, model, tiny_registry, tmp_path, computed
):
    name = model.split("/")[1]
    second = f"models:/{name}/{tiny_registry.register(save_tiny_bert(tmp_path / 'other', seed=3), name)}"
    registry.set_alias(name, "champion", "1")
    allowed = lenient.model_copy(update={"drift": lenient.drift.model_copy(update={"reexplain_reference": True})})
    never_explained = explain(second, config=allowed).record.drift
    assert never_explained.n_paired == N_ROWS
    assert never_explained.reference.version == "1"
    assert len(computed) == 2 * 4 + 1, "both versions in four shards, and a few rows of the candidate exactly"
    assert never_explained.noise.numerics_rows == 8
    assert never_explained.noise.numerics < 1e-2
    assert never_explained.verdict is CheckVerdict.INCONCLUSIVE, "what was never accepted is nothing to pass against"
    assert "was never explained" in never_explained.reason
    explain(config=lenient)
    other_method = allowed.model_copy(update={"attribution": AttributionConfig(fusion_coefficient=0.5, shard_rows=10)})
    drift = explain(second, config=other_method).record.drift
    assert (drift.n_paired, drift.verdict) == (N_ROWS, CheckVerdict.PASS)
    assert drift.reference.record_sha256, "the record names the reference's own evidence"
    first_folder = explain(config=lenient).folder
    from_folder = explain(second, reference=str(first_folder), config=other_method)
    assert from_folder.record.drift.n_paired == N_ROWS, "a results folder names the version it is about"


@pytest.mark.slow
def test_reseeded_twins_measure_the_noise(explain, lenient, model, tiny_registry, tmp_path):
    name = model.split("/")[1]
    versions = [tiny_registry.register(save_tiny_bert(tmp_path / f"v{seed}", seed=seed), name) for seed in (3, 4, 5)]
    registry.set_alias(name, "champion", "1")
    nominated = lenient.model_copy(
        update={"drift": lenient.drift.model_copy(update={"twins": {1: tuple(int(twin) for twin in versions[:2])}})}
    )
    explain(config=lenient)
    assert explain(f"models:/{name}/{versions[0]}", config=lenient).record.decision.verdict is Verdict.PASS
    candidate = f"models:/{name}/{versions[2]}"
    one_twin = explain(candidate, config=nominated).record.drift.noise
    assert one_twin.retraining == "prior"
    assert any(f"version {versions[1]} was never explained" in why for why in one_twin.skipped)
    explain(f"models:/{name}/{versions[1]}", config=lenient)
    outcome = explain(candidate, config=nominated)
    noise = outcome.record.drift.noise
    assert not outcome.reused, "another twin is another noise floor"
    assert noise.retraining == "twins"
    assert len(noise.pairs) == 3
    assert all(identity.record_sha256 for identity in noise.versions)
    assert "reseeded twins" in outcome.record.drift.thresholds[0].source
    assert outcome.record.probe.n_null == 3, "the probe is held to the same twins"
    assert "Noise floor" in (outcome.folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_folder_is_explained_without_a_registry_and_compared_with_a_results_folder(explain, tmp_path):
    folder = save_tiny_bert(tmp_path / "local")
    first = explain(str(folder))
    assert first.published is None
    assert explain(str(folder)).reused
    other = explain(str(save_tiny_bert(tmp_path / "local2", seed=5)), reference=str(first.folder))
    assert other.record.drift.n_paired == N_ROWS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reference": "models:/nothing-here@champion"}, "no registered model 'nothing-here'"),
        ({"reference": "somewhere"}, "(?s)reference|model"),
        (
            {"config": PipelineConfig(attribution=AttributionConfig(target="MAYBE"))},
            "allowed: predicted, gold, margin, each, NEG, POS",
        ),
    ],
)
def test_bad_input_ends_before_any_work(explain, computed, options, message):
    with pytest.raises(InputError, match=message):
        explain(**options)
    assert computed == []


@pytest.mark.parametrize(
    ("settings", "rows", "words"),
    [
        ({"target": "gold"}, [{"text": "good film"}], "gold needs labels"),
        ({"target": "class:MAYBE"}, [{"text": "good film"}], "the model has no such class"),
        ({}, [{"text": ""}, {"text": None}], "no row that can be explained"),
        ({}, [{"text": "good film", "label": "MAYBE"}], "labels that the model does not have"),
        ({}, [{"text": "good film", "label": "POS"}, {"text": "bad film", "label": "1"}], "mix class names and class indices"),
        ({}, [{"text": "good film", "Label": "POS"}], "did you mean 'label'"),
        ({"baseline": "blur"}, [{"text": "good film"}], "no baseline 'blur'"),
    ],
)
def test_what_can_be_known_beforehand_costs_no_attribution(explain, dataset, computed, settings, rows, words):
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=words):
        explain(config=PipelineConfig(attribution=AttributionConfig(**settings)))
    assert computed == []


@pytest.mark.parametrize(
    ("section", "setting"), [("drift", "sets_file"), ("probe", "word_list"), ("probe", "transformation_words")]
)
def test_files_of_words_are_read_before_any_work(explain, computed, tmp_path, section, setting):
    settings = {section: {setting: tmp_path / "missing"}}
    with pytest.raises(InputError, match=setting):
        explain(config=PipelineConfig.model_validate(settings))
    assert computed == []


def test_a_broken_suite_is_refused_before_the_fusion_is_chosen(explain, tmp_path, monkeypatch):
    from components import attribution

    monkeypatch.setattr(attribution, "attribute_under", lambda *_: pytest.fail("rows were attributed"))
    (tmp_path / "suite.yaml").write_text(SUITE.replace("column: coverage", "column: covrage"))
    config = with_suite(tmp_path / "suite.yaml")
    auto = config.attribution.model_copy(update={"fusion_coefficient": "auto"})
    with pytest.raises(InputError, match="did you mean coverage"):
        explain(config=config.model_copy(update={"attribution": auto}))


def _edited(folder, **changes):
    """A model's folder with other settings in its configuration."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return str(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem_type": "regression"}, "each output has a unit of its own"),
        ({"id2label": {"0": "A", "1": "A"}, "label2id": {"A": 1}}, "same name"),
    ],
)
def test_a_model_that_cannot_be_judged_is_refused_before_any_work(explain, computed, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        explain(_edited(save_tiny_bert(tmp_path / "edited"), **changes))
    assert computed == []


@pytest.mark.usefixtures("_prefect")
def test_a_gpu_is_used_only_with_a_slot(monkeypatch):
    from flows.execution.resources import gpu_slot

    monkeypatch.setattr(attribution, "uses_gpu", lambda _: True)
    with pytest.raises(CouldNotRunError, match="prefect gcl create gpu"), gpu_slot(AttributionConfig()):
        pass
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(_limit("gpu"))
    with gpu_slot(AttributionConfig()):
        pass


def _limit(name):
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    return GlobalConcurrencyLimitCreate(name=name, limit=1)


def test_progress_is_told(explain, monkeypatch):
    told: list[tuple[str, int]] = []

    class Recorder(progress.LineReporter):
        def stage(self, name, total):
            told.append((name, 0))
            return lambda n: told.append((name, n))

    monkeypatch.setattr(progress, "_current", Recorder())
    explain()
    for stage in ("attributing", "measuring quality"):
        assert sum(n for name, n in told if name == stage) == N_ROWS


@pytest.mark.usefixtures("_prefect")
def test_images_go_the_same_way(tiny_registry: TinyRegistry, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    rows = []
    for i in range(32):
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        rows.append({"id": str(i), "image": f"{i}.png", "label": "CIRCLE"})
    dataset = tmp_path / "shapes.jsonl"
    dataset.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = explain_release(f"models:/{tiny_registry.image}/1", dataset, output=tmp_path / "runs")
    assert outcome.record.data.n_explained == 32
    assert outcome.record.quality.scorer.runtime == "onnxruntime"
    assert outcome.record.method.baseline == "black image"
    assert (outcome.record.config.quality.suite, outcome.record.quality.suite) == ("vision", "vision")
    assert "data:image/" in (outcome.folder / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("_prefect")
def test_a_registered_adapter_is_explained_as_the_merged_model(explain, model, tiny_registry: TinyRegistry, tmp_path):
    """Version 2 is a LoRA adapter whose base is version 1; the oracle is the library on what PEFT itself merges and saves."""
    name = model.split("/")[1]
    adapted = save_tiny_adapter(tmp_path / "logged" / "peft", tmp_path / "bert")
    settings = tmp_path / "logged" / "peft" / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": model}))
    save_tiny_tokenizer(tmp_path / "logged" / "components" / "tokenizer")
    (tmp_path / "logged" / "MLmodel").write_text("flavors: {transformers: {peft_adaptor: peft}}")
    version = mlflow.MlflowClient().create_model_version(name, str(tmp_path / "logged")).version
    outcome = explain(f"models:/{name}/{version}", limit=12)

    record = outcome.record
    assert outcome.published is not None
    assert version_of(f"models:/{name}/{version}").tags["calig.verdict"] == record.decision.verdict
    assert record.quality.scorer.runtime == "onnxruntime"
    adapter, base = record.model.adapter, registry.fetch(registry.parse_model_ref(model), workspace=tmp_path / "base")
    assert (adapter.kind, adapter.base_uri, adapter.base_digest) == ("LORA", model, base.weights_digest)
    assert record.model.stored_precision == ("float32",)
    for page in ("report.html", "model_card.md"):
        text = (outcome.folder / page).read_text(encoding="utf-8")
        assert adapter.digest in text
        assert adapter.base_digest in text
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    merged = load_model(save_tiny_tokenizer(tmp_path / "merged"), device="cpu")
    for row in first_rows(outcome, 3):
        expected = library_explain(*merged, row["text"])[0]
        assert row["predicted"] == expected.predicted
        np.testing.assert_allclose(row["logits"], expected.logits, atol=1e-4)
        np.testing.assert_allclose(row["values"], expected.values, rtol=1e-3, atol=1e-4)


def first_rows(outcome: Outcome, n: int) -> list[dict]:
    return pq.read_table(min((outcome.folder / "attributions").glob("*.parquet"))).slice(0, n).to_pylist()
