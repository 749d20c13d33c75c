"""Keys, verify, sign-offs and the gate on a real registry: what counts is the chain in the evidence, and tags only mirror it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components import signing
from flows.cli.app import app
from schemas.base import Verdict
from schemas.signature import SignOff
from tests.components.registry.publishing import Results, new_version, results_for
from tests.conftest import TinyRegistry

TOMORROW = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_registry: TinyRegistry):
    """A command line with three keys: the pipeline's, Alice's (both trusted) and Mallory's."""
    monkeypatch.setattr("flows.common.process.prepare", lambda **_: None)
    monkeypatch.setenv("CALIG_TRUSTED_KEYS", str(tmp_path / "trusted.yaml"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: object):
        return CliRunner().invoke(app, [str(a) for a in arguments])

    for name in ("pipeline", "alice", "mallory"):
        assert invoke("keys", "create", f"{name}.pem").exit_code == 0
    assert invoke("keys", "trust", "pipeline.pem.pub", "--name", "pipeline", "--for", "records").exit_code == 0
    assert invoke("keys", "trust", "alice.pem.pub", "--name", "Alice", "--for", "sign-offs").exit_code == 0
    return invoke


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"tried-sign-off-{tmp_path.name}"


@pytest.fixture
def explained(run, tiny_registry: TinyRegistry, tmp_path: Path, name: str):
    """Publish a signed explanation of a new version with the verdict asked for."""

    def publish(verdict: Verdict, *, key: str | None = "pipeline.pem") -> Results:
        signer = None if key is None else signing.load_signer(tmp_path / key, None)
        snapshot = new_version(tiny_registry, name, tmp_path)
        folder = tmp_path / f"results-{snapshot.version}"
        results = results_for(snapshot, folder, verdict=verdict, signer=signer)
        results.publish()
        return results

    return publish


def decide(run, command: str, name: str, *options: object, reviewer: str = "Alice", key: str = "alice.pem"):
    return run(command, f"models:/{name}/1", "--reviewer", reviewer, "--reason", "looked at", "--key", key, *options)


def entry_path(results: Results, number: int = 1) -> Path:
    """Where the registry's storage keeps a sign-off."""
    run_id = results.version().tags["calig.run_id"]
    uri = results.client.get_run(run_id).info.artifact_uri
    return Path(uri.removeprefix("file://")) / "calig" / "signoff" / f"{number:04d}.json"


def test_keys_are_listed_with_what_they_count_for(run, tmp_path) -> None:
    listed = run("keys", "show").output
    assert "Alice  (sign-offs)" in listed
    assert run("keys", "show", "alice.pem.pub").output.strip() in listed
    assert run("keys", "create", "alice.pem").exit_code == 2
    assert run("keys", "trust", "alice.pem.pub", "--name", "x", "--for", "tea").exit_code == 2
    assert "PRIVATE" not in listed


def test_signed_evidence_verifies_in_the_registry_and_in_its_folder(run, explained, name, tmp_path) -> None:
    results = explained(Verdict.PASS)
    for place in (f"models:/{name}/1", results.folder):
        answer = run("verify", place, "--require-signature")
        assert answer.exit_code == 0, answer.output
        assert "signed by pipeline" in answer.output
    run_tags = results.client.get_run(results.version().tags["calig.run_id"]).data.tags
    assert run_tags["calig.record_digest"] in answer.output
    found = json.loads(run("verify", results.folder, "--json").stdout)
    assert found["seal"]["record_sha256"] == results.record.content_digest()
    (results.folder / "report.html").write_text("<title>all is well</title>")
    answer = run("verify", results.folder)
    assert answer.exit_code == 2
    assert "report.html was changed" in answer.output


def test_unsigned_and_unknown_evidence(run, explained, name) -> None:
    explained(Verdict.PASS, key=None)
    answer = run("verify", f"models:/{name}/1")
    assert answer.exit_code == 0
    assert "not signed" in answer.output
    assert run("verify", f"models:/{name}/1", "--require-signature").exit_code == 3
    explained(Verdict.PASS, key="mallory.pem")
    answer = run("verify", f"models:/{name}/2")
    assert answer.exit_code == 2
    assert "unknown key" in answer.output
    Path("strict.yaml").write_text("gate: {require_signature: true}\n")
    for version, said in (("1", "NOT SIGNED"), ("2", "NOT SIGNED by a trusted key (unknown key ")):
        for options in ((), ("--config", "strict.yaml")):
            answer = run("gate", f"models:/{name}/{version}", *options)
            assert answer.exit_code == 3, "a list of trusted keys asks for signatures by itself"
            assert said in answer.output


def test_a_record_changed_in_the_registrys_storage_is_found(run, explained, name) -> None:
    results = explained(Verdict.FAIL)
    record = entry_path(results).parents[1] / "record.json"
    record.write_bytes(record.read_bytes().replace(b'"n_paired":', b'"n_paired":1'))
    assert run("verify", f"models:/{name}/1").exit_code == 2
    answer = run("gate", f"models:/{name}/1")
    assert answer.exit_code == 2
    assert "not what was sealed" in answer.output
    assert decide(run, "reject", name).exit_code == 2
    record.write_text(json.dumps({"schema_version": "9"}))
    answer = run("verify", f"models:/{name}/1")
    assert answer.exit_code == 2
    assert "newer schema" in answer.output


def test_an_approval_is_mirrored_and_asked_for_by_the_gate(run, explained, name) -> None:
    results = explained(Verdict.PASS)
    assert run("gate", f"models:/{name}/1", "--require-approval").exit_code == 3
    answer = decide(run, "approve", name)
    assert answer.exit_code == 0, answer.output
    assert run("gate", f"models:/{name}/1", "--require-approval").exit_code == 0
    tags = results.version().tags
    assert (tags["calig.signoff"], tags["calig.signoff.reviewer"]) == ("approved", "Alice")
    assert tags["calig.signoff.digest"] == signing.digest_of_entry(entry_path(results).read_bytes())
    answer = run("verify", f"models:/{name}/1")
    assert "approved by Alice" in answer.output
    assert "stands" in answer.output


def test_a_rejected_version_never_passes_the_gate_not_even_explained_again(run, explained, name, tmp_path) -> None:
    results = explained(Verdict.PASS)
    assert decide(run, "reject", name).exit_code == 0
    answer = run("gate", f"models:/{name}/1")
    assert answer.exit_code == 1
    assert "rejected by Alice" in answer.output
    results.client.set_model_version_tag(name, "1", "calig.signoff", "approved")
    assert run("gate", f"models:/{name}/1").exit_code == 1, "a tag is only a mirror"
    again = results.again(tmp_path / "again", signer=signing.load_signer(tmp_path / "pipeline.pem", None))
    again.publish(force=True)
    assert run("gate", f"models:/{name}/1").exit_code == 1, "explaining again lifts no rejection"
    assert decide(run, "approve", name).exit_code == 0
    assert run("gate", f"models:/{name}/1").exit_code == 0
    assert json.loads(entry_path(results).read_bytes())["number"] == 1, "the new explanation has a chain of its own"


def test_a_waiver_counts_where_it_is_accepted_until_it_expires(run, explained, name, monkeypatch) -> None:
    explained(Verdict.FAIL)
    Path("lenient.yaml").write_text("gate: {accept_waivers: true}\n")
    assert decide(run, "approve", name).exit_code == 2, "what failed is not approved"
    assert run("gate", f"models:/{name}/1", "--config", "lenient.yaml").exit_code == 1
    assert decide(run, "waive", name).exit_code == 2, "without an expiry"
    assert "expired already" in decide(run, "waive", name, "--expires", "2020-01-01").output
    assert decide(run, "waive", name, "--expires", TOMORROW).exit_code == 0
    assert run("gate", f"models:/{name}/1").exit_code == 1, "not accepted by default"
    answer = run("gate", f"models:/{name}/1", "--config", "lenient.yaml")
    assert answer.exit_code == 0
    assert f"until {TOMORROW}" in answer.output

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=9)

    monkeypatch.setattr("flows.cli.gate.datetime", Later)
    answer = run("gate", f"models:/{name}/1", "--config", "lenient.yaml")
    assert answer.exit_code == 2
    assert "has expired" in answer.output


