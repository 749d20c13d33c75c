"""The seal as an in-toto attestation, for supply-chain tools: a Statement v1 in a DSSE envelope, signed by the seal's key.

https://github.com/in-toto/attestation/tree/main/spec/v1, https://github.com/secure-systems-lab/dsse. It says nothing that record
and seal do not say: to verify it is to make it again and compare.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature

from components.signing.keys import Signer
from components.signing.trust import public_key
from schemas.governance import GovernanceReport
from schemas.signature import Seal, TrustedKey

ATTESTATION = "attestation.json"
#: Names the form of the predicate; there is nothing to fetch.
PREDICATE_TYPE = "urn:calig:explanation:v1"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"


def attest(record: GovernanceReport, seal: Seal, signer: Signer) -> bytes:
    """The file `attestation.json` beside `record` and `seal`, which `signer` signed."""
    payload = statement_of(record, seal)
    return _envelope(payload, signer.key_id, signer.sign_bytes(_signed_bytes(payload)))


def statement_of(record: GovernanceReport, seal: Seal) -> bytes:
    """The statement, canonical: about record, seal and every sealed file; its predicate is the verdict on the model."""
    digests = {"record.json": seal.record_sha256, "seal.json": hashlib.sha256(seal.canonical()).hexdigest()}
    digests |= {name: file.sha256 for name, file in seal.files.items()}
    model = record.model
    predicate = {
        "model": {"name": model.name, "version": model.version, "uri": model.uri},
        "weights_sha256": model.weights_digest,
        "processor_sha256": model.processor_digest,
        "dataset_sha256": record.data.dataset.digest,
        "fingerprint": record.fingerprint,
        "verdict": record.decision.verdict.value,
        "explained_at": record.created_at.isoformat(),
        "sealed_at": seal.sealed_at.isoformat(),
    }
    statement: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }
    return rfc8785.dumps(statement)


def attestation_problem(content: bytes, record: GovernanceReport, seal: Seal, key: TrustedKey | None) -> str | None:
    """What is wrong with the attestation in `content`, in words; None when it is that of `record` and `seal`.

    Its signature is verified with `key`, which signed the seal; None: that key is not known here, and verifies nothing.
    """
    try:
        envelope: dict[str, Any] = json.loads(content)
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        key_id, value = signature["keyid"], base64.b64decode(signature["sig"], validate=True)
        unchanged = _envelope(payload, key_id, value) == content
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{ATTESTATION} cannot be read: it was changed, or is no such document"
    if not unchanged:
        return f"{ATTESTATION} is not in its canonical form: it was changed after it was written"
    if payload != statement_of(record, seal) or seal.signature is None or key_id != seal.signature.key_id:
        return f"{ATTESTATION} is not about this record and seal, or not by the key that signed the seal"
    return f"the signature of {ATTESTATION} does not hold" if key is not None and not _holds(key, payload, value) else None


def _holds(key: TrustedKey, payload: bytes, value: bytes) -> bool:
    try:
        public_key(key).verify(value, _signed_bytes(payload))
    except InvalidSignature:
        return False
    return True


def _envelope(payload: bytes, key_id: str, value: bytes) -> bytes:
    signature = {"keyid": key_id, "sig": base64.b64encode(value).decode()}
    encoded = base64.b64encode(payload).decode()
    return rfc8785.dumps({"payload": encoded, "payloadType": _PAYLOAD_TYPE, "signatures": [signature]})


def _signed_bytes(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: it begins unlike any document of ours, so that no signature counts as the other's."""
    return b"DSSEv1 %d %b %d %b" % (len(_PAYLOAD_TYPE), _PAYLOAD_TYPE.encode(), len(payload), payload)
