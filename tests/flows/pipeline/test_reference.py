"""What a version is compared with, on a real registry: @champion by verified evidence, or why no pass can rest on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from components import registry, signing
from components.common.errors import InputError
from flows.cli.app import app
from flows.evidence.standing import trusted_keys
from flows.pipeline.reference import Candidate, Found, add_noise_profiles, find_reference
from schemas.base import CheckVerdict, Verdict
from schemas.config import PipelineConfig
from schemas.drift import DriftReport
from schemas.planned_release import Release
from schemas.reference import ReferenceIdentity
from schemas.release import ModelSnapshot
from tests.components.registry.publishing import Results, artifact_folder, new_version, results_for, write
from tests.conftest import TinyRegistry

FIRST = DriftReport(verdict=CheckVerdict.NOT_APPLICABLE, reason="a first release")


class Family:
    """Versions of one registered model, with signed explanations; no engine runs."""

    def __init__(self, tiny: TinyRegistry, folder: Path) -> None:
        self.name, self.folder, self.tiny = f"family-{folder.name}", folder, tiny
        self.template = results_for(new_version(tiny, self.name, folder), folder / "template")
        self.client = self.template.client
        self.signer: signing.Signer | None = signing.load_signer(folder / "pipeline.pem", None)
        self.versions = 0

    def snapshot(self, *, weights: str | None = None) -> ModelSnapshot:
        """The next version, with weights of its own unless told."""
        self.versions += 1
        if self.versions > 1:
            self.client.create_model_version(self.name, f"file://{self.folder}")
        version = self.client.get_model_version(self.name, str(self.versions))
        model = self.template.about(version, self.folder / f"as-{self.versions}", None).record.model
        return model.model_copy(update={"weights_digest": weights or f"{self.versions:064d}"})

    def explained(self, snapshot: ModelSnapshot, verdict: Verdict = Verdict.PASS, drift: DriftReport = FIRST) -> Results:
        """A published explanation of `snapshot`, signed by the family's signer."""
        n = len(self.template.runs())
        folder = self.folder / f"results-{snapshot.version}-{n}"
        results = self.template.again(folder, hours=n, signer=self.signer, verdict=verdict)
        record = results.record.model_copy(update={"model": snapshot, "drift": drift, "fingerprint": folder.name.ljust(64, "0")})
        write(folder, record, self.signer)
        results = results._replace(record=record)
        results.publish()
        return results

    def release(self, verdict: Verdict = Verdict.PASS) -> ModelSnapshot:
        """A new version with an explanation."""
        snapshot = self.snapshot()
        self.explained(snapshot, verdict)
        return snapshot

    def champion(self, version: str) -> None:
        registry.set_alias(self.name, "champion", version)

    def found(self, snapshot: ModelSnapshot, reference: str | None = None) -> Found:
        return find_reference(Candidate(snapshot, self.folder / "cache", trusted_keys(PipelineConfig())), reference)


