"""The newest explanation of a version under attack: a signed pass, then a signed fail; somebody without a key wants the pass."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components import registry
from components.common.errors import CouldNotRunError, InputError
from components.signing import Signer, create_key, load_public, load_signer
from schemas.base import CheckVerdict, Verdict
from schemas.drift import DriftReport
from schemas.evidence import SealState
from schemas.probe import ProbeReport
from schemas.signature import TrustedKey, TrustList
from tests.components.registry.publishing import Results, artifact_folder, new_version, newest, results_for, write
from tests.conftest import TinyRegistry
from tests.helpers.tracking import connected

NONE = TrustList()


@dataclass
class Scene:
    """Version 1 of a model: `passed` was published first, `failed` an hour later, both signed by the trusted key."""

    passed: Results
    failed: Results
    old: str
    new: str
    trusted: TrustList
    signer: Signer
    stranger: Signer
    folder: Path

    @property
    def client(self) -> Any:
        return self.passed.client

    def files(self, run_id: str) -> Path:
        return artifact_folder(self.client, run_id)

    def put(self, results: Results, run_id: str) -> None:
        """Put these results over whatever the run holds."""
        shutil.rmtree(self.files(run_id), ignore_errors=True)
        shutil.copytree(results.folder, self.files(run_id))

    def new_run(self, results: Results, **options: Any) -> str:
        """A run that looks published, made by hand."""
        tags = self.client.get_run(self.old).data.tags
        run = self.client.create_run(self.client.get_run(self.old).info.experiment_id, tags=tags, **options)
        self.client.log_artifacts(run.info.run_id, str(results.folder), "calig")
        self.client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def passes(self) -> bool:
        """What a gate would rest a pass on."""
        try:
            evidence = newest(self.passed.record.model.uri, self.trusted)
        except InputError:
            return False
        assert evidence.seal is not None
        signed = evidence.seal.state is SealState.SIGNED
        return evidence.record.decision.verdict is Verdict.PASS and signed and not evidence.doubts


@pytest.fixture(scope="module")
def template(session_registry: TinyRegistry, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A results folder to copy, about a version that is never published."""
    folder = tmp_path_factory.mktemp("template")
    with connected(session_registry.tracking_uri):
        snapshot = new_version(session_registry, "newest-template", folder)
        results = results_for(snapshot, folder / "results", verdict=Verdict.PASS)
    without_numbers = {"metrics": (), "controls": (), "curves": ()}  # what nothing here asks for, and MLflow takes its time over
    quality = results.record.quality.model_copy(update=without_numbers)
    drift = DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason="a first release")
    return results._replace(record=results.record.model_copy(update={"quality": quality, "drift": drift, "probe": None}))


@pytest.fixture
def scene(template: Results, tiny_registry: TinyRegistry, tmp_path: Path) -> Scene:
    for name in ("pipeline", "stranger"):
        create_key(tmp_path / name, None)
    signer, stranger = (load_signer(tmp_path / name, None) for name in ("pipeline", "stranger"))
    public = base64.b64encode(load_public(tmp_path / "pipeline.pub").public_bytes_raw()).decode()
    trusted = TrustList(keys=(TrustedKey(name="pipeline", key_id=signer.key_id, public_key=public),), found=True)
    version = template.client.copy_model_version(template.record.model.uri, f"newest-{tmp_path.name}")
    passed = template.about(version, tmp_path / "passed", signer)
    old = passed.publish().run_id
    failed = passed.again(tmp_path / "failed", signer=signer, verdict=Verdict.FAIL)
    new = failed.publish(force=True).run_id
    return Scene(passed, failed, old, new, trusted, signer, stranger, tmp_path)


def test_the_newest_signed_explanation_counts_and_the_older_one_did_before(scene: Scene) -> None:
    evidence = newest(scene.passed.record.model.uri, scene.trusted)
    assert (evidence.run_id, evidence.doubts) == (scene.new, ())
    assert evidence.seal is not None
    assert evidence.seal.signed_by == "pipeline"
    again = scene.passed.again(scene.folder / "again", hours=2.0, signer=scene.signer)
    again.publish(force=True)
    assert scene.passes(), "explained again, it passes"


def test_probes_of_all_explanations_are_told_oldest_first_and_only_those_of_trusted_keys(scene: Scene) -> None:
    """The first outcome is what counts across versions: neither a later pass nor a stranger's record takes its place."""
    for hours, verdict, signer in ((3.0, "fail", scene.signer), (2.0, "pass", scene.stranger), (4.0, "pass", scene.signer)):
        again = scene.passed.again(scene.folder / f"probed-{hours}", hours=hours, signer=signer)
        report = ProbeReport(verdict=CheckVerdict(verdict), reason="")
        write(again.folder, record := again.record.model_copy(update={"probe": report}), signer)
        again._replace(record=record).publish(force=True)
    evidence = newest(scene.passed.record.model.uri, scene.trusted)
    assert [probe.verdict.value for probe in evidence.probes] == ["fail", "pass"]
    assert evidence.probes[0].created_at < evidence.probes[1].created_at == evidence.record.created_at