def test_only_known_reviewers_sign_off_and_under_their_own_name(run, explained, name) -> None:
    results = explained(Verdict.PASS)
    assert "unknown key" in decide(run, "approve", name, key="mallory.pem").output
    assert decide(run, "approve", name, key="mallory.pem").exit_code == 2
    assert decide(run, "approve", name, reviewer="Bob").exit_code == 2
    assert decide(run, "approve", name, reviewer="pipeline", key="pipeline.pem").exit_code == 2, "its key signs records"
    assert decide(run, "approve", name, key="missing.pem").exit_code == 2
    assert run("approve", f"models:/{name}/1", "--reviewer", "Alice", "--reason", " ", "--key", "alice.pem").exit_code == 2
    assert run("approve", f"models:/{name}/1", "--reviewer", "Alice", "--reason", "x").exit_code == 2, "no key"
    assert not entry_path(results).exists()
    assert "calig.signoff" not in results.version().tags


@pytest.mark.parametrize("harm", ["changed", "taken away", "taken away with its tags", "another record's", "put in"])
def test_a_chain_that_does_not_hold_stops_the_gate(run, explained, name, harm: str, tmp_path) -> None:
    results = explained(Verdict.PASS)
    assert decide(run, "reject", name).exit_code == 0
    path = entry_path(results)
    if harm == "changed":
        path.write_bytes(path.read_bytes().replace(b"rejected", b"approved"))
    elif harm.startswith("taken away"):
        path.unlink()
        for tag in [tag for tag in results.version().tags if tag.startswith("calig.signoff")] if "tags" in harm else []:
            results.client.delete_model_version_tag(name, "1", tag)
    elif harm == "another record's":
        explained(Verdict.PASS)
        record = path.parents[1]
        other = json.loads(path.read_bytes()) | {"record_sha256": "00" * 32, "signature": None}
        signed = signing.load_signer(tmp_path / "alice.pem", None).sign(SignOff.model_validate(other))
        (record / "signoff" / "0001.json").write_bytes(signed.canonical())
    else:
        entry = SignOff.model_validate_json(path.read_bytes())
        forged = entry.model_copy(update={"number": 2, "previous": signing.digest_of_entry(path.read_bytes()), "signature": None})
        signed = signing.load_signer(tmp_path / "mallory.pem", None).sign(forged)
        path.with_name("0002.json").write_bytes(signed.canonical())
    for command in ("gate", "verify"):
        answer = run(command, f"models:/{name}/1")
        assert answer.exit_code == 2, answer.output
    assert decide(run, "approve", name).exit_code == 2


def test_the_card_and_the_schema_are_printed(run, explained, name, tmp_path) -> None:
    results = explained(Verdict.FAIL)
    assert run("card", f"models:/{name}/1", "--output", "README.md").exit_code == 0
    text = (tmp_path / "README.md").read_text()
    assert results.record.content_digest() in text
    assert "signed by key" in text
    assert run("card", results.folder).stdout == text
    schema = json.loads(run("record", "schema").stdout)
    assert schema["$id"] == "urn:calig:record:3"
