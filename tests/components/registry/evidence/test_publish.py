"""Publishing evidence to a real MLflow store: whole, once, resumable, and without touching what users wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest

from components import registry
from components.common.errors import InputError, PublishError
from components.registry.evidence.summary import (
    BEGIN,
    END,
)
from schemas.base import Verdict
from schemas.governance import GovernanceReport
from schemas.release import ModelSource
from tests.components.registry.publishing import Results, results_for
from tests.helpers.tracking import connected


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