def test_a_version_given_up_before_any_explanation_says_so_and_one_with_runs_is_unusable(scene: Scene) -> None:
    name = scene.passed.record.model.name
    version = scene.client.copy_model_version(f"models:/{name}/1", name)
    scene.client.delete_model_version_tag(name, version.version, "calig.run_id")
    scene.client.set_model_version_tag(name, version.version, "calig.reason", "not safetensors")
    with pytest.raises(registry.GivenUpError, match="given up"):
        newest(f"models:/{name}/{version.version}", scene.trusted)
    scene.client.set_model_version_tag(name, version.version, "calig.run_id", "0" * 32)
    with pytest.raises(InputError, match="given up") as unusable:
        newest(f"models:/{name}/{version.version}", scene.trusted)
    assert not isinstance(unusable.value, registry.GivenUpError), "a run that is gone may have said something"


def point_the_tags_back(scene: Scene) -> None:
    for key, value in {"calig.run_id": scene.old, "calig.verdict": "pass"}.items():
        scene.client.set_model_version_tag(scene.passed.record.model.name, "1", key, value)


def take_the_mark_away(scene: Scene) -> None:
    scene.client.delete_tag(scene.new, "calig.published")


def take_all_tags_away(scene: Scene) -> None:
    for tag in ("calig.published", "calig.model", "calig.version", "calig.fingerprint", "calig.verdict"):
        scene.client.delete_tag(scene.new, tag)


def call_it_another_versions(scene: Scene) -> None:
    scene.client.set_tag(scene.new, "calig.version", "7")


def leave_it_running(scene: Scene) -> None:
    scene.client.update_run(scene.new, status="RUNNING")


def delete_the_run(scene: Scene) -> None:
    scene.client.delete_run(scene.new)


def delete_the_record(scene: Scene) -> None:
    (scene.files(scene.new) / "record.json").unlink()


def delete_all_files(scene: Scene) -> None:
    shutil.rmtree(scene.files(scene.new))


def break_the_record(scene: Scene) -> None:
    (scene.files(scene.new) / "record.json").write_text("{}")


def take_the_seal_away(scene: Scene) -> None:
    (scene.files(scene.new) / "seal.json").unlink()


def put_the_pass_over_the_fail(scene: Scene) -> None:
    scene.put(scene.passed, scene.new)


def put_the_pass_over_the_fail_and_delete_its_own_run(scene: Scene) -> None:
    scene.put(scene.passed, scene.new)
    scene.client.delete_run(scene.old)


def put_the_pass_over_the_fail_and_empty_its_own_run(scene: Scene) -> None:
    scene.put(scene.passed, scene.new)
    shutil.rmtree(scene.files(scene.old))


def copy_the_pass_into_a_new_run(scene: Scene) -> None:
    scene.new_run(scene.passed)


def copy_the_pass_into_an_older_run_and_delete_the_fail(scene: Scene) -> None:
    scene.new_run(scene.passed, start_time=1)
    scene.client.delete_run(scene.new)


def publish_an_unsigned_pass(scene: Scene) -> None:
    scene.new_run(scene.passed.again(scene.folder / "forged", hours=5.0))


def publish_a_pass_with_a_strangers_key(scene: Scene) -> None:
    scene.new_run(scene.passed.again(scene.folder / "forged", hours=5.0, signer=scene.stranger))


def write_an_older_unsigned_pass_over_the_fail(scene: Scene) -> None:
    scene.put(scene.passed.again(scene.folder / "forged", hours=-5.0), scene.new)


def put_another_versions_pass_over_the_fail(scene: Scene) -> None:
    record = scene.passed.record
    other = record.model_copy(update={"model": record.model.model_copy(update={"version": "2"})})
    shutil.copytree(scene.passed.folder, scene.folder / "other")
    write(scene.folder / "other", other, scene.signer)
    scene.put(scene.passed._replace(folder=scene.folder / "other"), scene.new)


def edit_one_digit_of_the_pass(scene: Scene) -> None:
    path = scene.files(scene.new) / "record.json"
    record = json.loads(path.read_bytes())
    record["decision"]["verdict"] = "pass"
    path.write_text(json.dumps(record))


