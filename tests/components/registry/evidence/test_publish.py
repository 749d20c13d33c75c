"""Publishing evidence to a real MLflow store: whole, once, resumable, and without touching what users wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import mlflow
import pyarrow.parquet as pq
import pytest

from components import registry
from components.common.errors import CouldNotRunError, InputError, PublishError
from components.registry.evidence.description import BEGIN, END, MAX_DESCRIPTION, paragraph_of, with_paragraph
from components.registry.evidence.metrics import metrics_of
from schemas.base import Verdict
from schemas.governance import GovernanceReport
from schemas.release import ModelSource
from tests.components.registry.publishing import Results, artifact_folder, new_version, results_for
from tests.conftest import TinyRegistry
from tests.helpers.tracking import connected


@pytest.fixture
def results(tiny_registry: TinyRegistry, tmp_path: Path, request: pytest.FixtureRequest) -> Results:
    name = request.node.name.replace("[", "-").replace("]", "")
    return results_for(new_version(tiny_registry, name, tmp_path), tmp_path / "results")


def test_evidence_arrives_whole(results: Results, tmp_path: Path) -> None:
    published = results.publish()
    run = results.client.get_run(published.run_id)
    got = Path(results.client.download_artifacts(published.run_id, "calig", str(tmp_path)))

    assert run.info.status == "FINISHED"
    assert sorted(str(path.relative_to(got)) for path in got.rglob("*") if path.is_file()) == [
        "attributions/shard-000.parquet",
        "config.yaml",
        "model_card.md",
        "record.json",
        "report.html",
        "seal.json",
    ]
    assert GovernanceReport.model_validate_json((got / "record.json").read_text()) == results.record
    assert published.verdict is Verdict.FAIL
    assert published.run_url is None
    assert published.artifact_uri == f"{run.info.artifact_uri}/calig"


def test_metrics_are_the_records_on_the_run_and_on_the_logged_model(results: Results) -> None:
    run = results.client.get_run(results.publish().run_id)

    assert run.data.metrics == pytest.approx(metrics_of(results.record))
    assert run.data.metrics["calig.quality.comprehensiveness"] == 0.4312
    assert run.data.metrics["calig.margin.random"] == 0.666
    assert run.data.metrics["calig.drift.rank_agreement"] == 0.78
    assert run.data.metrics["calig.drift.rank_agreement.class_POS"] == pytest.approx(0.71)
    model = results.client.get_logged_model(results.record.model.model_id)
    assert {metric.key: metric.value for metric in model.metrics} == run.data.metrics


def test_missing_and_infinite_numbers_are_left_out(results: Results) -> None:
    quality = results.record.quality
    broken = tuple(
        metric.model_copy(update={"value": value})
        for metric, value in zip(quality.metrics, (float("inf"), float("nan"), None), strict=False)
    )
    record = results.record.model_copy(
        update={"quality": quality.model_copy(update={"metrics": broken}), "drift": results.record.drift}
    )
    assert not [name for name in metrics_of(record) if name.startswith("calig.quality.")]


def test_the_data_set_and_the_model_are_inputs_of_the_run(results: Results) -> None:
    inputs = results.client.get_run(results.publish().run_id).inputs
    (dataset,) = inputs.dataset_inputs
    assert dataset.dataset.name == "review-validation"
    assert results.record.data.dataset.digest.startswith(dataset.dataset.digest)
    assert [model.model_id for model in inputs.model_inputs] == [results.record.model.model_id]


def test_verdict_run_and_fingerprint_are_on_the_version(results: Results) -> None:
    published = results.publish()
    version = results.version()
    assert version.tags == {
        "calig.verdict": "fail",
        "calig.run_id": published.run_id,
        "calig.fingerprint": results.record.fingerprint,
    }
    assert "CA-LIG: fail" in version.description
    assert published.run_id in version.description


def test_a_second_publish_changes_nothing(results: Results) -> None:
    first = results.publish()
    before = results.version().last_updated_timestamp
    assert results.publish() == first
    assert len(results.runs()) == 1
    assert results.version().last_updated_timestamp == before


def test_force_adds_a_run_and_replaces_only_its_own_paragraph(results: Results) -> None:
    model = results.record.model
    results.client.update_model_version(model.name, model.version, description="Trained by Ada.\n\n- do not delete")
    first = results.publish()
    after_first = results.version().description
    results.client.update_model_version(model.name, model.version, description=f"{after_first}\n\nAppended later.")
    second = results.publish(force=True)

    assert second.run_id != first.run_id
    assert results.version().tags["calig.run_id"] == second.run_id
    description = results.version().description
    assert description.startswith("Trained by Ada.\n\n- do not delete")
    assert "Appended later." in description
    assert description.count(BEGIN) == description.count(END) == 1
    assert first.run_id not in description


@pytest.mark.parametrize(
    "step",
    ["log_inputs", "log_batch", "log_artifact", "set_tag", "update_model_version", "set_model_version_tag", "set_terminated"],
)
def test_an_attempt_that_broke_off_is_taken_up_in_its_own_run(
    results: Results, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("the server went away")

    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, step, fail)
        with pytest.raises(PublishError) as caught:
            results.publish()
    assert f"calig publish {results.folder}" in str(caught.value)
    assert "the server went away" in str(caught.value)
    assert registry.find_finished(results.record.model, results.record.fingerprint) is None

    published = results.publish()
    assert [run.info.run_id for run in results.runs()] == [published.run_id]
    history = results.client.get_metric_history(published.run_id, "calig.accuracy")
    assert len(history) == 1
    assert len(results.client.get_run(published.run_id).inputs.dataset_inputs) == 1
    assert results.version().tags["calig.verdict"] == "fail"


def test_who_publishes_at_the_same_time_fills_the_same_run(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    create, ids = mlflow.MlflowClient.create_run, []

    def create_after_another(client: Any, *given: Any, **named: Any) -> Any:
        """Another process was a moment faster."""
        ids.extend(create(client, *given, **named).info.run_id for _ in range(2))
        return client.get_run(ids[1])

    monkeypatch.setattr(mlflow.MlflowClient, "create_run", create_after_another)
    published = results.publish()
    assert published.run_id in ids
    assert [run.info.run_id for run in results.runs()] == [published.run_id], "the other was begun in vain and is gone"
    assert results.publish() == published


def test_the_version_says_nothing_before_the_evidence_is_there(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", fail)
    with pytest.raises(PublishError):
        results.publish()
    assert results.version().tags == {}
    assert not results.version().description


def test_another_fingerprint_is_another_run(results: Results, tmp_path: Path) -> None:
    first = results.publish()
    other = results_for(results.record.model, tmp_path / "other", fingerprint="01" * 32)
    second = other.publish()
    assert {run.info.run_id for run in results.runs()} == {first.run_id, second.run_id}
    assert results.version().tags["calig.fingerprint"] == "01" * 32


def test_only_registered_versions_and_whole_folders_are_published(results: Results) -> None:
    folder_model = results.record.model.model_copy(update={"source": ModelSource.FOLDER})
    with pytest.raises(InputError, match="Only versions of registered models"):
        results._replace(record=results.record.model_copy(update={"model": folder_model})).publish()
    (results.folder / "report.html").unlink()
    (results.folder / "attributions" / "shard-000.parquet").unlink()
    with pytest.raises(InputError, match=r"report.html, attributions/\*.parquet"):
        results.publish()


def test_a_model_that_the_server_did_not_log_is_published_without_link(results: Results) -> None:
    model = results.record.model.model_copy(update={"model_id": "m-" + "0" * 32})
    published = results._replace(record=results.record.model_copy(update={"model": model})).publish()
    assert results.client.get_run(published.run_id).inputs.model_inputs == []


def test_an_unreachable_server_is_a_publish_error(results: Results) -> None:
    with connected("http://127.0.0.1:9"), pytest.raises(PublishError, match="complete on disk"):
        results.publish()


def test_nothing_is_left_in_the_working_directory(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    results.publish()
    assert list((tmp_path / "cwd").iterdir()) == []


def test_a_finished_explanation_is_found_again(results: Results) -> None:
    snapshot, fingerprint = results.record.model, results.record.fingerprint
    assert registry.find_finished(snapshot, fingerprint) is None
    published = results.publish()
    assert registry.find_finished(snapshot, fingerprint) == published
    assert registry.find_finished(snapshot, "00" * 32) is None
    other = snapshot.model_copy(update={"version": "2"})
    assert registry.find_finished(other, fingerprint) is None


def test_a_published_profile_comes_back(results: Results, tmp_path: Path) -> None:
    results.publish()
    profile = registry.fetch_profile(results.evidence(), tmp_path)
    assert sorted(path.name for path in profile.iterdir() if not path.name.startswith(".")) == ["attributions", "record.json"]
    assert (profile / "record.json").read_text() == (results.folder / "record.json").read_text()
    assert pq.read_table(profile / "attributions").equals(pq.read_table(results.folder / "attributions"))


def test_a_profile_whose_tables_are_not_the_records_is_refused_and_one_that_changed_on_disk_is_fetched_again(
    results: Results, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    results.publish()
    evidence = results.evidence()
    profile = registry.fetch_profile(evidence, tmp_path)
    table = next((profile / "attributions").glob("*.parquet"))
    before = table.read_bytes()
    table.write_bytes(before[:-9] + bytes([before[-9] ^ 1]) + before[-8:])
    assert registry.fetch_profile(evidence, tmp_path) == profile
    assert table.read_bytes() == before
    assert "changed since it was downloaded" in caplog.text
    stored = artifact_folder(results.client, str(evidence.run_id)) / "attributions" / table.name
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"(?s)not those that their record was made from.*shard-000"):
        registry.fetch_profile(evidence, tmp_path / "elsewhere")


def test_lost_tables_are_an_error_not_a_missing_profile(results: Results, tmp_path: Path) -> None:
    results.publish()
    evidence = results.evidence()
    shutil.rmtree(artifact_folder(results.client, str(evidence.run_id)) / "attributions")
    with pytest.raises(CouldNotRunError, match=r"evidence of run|no attribution tables"):
        registry.fetch_profile(evidence, tmp_path)


def test_the_reference_is_the_aliased_version_unless_it_is_this_one(tiny_registry: TinyRegistry, tmp_path: Path) -> None:
    def snapshot(version: str) -> Any:
        return registry.fetch(registry.parse_model_ref(f"models:/{tiny_registry.text}/{version}"), workspace=tmp_path)

    reference = registry.reference_for(snapshot("2"), "champion")
    assert reference is not None
    assert (reference.uri, reference.version, reference.alias) == (f"models:/{tiny_registry.text}/1", "1", "champion")
    own = registry.reference_for(snapshot("1"), "champion")
    assert own is not None
    assert own.version == "1"
    assert registry.reference_for(snapshot("1"), "unknown") is None
    folder = snapshot("2").model_copy(update={"source": ModelSource.FOLDER})
    assert registry.reference_for(folder, "champion") is None


def test_a_reference_named_by_its_user_is_pinned(tiny_registry: TinyRegistry) -> None:
    pinned = registry.resolve_reference(registry.parse_model_ref(f"models:/{tiny_registry.text}@candidate"))
    assert (pinned.uri, pinned.version, pinned.alias) == (f"models:/{tiny_registry.text}/2", "2", "candidate")
    with pytest.raises(InputError, match="no version 9"):
        registry.resolve_reference(registry.parse_model_ref(f"models:/{tiny_registry.text}/9"))
    with pytest.raises(InputError, match="registered version"):
        registry.resolve_reference(registry.parse_model_ref(str(tiny_registry.bert)))


def test_a_description_that_would_not_fit_is_left_alone() -> None:
    long = "x" * (MAX_DESCRIPTION - 10)
    assert with_paragraph(long, f"{BEGIN}\nnew\n{END}") == long


def test_registering_leaves_the_working_directory_and_mlflows_own_setting_alone(
    tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tags, metrics = {"team": "reviews"}, {"accuracy": 0.9}
    version = registry.register(tiny_registry.bert, name="registered", experiment="training", tags=tags, metrics=metrics)
    client = mlflow.MlflowClient()
    registered = client.get_model_version("registered", version)
    assert registered.tags == tags
    assert client.get_run(registered.run_id).data.metrics == metrics
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    assert mlflow.get_tracking_uri() == "sqlite:///elsewhere.db", "a later change of the environment is heard"


def test_tagged_twins_are_found_newest_first(tiny_registry: TinyRegistry) -> None:
    name, client = "family", mlflow.MlflowClient()
    client.create_registered_model(name)
    for twin_of in ("", "1", "3", "1"):
        client.create_model_version(name, source="file:///nowhere", tags={"calig.twin_of": twin_of} if twin_of else {})
    assert [ref.uri for ref in registry.tagged_twins(name, "1")] == ["models:/family/4", "models:/family/2"]


def test_accepted_versions_are_those_that_runs_say_passed_whatever_tags_say(results: Results, tmp_path: Path) -> None:
    name = results.record.model.name
    assert registry.accepted_versions("nobody") == []
    results.publish()
    results.client.set_model_version_tag(name, "1", "calig.verdict", "pass")
    assert registry.accepted_versions(name) == [], "it failed"
    results.again(tmp_path / "again", verdict=Verdict.PASS).publish(force=True)
    results.client.set_model_version_tag(name, "1", "calig.verdict", "fail")
    assert [ref.uri for ref in registry.accepted_versions(name)] == [f"models:/{name}/1"]


def test_a_version_is_pointed_back_to_an_earlier_explanation_and_a_gap_is_over(results: Results, tmp_path: Path) -> None:
    first = results.publish()
    other = results_for(results.record.model, tmp_path / "other", fingerprint="77aa" * 16)
    second = other.publish()
    assert results.version().tags["calig.run_id"] == second.run_id
    name, number = results.record.model.name, results.record.model.version
    results.client.set_model_version_tag(name, number, "calig.reason", "no disk")
    results.client.set_model_version_tag(name, number, "calig.verdict", "inconclusive")
    registry.point_to(results.record, first.run_id)
    version = results.version()
    assert version.tags["calig.run_id"] == first.run_id
    assert version.tags["calig.fingerprint"] == results.record.fingerprint
    assert version.tags["calig.verdict"] == results.record.decision.verdict
    assert "calig.reason" not in version.tags
    assert f"run {first.run_id}" in version.description
    assert second.run_id not in version.description
    assert len(results.runs()) == 2


def test_run_and_logged_model_say_the_same_below_what_their_owners_wrote(results: Results) -> None:
    model_id = results.record.model.model_id
    results.client.set_logged_model_tags(model_id, {"mlflow.note.content": "Trained by Ada."})
    run = results.client.get_run(results.publish().run_id)
    results.publish(force=True)
    model = results.client.get_logged_model(model_id)
    assert model.tags["mlflow.note.content"].startswith("Trained by Ada.")
    assert model.tags["mlflow.note.content"].count(BEGIN) == 1
    assert model.tags["calig.verdict"] == "fail"
    assert run.data.tags["mlflow.note.content"] == paragraph_of(results.record, run)


def test_words_of_the_data_are_no_markup(results: Results) -> None:
    evil = "the word “[x](javascript:alert(1))” | <img src=x onerror=alert(1)> <!-- calig:end -->"
    drift = results.record.drift.model_copy(update={"reason": evil})
    decision = results.record.decision.model_copy(update={"reasons": (evil,)})
    record = results.record.model_copy(update={"drift": drift, "decision": decision})
    run = results.client.get_run(results.publish().run_id)
    paragraph = paragraph_of(record, run)
    assert "[x](" not in paragraph
    assert "<img" not in paragraph
    assert paragraph.count(END) == 1
    assert all(line.count("|") == 4 for line in paragraph.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("loss", ["nothing is kept", "the record is another"])
def test_what_the_server_did_not_keep_is_not_marked(results: Results, monkeypatch: pytest.MonkeyPatch, loss: str) -> None:
    """A server can answer that all is well and keep nothing, as one whose artifact root is a path of another machine."""
    real = mlflow.MlflowClient.log_artifact

    def lossy(client: Any, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        if loss == "nothing is kept":
            return
        real(client, run_id, local_path, artifact_path)
        if local_path.endswith("record.json"):
            path = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "calig" / "record.json"
            path.write_bytes(path.read_bytes().replace(b"fail", b"pass"))

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", lossy)
    with pytest.raises(PublishError, match="did not keep the evidence"):
        results.publish()
    assert "calig.verdict" not in results.version().tags
    assert all("calig.published" not in run.data.tags for run in results.runs())
    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", real)
    assert results.publish().verdict is Verdict.FAIL
