"""`calig gate`, `history` and `alerts resend` on a real registry: exit codes, files, promotion, and what is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from components import registry
from components.signing import seal_folder
from flows.cli.app import app
from schemas.base import CheckVerdict, Verdict
from schemas.config import PipelineConfig
from schemas.gate import GateResult
from tests.components.registry.publishing import Results, artifact_folder, new_version, results_for
from tests.conftest import TinyRegistry
from tests.helpers.tiny_models import save_tiny_bert


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_registry: TinyRegistry):
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"tried-gate-{tmp_path.name}"


@pytest.fixture
def explained(tiny_registry: TinyRegistry, tmp_path: Path, name: str):
    """Publish a record with the verdict asked for about a new version."""

    def publish(verdict: Verdict, settings: dict[str, object] | None = None) -> Results:
        snapshot = new_version(tiny_registry, name, tmp_path)
        results = results_for(snapshot, tmp_path / f"results-{snapshot.version}")
        drift = results.record.drift
        if verdict is Verdict.PASS:
            calm = tuple(shift.model_copy(update={"fires": False}) for shift in drift.word_shifts)
            drift = drift.model_copy(update={"verdict": CheckVerdict.PASS, "word_shifts": calm, "reference": None})
        decision = results.record.decision.model_copy(update={"verdict": verdict})
        record = results.record.model_copy(update={"decision": decision, "drift": drift, "probe": None})
        if settings is not None:
            record = record.model_copy(update={"config": PipelineConfig.model_validate(settings)})
        (results.folder / "record.json").write_bytes(record.canonical())
        (results.folder / "seal.json").write_bytes(seal_folder(results.folder, record, None, record.created_at).canonical())
        results = results._replace(record=record)
        results.publish()
        return results

    return publish


def champion(results: Results) -> str | None:
    found = results.client.get_registered_model(results.record.model.name).aliases.get("champion")
    return None if found is None else str(found)


@pytest.mark.parametrize(("verdict", "code"), [(Verdict.PASS, 0), (Verdict.FAIL, 1), (Verdict.INCONCLUSIVE, 3)])
def test_the_exit_code_is_the_published_verdict_and_nothing_is_moved(run, explained, name, tmp_path, verdict, code) -> None:
    results = explained(verdict)
    before = results.version().last_updated_timestamp
    answer = run("gate", f"models:/{name}/1", "--junit", "gate.xml", "--summary", "gate.md")
    assert answer.exit_code == code, answer.output
    assert str(verdict) in answer.output
    assert f"{verdict}: " in (tmp_path / "gate.md").read_text(encoding="utf-8").splitlines()[0]
    root = ET.parse(tmp_path / "gate.xml").getroot()  # noqa: S314 - our own file
    assert (int(root.get("failures")) + int(root.get("errors")) > 0) == (code > 0)
    assert champion(results) is None
    assert results.version().last_updated_timestamp == before
    assert run("gate", str(results.folder)).exit_code == code, "a results folder says the same"


def test_json_is_the_result_and_nothing_else(run, explained, name) -> None:
    results = explained(Verdict.FAIL)
    result = GateResult.model_validate_json(run("gate", f"models:/{name}/1", "--json").stdout)
    assert (result.model, result.version, result.verdict) == (name, "1", Verdict.FAIL)
    assert result.fingerprint == results.record.fingerprint
    assert result.run_id == results.version().tags["calig.run_id"]


def test_a_version_that_was_never_explained_is_bad_input_and_old_files_are_gone(run, tiny_registry, name, tmp_path) -> None:
    new_version(tiny_registry, name, tmp_path)
    for old in ("gate.xml", "gate.md"):
        (tmp_path / old).write_text("of another run")
    answer = run("gate", f"models:/{name}/1", "--junit", "gate.xml", "--summary", "gate.md")
    assert answer.exit_code == 2
    assert f"calig explain models:/{name}/1 --dataset" in answer.output
    assert not (tmp_path / "gate.xml").exists()
    assert not (tmp_path / "gate.md").exists()


def test_stricter_by_option_or_by_configuration(run, explained, name, tmp_path) -> None:
    explained(Verdict.PASS)
    (tmp_path / "strict.yaml").write_text("gate: {require_reference: true}\n")
    assert run("gate", f"models:/{name}/1").exit_code == 0
    assert run("gate", f"models:/{name}/1", "--require-reference").exit_code == 3
    assert run("gate", f"models:/{name}/1", "--config", "strict.yaml").exit_code == 3
    assert run("gate", f"models:/{name}/1", "--max-age", "100000").exit_code in {0, 3}
    assert run("gate", f"models:/{name}/1", "--max-age", "0").exit_code == 3


def test_promotion_only_on_pass_and_said(run, explained, name, tmp_path) -> None:
    failing = explained(Verdict.FAIL)
    answer = run("gate", f"models:/{name}/1", "--promote")
    assert answer.exit_code == 1
    assert "@champion was not moved: the verdict is fail" in answer.output
    assert champion(failing) is None
    passing = explained(Verdict.PASS)
    (tmp_path / "policy.yaml").write_text("gate: {promote: true}\n")
    answer = run("gate", f"models:/{name}/2", "--config", "policy.yaml", "--json")
    assert answer.exit_code == 0
    assert json.loads(answer.stdout)["promoted"] == "@champion moved to version 2; there was none"
    assert champion(passing) == "2"
    later = explained(Verdict.PASS)
    answer = run("gate", f"models:/{name}/3", "--promote")
    assert answer.exit_code == 3, "it was not compared with version 2"
    assert "compared with nothing, required: with @champion (version 2)" in answer.output
    assert champion(later) == "2"
    (tmp_path / "any.yaml").write_text("gate: {reference: any}\n")
    assert run("gate", f"models:/{name}/3", "--config", "any.yaml").exit_code == 0
    assert run("gate", f"models:/{name}/3", "--config", "any.yaml", "--promote").exit_code == 2, "promotion is stricter still"
    assert champion(later) == "2"
    assert run("gate", str(later.folder), "--promote").exit_code == 2
    registry.set_alias(name, "champion", "3")
    assert run("gate", f"models:/{name}/2", "--promote").exit_code == 3
    assert run("gate", f"models:/{name}/2", "--promote", "--rollback").exit_code == 0
    assert champion(later) == "2"


def test_lenient_settings_do_not_pass_unless_the_gate_allows_them(run, explained, name, tmp_path) -> None:
    explained(Verdict.PASS, settings={"drift": {"word_shift": 5.0, "word_shift_z": 50.0}})
    answer = run("gate", f"models:/{name}/1", "--promote")
    assert answer.exit_code == 3, answer.output
    assert "drift.word_shift is 5.0, required at most 0.3" in answer.output
    (tmp_path / "own.yaml").write_text("drift: {word_shift: 5.0, word_shift_z: 50.0}\n")
    assert run("gate", f"models:/{name}/1", "--config", "own.yaml").exit_code == 0, "the operator's own settings"
    (tmp_path / "any.yaml").write_text("gate: {settings: any}\n")
    assert run("gate", f"models:/{name}/1", "--config", "any.yaml").exit_code == 0
    for text in ("dataset: another", "min_rows: 100000", "suite: strict", "reference: 'models:/other/1'"):
        (tmp_path / "asks.yaml").write_text(f"gate: {{settings: any, {text}}}\n")
        assert run("gate", f"models:/{name}/1", "--config", "asks.yaml").exit_code == 3, text
    (tmp_path / "bad.yaml").write_text("gate: {reference: latest}\n")
    assert run("gate", f"models:/{name}/1", "--config", "bad.yaml").exit_code == 2
    (tmp_path / "gone.yaml").write_text("quality: {suite: gone.yaml}\n")
    assert run("gate", f"models:/{name}/1", "--config", "gone.yaml").exit_code == 2


def test_every_gate_says_whether_somebody_signed_and_a_list_of_keys_asks_for_it(run, explained, name, tmp_path) -> None:
    explained(Verdict.PASS)
    answer = run("gate", f"models:/{name}/1", "--junit", "gate.xml")
    assert answer.exit_code == 0
    assert "NOT SIGNED" in answer.output
    assert "NOT SIGNED" in (tmp_path / "gate.xml").read_text()
    assert json.loads(run("gate", f"models:/{name}/1", "--json").stdout)["signature"] == "NOT SIGNED"
    (tmp_path / "keys.yaml").write_text("keys: []\n")
    answer = run("gate", f"models:/{name}/1", "--trusted-keys", "keys.yaml", "--promote")
    assert answer.exit_code == 3, "an empty list trusts nobody"
    assert "NOT SIGNED; required: by a trusted key" in answer.output
    assert run("gate", f"models:/{name}/1", "--trusted-keys", "gone.yaml").exit_code == 2


def logged_files(results: Results, name: str) -> Path:
    """The folder in MLflow's storage that holds the files of the model's version 1."""
    source = results.client.get_model_version_download_uri(name, "1")
    if source.startswith("models:"):
        source = results.client.get_logged_model(source.rpartition("/")[2]).artifact_location
    return Path(source.removeprefix("file://"))


def test_an_mlmodel_that_serves_something_else_is_found_before_a_promotion(run, explained, name) -> None:
    """Weights and tokenizer stay as they were: what is loaded, and by which code, is what MLmodel says."""
    results = explained(Verdict.PASS)
    mlmodel = logged_files(results, name) / "MLmodel"
    text = mlmodel.read_text(encoding="utf-8")
    mlmodel.write_text(text.replace("loader_module: mlflow.transformers", "loader_module: served"), encoding="utf-8")
    assert mlmodel.read_text(encoding="utf-8") != text
    answer = run("gate", f"models:/{name}/1", "--promote")
    assert answer.exit_code == 3, answer.output
    assert "MLmodel" in answer.output
    assert champion(results) is None


def test_weights_put_over_the_explained_ones_are_found_before_a_promotion(run, explained, name, tmp_path) -> None:
    results = explained(Verdict.PASS)
    stored = next(logged_files(results, name).rglob("model.safetensors"))
    stored.write_bytes((save_tiny_bert(tmp_path / "other", seed=9) / "model.safetensors").read_bytes())
    answer = run("gate", f"models:/{name}/1", "--promote")
    assert answer.exit_code == 3, answer.output
    assert "not what was explained: weights" in answer.output
    assert champion(results) is None
    (tmp_path / "weights.yaml").write_text("gate: {check_weights: true}\n")
    assert run("gate", f"models:/{name}/1", "--config", "weights.yaml").exit_code == 3


def test_evidence_changed_beside_the_record_is_found_before_a_promotion(run, explained, name) -> None:
    results = explained(Verdict.PASS)
    (artifact_folder(results.client, results.runs()[0].info.run_id) / "report.html").write_text("<title>all is well</title>")
    answer = run("gate", f"models:/{name}/1", "--promote")
    assert answer.exit_code == 3
    assert "report.html was changed" in answer.output
    assert champion(results) is None


def test_a_version_registered_anew_under_its_old_number_does_not_pass(run, explained, name, tiny_registry) -> None:
    results = explained(Verdict.PASS)
    tags = results.version().tags
    results.client.delete_registered_model(name)
    tiny_registry.register(tiny_registry.bert, name)
    for key, value in tags.items():
        results.client.set_model_version_tag(name, "1", key, value)
    answer = run("gate", f"models:/{name}/1", "--promote")
    assert answer.exit_code == 2
    assert "another version that had this name and number" in answer.output
    assert champion(results) is None


@pytest.mark.parametrize("command", ["gate", "verify", "card"])
def test_a_folder_called_like_an_address_is_not_read(run, explained, name, tmp_path, command: str) -> None:
    forged = explained(Verdict.PASS)
    explained(Verdict.FAIL)
    (tmp_path / "models:" / name).mkdir(parents=True)
    forged.folder.rename(tmp_path / "models:" / name / "2")
    answer = run(command, f"models:/{name}/2")
    assert answer.exit_code == {"gate": 1, "verify": 0, "card": 0}[command], answer.output
    assert "may ship" not in answer.output


def test_history_lists_every_version_and_writes_a_page(run, explained, name, tiny_registry, tmp_path) -> None:
    explained(Verdict.FAIL)
    tiny_registry.register(tiny_registry.bert, name)
    registry.set_alias(name, "champion", "1")
    answer = run("history", name, "--html", "out/trend.html")
    assert answer.exit_code == 0, answer.output
    assert answer.output.index("never explained") < answer.output.index("1 @champion"), "newest first"
    (row,) = (line for line in answer.output.splitlines() if "@champion" in line)
    assert "✗ fail" in row
    assert "btw" in row
    page = (tmp_path / "out" / "trend.html").read_text()
    assert "never explained; registered" in page
    assert run("history", "nothing-here").exit_code == 2


@pytest.mark.usefixtures("tiny_registry", "_prefect")
def test_resend_with_nothing_to_send(run, tmp_path) -> None:
    answer = run("alerts", "resend", "--output", tmp_path / "runs")
    assert answer.exit_code == 0
    assert "nothing waits" in answer.output
