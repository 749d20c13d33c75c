"""The chain of sign-offs: in order, about this record, by whom it says; and which decision stands."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from components import signing
from components.common.errors import InputError
from schemas.evidence import RunPapers, SealState
from schemas.governance import GovernanceReport
from schemas.signature import Chain, Ruling, SignOff, TrustedKey
from tests.components.signing.conftest import NOW, Keys, write_sealed
from tests.helpers import sample_records


@pytest.fixture
def empty(record: GovernanceReport) -> RunPapers:
    return RunPapers(run_id="r1", record=record.canonical(), seal=None, sign_offs=())


@pytest.fixture
def add(record: GovernanceReport, keys: Keys):
    def added(papers: RunPapers, ruling: Ruling = Ruling.REJECTED, **changes) -> RunPapers:
        days = len(papers.sign_offs)
        said = {
            "reviewer": "Alice",
            "reason": "looked at",
            "expires": None,
            "signer": keys.alice,
            "now": NOW + timedelta(days=days),
        }
        entry = signing.next_entry(papers, record, ruling=ruling, **(said | changes))
        return papers.model_copy(update={"sign_offs": (*papers.sign_offs, entry.canonical())})

    return added


def read(papers: RunPapers, record: GovernanceReport, keys: Keys) -> Chain:
    return signing.read_chain(papers, record, keys.trusted)


@pytest.fixture
def three(empty: RunPapers, add) -> RunPapers:
    return add(add(add(empty), Ruling.WAIVED, expires=date(2026, 12, 31)), Ruling.APPROVED)


def test_entries_follow_each_other_and_the_last_stands(three: RunPapers, record, keys: Keys) -> None:
    chain = read(three, record, keys)
    assert [entry.ruling for entry in chain.entries] == [Ruling.REJECTED, Ruling.WAIVED, Ruling.APPROVED]
    assert signing.standing([chain]) == chain.entries[2]
    assert signing.standing([Chain(run_id="r", entries=())]) is None
    assert [signing.entry_name(entry.number) for entry in chain.entries] == ["0001.json", "0002.json", "0003.json"]


@pytest.mark.parametrize("kept", [(1, 2), (0, 2), (1, 0, 2), (0, 0), (2,)])
def test_an_entry_taken_away_moved_or_repeated_is_found(three: RunPapers, record, keys: Keys, kept: tuple[int, ...]) -> None:
    broken = three.model_copy(update={"sign_offs": tuple(three.sign_offs[i] for i in kept)})
    with pytest.raises(signing.TamperedError, match="does not follow"):
        read(broken, record, keys)


@pytest.mark.parametrize("place", range(0, 700, 23))
def test_a_changed_byte_is_found(three: RunPapers, record, keys: Keys, place: int) -> None:
    content = three.sign_offs[1]
    place %= len(content)
    changed = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    with pytest.raises(InputError):
        read(three.model_copy(update={"sign_offs": (three.sign_offs[0], changed, three.sign_offs[2])}), record, keys)


def test_an_entry_about_another_record_does_not_count(three: RunPapers, record, keys: Keys) -> None:
    other = record.model_copy(update={"fingerprint": "00" * 32})
    with pytest.raises(signing.TamperedError, match="about another record"):
        read(three.model_copy(update={"record": other.canonical()}), other, keys)


def test_unknown_keys_other_purposes_and_other_names_do_not_count(empty: RunPapers, add, record, keys: Keys) -> None:
    with pytest.raises(signing.UnknownKeyError, match="unknown key"):
        read(add(empty, signer=keys.mallory), record, keys)
    with pytest.raises(signing.UnknownKeyError, match="not trusted for sign-offs"):
        read(add(empty, reviewer="pipeline", signer=keys.pipeline), record, keys)
    with pytest.raises(InputError, match=r"(?s)not by its reviewer.*Bob.*Alice"):
        read(add(empty, reviewer="Bob"), record, keys)
    unsigned = SignOff.model_validate_json(add(empty).sign_offs[0]).model_copy(update={"signature": None})
    with pytest.raises(signing.BadSignatureError, match="not signed"):
        read(empty.model_copy(update={"sign_offs": (unsigned.canonical(),)}), record, keys)


def test_a_rejection_outlives_a_new_explanation_and_an_approval_does_not(empty: RunPapers, add, record, keys: Keys) -> None:
    rejected, approved = (read(add(empty, ruling), record, keys) for ruling in (Ruling.REJECTED, Ruling.APPROVED))
    fresh = read(empty, record, keys)
    assert signing.standing([fresh, rejected]) == rejected.last
    assert signing.standing([fresh, approved]) is None
    later = read(add(empty, Ruling.APPROVED, now=NOW + timedelta(days=5)), record, keys)
    assert signing.standing([later, rejected]) == later.last
    assert signing.standing([approved, read(add(empty, now=NOW + timedelta(days=9)), record, keys)]).ruling is Ruling.REJECTED


def test_waivers_alone_have_an_expiry(empty: RunPapers, add) -> None:
    with pytest.raises(ValueError, match="a waiver has an expiry"):
        add(empty, Ruling.WAIVED)
    with pytest.raises(ValueError, match="a waiver has an expiry"):
        add(empty, Ruling.APPROVED, expires=date(2026, 12, 31))
    waiver = SignOff.model_validate_json(add(empty, Ruling.WAIVED, expires=date(2026, 12, 31)).sign_offs[0])
    assert not waiver.expired(date(2026, 12, 31))
    assert waiver.expired(date(2027, 1, 1))


def envelope_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "attestation.json").read_bytes()))


def foreign(key: TrustedKey) -> SSlibKey:
    """The key as securesystemslib, which in-toto and TUF use, knows it."""
    return SSlibKey(key.key_id, "ed25519", "ed25519", {"public": base64.b64decode(key.public_key).hex()})


def test_another_library_verifies_it(sealed: Path, keys: Keys) -> None:
    pipeline, alice = keys.trusted.keys
    envelope = Envelope.from_dict(envelope_in(sealed))
    assert envelope.verify([foreign(pipeline)], 1).keys() == {pipeline.key_id}
    with pytest.raises(VerificationError):
        envelope.verify([foreign(alice)], 1)
    envelope.payload += b" "
    with pytest.raises(VerificationError):
        envelope.verify([foreign(pipeline)], 1)


def test_the_statement_names_every_file_by_its_digest_and_the_verdict(sealed: Path, record: GovernanceReport) -> None:
    envelope = envelope_in(sealed)
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "urn:calig:explanation:v1"
    files = [path for path in sealed.rglob("*") if path.is_file() and path.name != "attestation.json"]
    assert statement["subject"] == [
        {"name": name, "digest": {"sha256": hashlib.sha256((sealed / name).read_bytes()).hexdigest()}}
        for name in sorted(path.relative_to(sealed).as_posix() for path in files)
    ]
    assert len(files) == 5
    predicate = statement["predicate"]
    assert predicate["model"]["uri"] == record.model.uri
    assert (predicate["verdict"], predicate["weights_sha256"]) == (record.decision.verdict, record.model.weights_digest)


def test_one_of_other_evidence_or_by_another_key_is_found(
    sealed: Path, record: GovernanceReport, sample: sample_records.Sample, keys: Keys, tmp_path: Path
) -> None:
    other = write_sealed(
        tmp_path / "other", record.model_copy(update={"fingerprint": "00" * 32}), sample.tables[0], keys.pipeline
    )
    seal = signing.seal_folder(sealed, record, keys.pipeline, NOW)
    by_mallory = signing.attest(record, seal, keys.mallory)
    renamed = by_mallory.replace(keys.mallory.key_id.encode(), keys.pipeline.key_id.encode())
    wrong = [((other / "attestation.json").read_bytes(), "not about"), (by_mallory, "not by the key"), (renamed, "not hold")]
    for content, said in [*wrong, (b"[]", "cannot be read"), (b"{", "cannot be read")]:
        (sealed / "attestation.json").write_bytes(content)
        found = signing.verify_folder(sealed, keys.trusted)
        assert found.state is SealState.TAMPERED
        assert len(found.findings) == 1
        assert said in found.findings[0]


def test_evidence_without_one_is_as_good(sealed: Path, keys: Keys) -> None:
    (sealed / "attestation.json").unlink()
    assert signing.verify_folder(sealed, keys.trusted).state is SealState.SIGNED
