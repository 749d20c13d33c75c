"""The in-toto attestation: by another library's verifier, by its specification, and exchanged against another's."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from components import signing
from schemas.evidence import SealState
from schemas.governance import GovernanceReport
from schemas.signature import TrustedKey
from tests.components.signing.conftest import NOW, Keys, write_sealed
from tests.helpers import sample_records


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