@pytest.fixture
def family(tiny_registry: TinyRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    """A trust list with the pipeline's key, which signs, and a stranger's key beside it, which is not trusted."""
    monkeypatch.setenv("CALIG_TRUSTED_KEYS", str(tmp_path / "trusted.yaml"))
    for name in ("pipeline", "stranger"):
        signing.create_key(tmp_path / f"{name}.pem", None)
    signing.add_trust(tmp_path / "trusted.yaml", tmp_path / "pipeline.pem.pub", "pipeline", ("records",))
    return Family(tiny_registry, tmp_path)


def reason_of(found: Found) -> str:
    assert found.profile is None
    assert found.without is not None
    assert found.without.verdict is CheckVerdict.INCONCLUSIVE
    assert found.without.next_step
    return found.without.reason


def test_the_champion_is_the_reference_and_its_record_is_named(family: Family) -> None:
    first = family.release()
    family.champion("1")
    found = family.found(family.snapshot())
    assert found.doubt is None
    assert found.profile is not None
    identity = found.profile.identity
    assert (identity.version, identity.alias) == (first.version, "champion")
    evidence = family.template._replace(record=family.template.record.model_copy(update={"model": first})).evidence(
        trusted_keys(PipelineConfig())
    )
    assert (identity.record_sha256, identity.run_id) == (evidence.papers[0].record_sha256, evidence.run_id)


def test_a_first_release_has_nothing_to_be_compared_with_and_later_ones_have(family: Family) -> None:
    found = family.found(family.snapshot())
    assert found.without is not None
    assert found.without.verdict is CheckVerdict.NOT_APPLICABLE
    family.release()
    reason = reason_of(family.found(family.snapshot()))
    assert "marked @champion, although version 2 was accepted" in reason


def test_the_champion_itself_is_compared_with_what_it_was_accepted_against(family: Family) -> None:
    family.release()
    second = family.snapshot()
    family.champion("2")
    assert "@champion itself" in reason_of(family.found(second)), "the alias may have been moved to it"
    identity = ReferenceIdentity(name=family.name, version="1", method_fingerprint="f", weights_digest="w")
    family.explained(second, drift=DriftReport(verdict=CheckVerdict.PASS, reason="", reference=identity))
    found = family.found(second)
    assert found.profile is not None
    assert found.profile.identity.version == "1"


def test_a_first_release_that_is_champion_has_nothing_to_be_compared_with(family: Family) -> None:
    first = family.release()
    family.champion("1")
    found = family.found(first)
    assert found.without is not None
    assert found.without.verdict is CheckVerdict.NOT_APPLICABLE


def test_a_version_is_not_compared_with_itself(family: Family) -> None:
    first = family.release()
    assert "this very version" in reason_of(family.found(first, f"models:/{family.name}/1"))


def test_no_pass_rests_on_a_reference_of_the_same_weights(family: Family) -> None:
    first = family.release()
    family.champion("1")
    found = family.found(family.snapshot(weights=first.weights_digest))
    assert found.doubt is not None
    assert "has the same weights" in found.doubt.reason


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_no_pass_rests_on_a_reference_that_was_not_accepted(family: Family, verdict: Verdict) -> None:
    family.release(verdict)
    family.champion("1")
    found = family.found(family.snapshot())
    assert found.profile is not None
    assert found.doubt is not None
    assert "was not accepted" in found.doubt.reason


@pytest.mark.parametrize(("key", "words"), [(None, "no trusted key signed it"), ("stranger.pem", "no trusted key signed it")])
def test_evidence_that_no_trusted_key_signed_is_not_compared_with(family: Family, key: str | None, words: str) -> None:
    family.signer = None if key is None else signing.load_signer(family.folder / key, None)
    family.release()
    family.champion("1")
    assert words in reason_of(family.found(family.snapshot()))


def test_without_trusted_keys_the_seal_must_hold(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALIG_TRUSTED_KEYS")
    monkeypatch.setenv("HOME", str(family.folder))
    family.signer = None
    family.release()
    family.champion("1")
    candidate = family.snapshot()
    assert family.found(candidate).profile is not None
    (run,) = family.template.runs()
    (artifact_folder(family.client, run.info.run_id) / "seal.json").unlink()
    assert "has no seal" in reason_of(family.found(candidate))


def test_a_tag_cannot_point_the_reference_at_other_evidence(family: Family) -> None:
    family.release()
    candidate = family.release(Verdict.FAIL)
    family.champion("1")
    own = next(run.info.run_id for run in family.template.runs() if run.data.tags["calig.version"] == "2")
    family.client.set_model_version_tag(family.name, "1", "calig.run_id", own)
    found = family.found(candidate)
    assert found.profile is None or found.profile.identity.version == "1"
    assert found.profile is not None or "names run" in reason_of(found)


def test_tables_that_were_put_over_the_references_are_not_used(family: Family) -> None:
    family.release()
    family.champion("1")
    (run,) = family.template.runs()
    folder = artifact_folder(family.client, run.info.run_id) / "attributions"
    (table,) = folder.glob("*.parquet")
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(table).slice(1), table)
    assert "cannot be used" in reason_of(family.found(family.snapshot()))


def test_a_results_folder_is_verified_like_published_evidence(family: Family) -> None:
    first = family.release()
    folder = next(family.folder.glob("results-1-*"))
    found = family.found(family.snapshot(), str(folder))
    assert found.profile is not None
    assert found.profile.identity.weights_digest == first.weights_digest
    (folder / "config.yaml").write_text("changed: true\n")
    with pytest.raises(InputError, match="does not verify"):
        family.found(family.snapshot(), str(folder))


def release_of(family: Family, candidate: ModelSnapshot, **drift: Any) -> Release:
    config = PipelineConfig.model_validate({"drift": drift})
    found = family.found(candidate)
    return Release(
        snapshot=candidate,
        dataset=family.template.record.data.dataset,
        config=config,
        fusion_choice=None,
        suite_digest=None,
        method_fingerprint="f",
        reference=found.profile,
        without_reference=found.without,
        doubt=found.doubt,
        output=family.folder,
    )


def test_other_words_in_a_file_are_another_explanation(family: Family) -> None:
    release = release_of(family, family.snapshot())
    before, after = (release.model_copy(update={"word_files": {"drift.sets_file": content}}) for content in ("a", "b"))
    assert len({release.fingerprint, before.fingerprint, after.fingerprint}) == 3


def nulls_of(release: Release) -> dict[str, list[str]]:
    return {null.kind: [profile.identity.version for profile in null.profiles] for null in release.nulls}


def test_twins_count_only_when_the_operator_nominates_them(family: Family) -> None:
    family.release()
    family.champion("1")
    for _ in range(2):
        twin = family.release()
        family.client.set_model_version_tag(family.name, twin.version, "calig.twin_of", "1")
    candidate = family.snapshot()
    tagged = add_noise_profiles(release_of(family, candidate))
    assert nulls_of(tagged)["twins"] == []
    assert "the tag calig.twin_of on versions 3, 2 does not count here" in tagged.nulls[0].skipped[0]
    assert nulls_of(add_noise_profiles(release_of(family, candidate, twin_tags=True))) == {"twins": ["3", "2"]}
    nominated = add_noise_profiles(release_of(family, candidate, twins={1: [2, 3], 7: [9]}))
    assert nulls_of(nominated) == {"twins": ["3", "2"]}
    assert all(profile.identity.record_sha256 for profile in nominated.nulls[0].profiles)
    assert nominated.fingerprint != tagged.fingerprint


def test_twins_that_failed_are_unsigned_or_missing_measure_nothing_and_are_named(family: Family) -> None:
    family.release()
    family.champion("1")
    family.release(Verdict.FAIL)
    family.release(Verdict.INCONCLUSIVE)
    family.signer = signing.load_signer(family.folder / "stranger.pem", None)
    family.release()
    family.snapshot()
    release = add_noise_profiles(release_of(family, family.snapshot(), twins={1: [2, 3, 4, 5, 99]}, null_versions=5))
    twins = next(null for null in release.nulls if null.kind == "twins")
    assert twins.profiles == ()
    said = {why.split()[1]: why for why in twins.skipped}
    assert "did not pass itself (its verdict is fail)" in said["2"]
    assert "did not pass itself (its verdict is inconclusive)" in said["3"]
    assert "no trusted key signed it" in said["4"]
    assert "was never explained" in said["5"]
    assert "no version 99" in said["99"]
    assert "history" in {null.kind for null in release.nulls}, "accepted versions are asked next, by the same rules"
    assert nulls_of(release)["history"] == ["1"]


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.setenv("COLUMNS", "300")

    def run(uri: str, *options: str):
        return CliRunner().invoke(app, ["verify", uri, "--chain", *options])

    return run


def compared_with(family: Family, snapshot: ModelSnapshot) -> DriftReport:
    found = family.found(snapshot)
    assert found.profile is not None
    return DriftReport(verdict=CheckVerdict.PASS, reason="as before", reference=found.profile.identity)


@pytest.fixture
def three(family: Family) -> Family:
    """Three releases, each compared with the one before."""
    family.release()
    for number in ("1", "2"):
        family.champion(number)
        snapshot = family.snapshot()
        family.explained(snapshot, drift=compared_with(family, snapshot))
    return family


def run_of(family: Family, version: str) -> str:
    return next(run.info.run_id for run in family.template.runs() if run.data.tags["calig.version"] == version)


def test_the_chain_leads_to_the_first_release(three: Family, verify) -> None:
    answer = verify(f"models:/{three.name}/3")
    assert answer.exit_code == 0, answer.output
    lines = [line for line in answer.output.splitlines() if f"{three.name}/" in line]
    assert [line.split()[0] for line in lines] == [f"{three.name}/{n}" for n in (3, 2, 1)]
    assert all("signed by pipeline" in line for line in lines)
    assert "the first release" in answer.output


def test_a_link_that_was_tampered_with_replaced_or_removed_is_found(three: Family, verify) -> None:
    folder = artifact_folder(three.client, run_of(three, "1"))
    report, record = (folder / "report.html").read_bytes(), (folder / "record.json").read_bytes()
    (folder / "report.html").write_bytes(report + b" ")
    answer = verify(f"models:/{three.name}/3")
    assert (answer.exit_code, "report.html was changed" in answer.output) == (2, True), answer.output
    (folder / "report.html").write_bytes(report)
    (folder / "record.json").write_bytes((artifact_folder(three.client, run_of(three, "2")) / "record.json").read_bytes())
    answer = verify(f"models:/{three.name}/3")
    assert (answer.exit_code, "no longer holds the one" in answer.output) == (2, True), answer.output
    (folder / "record.json").write_bytes(record)
    assert verify(f"models:/{three.name}/3").exit_code == 0
    three.client.delete_registered_model(three.name)
    answer = verify(str(next(three.folder.glob("results-3-*"))), "--json")
    assert answer.exit_code == 0, "the runs outlive the registry's entry"


def test_a_chain_that_does_not_reach_a_first_release_is_not_complete(family: Family, verify) -> None:
    snapshot = family.snapshot()
    old = ReferenceIdentity(name=family.name, version="7", method_fingerprint="f", weights_digest="w")
    family.explained(snapshot, drift=DriftReport(verdict=CheckVerdict.PASS, reason="", reference=old))
    answer = verify(f"models:/{family.name}/1")
    assert (answer.exit_code, "does not name the record" in answer.output) == (3, True), answer.output
    lost = old.model_copy(update={"record_sha256": "0" * 64})
    family.explained(snapshot, drift=DriftReport(verdict=CheckVerdict.PASS, reason="", reference=lost))
    assert "a missing record" in verify(f"models:/{family.name}/1").output
