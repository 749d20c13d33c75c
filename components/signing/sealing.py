"""Signed documents: the seal of a results folder, its attestation, and the chain of sign-offs with the decision that stands.

Seal and sign-offs are in canonical form. The attestation is the seal for supply-chain tools, an in-toto Statement v1 in a DSSE
envelope: https://github.com/in-toto/attestation/tree/main/spec/v1, https://github.com/secure-systems-lab/dsse. It says nothing
that record and seal do not say: to verify it is to make it again and compare.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import rfc8785
from cryptography.exceptions import InvalidSignature
from pydantic import ValidationError

from components.common.errors import InputError
from components.common.file_digests import file_digest
from components.signing.keys import Signer, check_signature, public_key
from schemas.evidence import RunPapers
from schemas.governance import GovernanceReport
from schemas.signature import Chain, FileDigest, Ruling, Seal, Signable, SignOff, TrustedKey, TrustList

Document = TypeVar("Document", bound=Signable)

_KNOWN = "1"


class TamperedError(InputError):
    """A document, or what belongs to it, is not as it was written."""


def read_document(kind: type[Document], content: bytes, what: str) -> Document:
    """The document of `kind` in `content`; `what` it is goes into errors.

    Raises:
        InputError: it is of a newer schema.
        TamperedError: it is no such document, or one byte of it is not as it is written.
    """
    try:
        raw = json.loads(content)
        version = str(raw.get("schema_version"))
        if version.isdigit() and int(version) > int(_KNOWN):
            raise InputError(
                f"{what} is of a newer schema.", got=version, allowed=_KNOWN, next_step="update calig, then run again"
            )
        document = kind.model_validate_json(content)
    except (ValidationError, ValueError, AttributeError, RecursionError) as error:
        raise TamperedError(f"{what} cannot be read: it was changed, or is no such document.") from error
    if not is_canonical(content):
        raise TamperedError(f"{what} is not in its canonical form: it was changed after it was written.")
    return document


def is_canonical(content: bytes) -> bool:
    """Whether `content`, which is JSON, is the one form in which that JSON is written (RFC 8785)."""
    return rfc8785.dumps(json.loads(content)) == content


SEAL, RECORD, SIGN_OFFS = "seal.json", "record.json", "signoff"
_EVIDENCE = ("config.yaml", "model_card.md", "report.html")


def seal_folder(folder: Path, record: GovernanceReport, signer: Signer | None, now: datetime) -> Seal:
    """The seal over `record`, in canonical form, and every file of evidence that lies in `folder` by now."""
    files = {name: sealed_file(folder / name) for name in evidence_files(folder)}
    seal = Seal(record_sha256=record.content_digest(), files=files, sealed_at=now, signature=None)
    return seal if signer is None else signer.sign(seal)


def evidence_files(folder: Path) -> list[str]:
    """Paths of what a seal is about: all that is published beside the record, as far as it is there."""
    tables = sorted(path.relative_to(folder).as_posix() for path in (folder / "attributions").glob("*.parquet"))
    return [*tables, *(name for name in _EVIDENCE if (folder / name).is_file())]


def sealed_file(path: Path) -> FileDigest:
    """Digest and size of a file, as a seal names them."""
    return FileDigest(sha256=file_digest(path), n_bytes=path.stat().st_size)


def entry_name(number: int) -> str:
    """File name of the entry `number`."""
    return f"{number:04d}.json"


def next_entry(
    papers: RunPapers,
    record: GovernanceReport,
    *,
    ruling: Ruling,
    reviewer: str,
    reason: str,
    expires: date | None,
    signer: Signer,
    now: datetime,
) -> SignOff:
    """The entry that follows those in `papers`, signed. What is there already has to be checked before (`read_chain`)."""
    entry = SignOff(
        number=len(papers.sign_offs) + 1,
        previous=_digest(papers.sign_offs[-1]) if papers.sign_offs else None,
        record_sha256=_digest(papers.record),
        model=record.model.name,
        version=record.model.version,
        ruling=ruling,
        reviewer=reviewer,
        reason=reason,
        expires=expires,
        signed_at=now,
        signature=None,
    )
    return signer.sign(entry)


def read_chain(papers: RunPapers, record: GovernanceReport, trusted: TrustList) -> Chain:
    """The sign-offs in `papers`, each checked: of this record, in its place, by a reviewer whose key is trusted.

    Raises:
        TamperedError: an entry was changed, taken away, put in, or is about another record.
        UnknownKeyError: an entry is signed by a key that is not trusted for sign-offs.
        InputError: an entry is of a newer schema.
    """
    entries: list[SignOff] = []
    previous: str | None = None
    for number, content in enumerate(papers.sign_offs, start=1):
        what = f"sign-off {number}"
        entry = read_document(SignOff, content, what)
        if (entry.number, entry.previous) != (number, previous):
            raise TamperedError(f"{what} does not follow the entry before it: one was changed or taken away.")
        _check_subject(entry, papers, record, what)
        check_reviewer(entry, trusted, what)
        entries.append(entry)
        previous = _digest(content)
    return Chain(run_id=papers.run_id, entries=tuple(entries))


def check_reviewer(entry: SignOff, trusted: TrustList, what: str) -> None:
    """The reviewer is who the key says; errors as for `check_signature`, and InputError for another's name."""
    key = check_signature(entry, trusted, "sign-offs", what)
    if key.name != entry.reviewer:
        raise InputError(f"{what} is not by its reviewer.", got=entry.reviewer, allowed=f"{key.name}, whose key signs it")


def standing(chains: Sequence[Chain]) -> SignOff | None:
    """The decision that stands about a version; `chains`: first that of its present evidence, then those of earlier runs.

    An approval or a waiver is about one record and ends with it. A rejection is about the version: explaining it again does
    not lift it, only a later decision about the new record does.
    """
    own = chains[0].last if chains else None
    rejections = [chain.last for chain in chains[1:] if chain.last is not None and chain.last.ruling is Ruling.REJECTED]
    latest = max(rejections, key=lambda entry: entry.signed_at, default=None)
    if latest is not None and (own is None or own.signed_at < latest.signed_at):
        return latest
    return own


def digest_of_entry(content: bytes) -> str:
    """By which the next entry, and the version's tag, name this one."""
    return _digest(content)


def _check_subject(entry: SignOff, papers: RunPapers, record: GovernanceReport, what: str) -> None:
    about = (entry.record_sha256, entry.model, entry.version)
    if about != (_digest(papers.record), record.model.name, record.model.version):
        raise TamperedError(
            f"{what} is about another record.", got=f"{entry.model} {entry.version}, record {entry.record_sha256[:12]}"
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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