ATTACKS: list[Callable[[Scene], None]] = [
    point_the_tags_back,
    take_the_mark_away,
    take_all_tags_away,
    call_it_another_versions,
    leave_it_running,
    delete_the_run,
    delete_the_record,
    delete_all_files,
    break_the_record,
    take_the_seal_away,
    put_the_pass_over_the_fail,
    put_the_pass_over_the_fail_and_delete_its_own_run,
    put_the_pass_over_the_fail_and_empty_its_own_run,
    copy_the_pass_into_a_new_run,
    copy_the_pass_into_an_older_run_and_delete_the_fail,
    publish_an_unsigned_pass,
    publish_a_pass_with_a_strangers_key,
    write_an_older_unsigned_pass_over_the_fail,
    put_another_versions_pass_over_the_fail,
    edit_one_digit_of_the_pass,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_nobody_without_the_key_brings_the_older_pass_back(scene: Scene, attack: Callable[[Scene], None]) -> None:
    attack(scene)
    point_the_tags_back(scene)
    assert not scene.passes()


def test_a_run_that_cannot_be_relied_on_hides_nothing_once_a_later_one_is_signed(scene: Scene) -> None:
    take_the_seal_away(scene)
    later = scene.passed.again(scene.folder / "later", hours=24.0 * 365, signer=scene.signer)
    later.publish(force=True)
    assert scene.passes()


def test_a_model_deleted_and_registered_anew_has_no_evidence(scene: Scene, tiny_registry: TinyRegistry) -> None:
    name = scene.passed.record.model.name
    scene.passed.again(scene.folder / "again", hours=2.0, signer=scene.signer).publish(force=True)
    assert scene.passes()
    tags = scene.passed.version().tags
    scene.client.delete_registered_model(name)
    assert tiny_registry.register(tiny_registry.bert, name) == "1"
    for key, value in tags.items():
        scene.client.set_model_version_tag(name, "1", key, value)
    assert not scene.passes()
    with pytest.raises(InputError, match="another version that had this name and number"):
        newest(f"models:/{name}/1", scene.trusted)


def test_a_run_that_was_begun_in_vain_is_no_doubt(scene: Scene) -> None:
    old = scene.client.get_run(scene.old)
    tags = {key: value for key, value in old.data.tags.items() if key in {"calig.model", "calig.version", "calig.fingerprint"}}
    run = scene.client.create_run(old.info.experiment_id, tags=tags)
    assert scene.passed.evidence(scene.trusted).doubts == ()
    scene.client.delete_run(run.info.run_id)
    assert scene.passed.evidence(scene.trusted).doubts == ()


def test_a_run_that_the_tag_names_and_nobody_finds_is_a_doubt(scene: Scene) -> None:
    scene.client.set_model_version_tag(scene.passed.record.model.name, "1", "calig.run_id", "0" * 32)
    (doubt,) = scene.passed.evidence(scene.trusted).doubts
    assert "which is not among the explanations" in doubt


def test_tags_copied_from_another_version_are_no_evidence(scene: Scene) -> None:
    copied = scene.client.copy_model_version(scene.passed.record.model.uri, f"{scene.passed.record.model.name}-copy")
    for key, value in scene.passed.version().tags.items():
        scene.client.set_model_version_tag(copied.name, copied.version, key, value)
    with pytest.raises(InputError, match="No evidence of this version is its own"):
        newest(f"models:/{copied.name}/{copied.version}")


def test_without_keys_the_newest_record_counts_and_the_marks_of_runs_still_do(scene: Scene) -> None:
    evidence = scene.passed.evidence(NONE)
    assert (evidence.run_id, evidence.doubts) == (scene.new, ())
    scene.client.delete_run(scene.new)
    evidence = scene.passed.evidence(NONE)
    assert evidence.run_id == scene.old
    assert "was deleted" in evidence.doubts[0]


def test_old_records_count_as_newest_but_say_that_they_are_not_bound(scene: Scene) -> None:
    results = scene.passed.again(scene.folder / "unbound", hours=3.0, signer=scene.signer)
    record = results.record.model_copy(update={"model": results.record.model.model_copy(update={"registered": None})})
    write(results.folder, record, scene.signer)
    results._replace(record=record).publish(force=True)
    evidence = scene.passed.evidence(scene.trusted)
    assert evidence.record.model.registered is None
    assert evidence.record.created_at - scene.passed.record.created_at == timedelta(hours=3)
    assert evidence.registered is not None


def test_a_foreign_storage_error_is_not_a_missing_explanation(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.registry.evidence.documents.read_artifact", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(CouldNotRunError, match="could not read the evidence"):
        scene.passed.evidence(scene.trusted)
